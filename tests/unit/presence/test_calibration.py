import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.presence import ClassPresence, SigmoidConstants, calibrate, reliability

TRUE = SigmoidConstants(scale=58.0, bias=-0.13)
WRONG = SigmoidConstants(scale=10.0, bias=-0.3)


def planted(images=60, concepts=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    cosines = 0.1 + 0.03 * torch.randn(images, concepts, dtype=torch.float64, generator=generator)
    labels = torch.rand(images, concepts, dtype=torch.float64, generator=generator) < TRUE.presence(cosines)
    return cosines, labels


def by_scikit_learn(cosines, labels, weights=None):
    x = cosines.numpy().reshape(-1, 1)
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-13, max_iter=500)
    model.fit((x - x.mean()) / x.std(), labels.numpy().ravel(), weights)
    slope = model.coef_.item() / x.std()
    return slope, model.intercept_.item() / slope - x.mean()


@pytest.mark.parametrize("seed", range(3))
def test_is_the_largest_likelihood(seed):
    cosines, labels = planted(seed=seed)
    constants = calibrate(cosines, labels, WRONG).constants
    assert (constants.scale, constants.bias) == pytest.approx(by_scikit_learn(cosines, labels), rel=1e-8)


def test_many_pairs_recover_the_planted_constants():
    constants = calibrate(*planted(400, 500), WRONG).constants
    assert constants.scale == pytest.approx(TRUE.scale, rel=0.02)
    assert constants.bias == pytest.approx(TRUE.bias, abs=0.001)


def test_labels_may_be_probabilities():
    cosines, _ = planted()
    soft = TRUE.presence(cosines)
    constants = calibrate(cosines, soft, WRONG).constants
    assert (constants.scale, constants.bias) == pytest.approx((TRUE.scale, TRUE.bias), rel=1e-9)
    certain = torch.cat([torch.ones_like(soft), torch.zeros_like(soft)])
    weights = torch.cat([soft, 1 - soft]).flatten().numpy()
    expected = by_scikit_learn(torch.cat([cosines, cosines]), certain, weights)
    assert (constants.scale, constants.bias) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("max_bytes", [1, 10_000, 2**26])
def test_blocks_temperature_and_factors_make_no_difference(max_bytes):
    generator = torch.Generator().manual_seed(5)
    factors = [
        torch.nn.functional.normalize(torch.randn(n, 6, dtype=torch.float64, generator=generator)) for n in (50, 9)
    ]
    classes = (factors[0] @ factors[1].T + torch.rand(50, 9, generator=generator)).argmax(dim=1)
    expected = calibrate(factors[0] @ factors[1].T, torch.nn.functional.one_hot(classes, 9), WRONG)
    matrix = ConceptMatrix(factors[0], 1.15 * factors[1])
    found = calibrate(matrix, ClassPresence(classes, 9), WRONG, temperature=1.15, max_bytes=max_bytes)
    assert found.constants.scale == pytest.approx(expected.constants.scale, rel=1e-9)
    assert found.constants.bias == pytest.approx(expected.constants.bias, rel=1e-9)
    assert found.after.log_loss == pytest.approx(expected.after.log_loss, rel=1e-12)
    assert found.before.calibration_error == pytest.approx(expected.before.calibration_error, rel=1e-12)
    assert not matrix.is_kept


def test_reliability_against_transcriptions():
    cosines, labels = planted()
    found = reliability(cosines, labels, WRONG, bins=15)
    y, p = labels.numpy().ravel(), expit(10.0 * (cosines.numpy().ravel() - 0.3))
    assert found.log_loss == pytest.approx(log_loss(y, p), rel=1e-12)
    error = 0.0
    for low in np.arange(15) / 15:
        inside = (p >= low) & (p < low + 1 / 15)
        if inside.any():
            error += inside.mean() * abs(y[inside].mean() - p[inside].mean())
    assert found.calibration_error == pytest.approx(error, rel=1e-9)
    assert found.num_pairs == 2400
    assert found.prevalence == pytest.approx(y.mean())


def test_calibration_is_better_than_what_was_before_also_on_other_images():
    found = calibrate(*planted(), WRONG)
    assert found.before == reliability(*planted(), WRONG)
    assert found.after == reliability(*planted(), found.constants)
    for before, after in [
        (found.before, found.after),
        (reliability(*planted(seed=9), WRONG), reliability(*planted(seed=9), found.constants)),
    ]:
        assert after.log_loss < before.log_loss
        assert after.calibration_error < 0.02 < before.calibration_error


def test_confident_mistakes_have_a_finite_loss():
    cosines = torch.tensor([[1.0, -1.0]])
    found = reliability(cosines, torch.tensor([[0, 1]]), SigmoidConstants(1e6, 0.0))
    assert found.log_loss == pytest.approx(1e6)
    assert found.calibration_error == pytest.approx(1.0)


def test_rare_labels_and_far_cosines():
    cosines, _ = planted(200, 50)
    labels = torch.zeros(200, 50, dtype=torch.float64)
    labels[cosines > cosines.quantile(0.998)] = 1
    labels[0, 0] = 1
    cosines[1, 1] = -5.0
    constants = calibrate(cosines, labels, WRONG).constants
    assert (constants.scale, constants.bias) == pytest.approx(by_scikit_learn(cosines, labels), rel=1e-6)


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0.0, 0.5, 1.0, 1.0]])
def test_labels_that_bound_no_scale_are_refused(labels):
    with pytest.raises(ValueError, match="to overlap but got"):
        calibrate(torch.tensor([[0.1, 0.2, 0.3, 0.4]]), torch.tensor([labels]), WRONG)


def test_equal_cosines_are_refused():
    with pytest.raises(ValueError, match="to overlap but got"):
        calibrate(torch.full((1, 4), 0.2), torch.tensor([[0, 1, 0, 1]]), WRONG)


def test_one_cosine_of_present_concepts_among_absent_ones_will_do():
    cosines, labels = torch.tensor([[0.1, 0.2, 0.21, 0.2, 0.15]]).double(), torch.tensor([[0, 1, 0, 1, 0]])
    constants = calibrate(cosines, labels, WRONG).constants
    assert (constants.scale, constants.bias) == pytest.approx(by_scikit_learn(cosines, labels), rel=1e-6)


def test_full_steps_that_would_climb_are_shortened():
    cosines = -torch.tensor([[0.0127, 118.6, 0.279, 0.634, 407.1, 0.000128, 0.351]], dtype=torch.float64)
    labels = torch.tensor([[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    residuals = calibrate(cosines, labels, WRONG).constants.presence(cosines) - labels
    assert residuals.sum().item() == pytest.approx(0, abs=1e-7)
    assert (residuals * cosines).sum().item() == pytest.approx(0, abs=1e-7)


def test_cosines_that_point_the_wrong_way_are_refused():
    cosines, labels = planted()
    with pytest.raises(ValueError, match=r"higher where `labels` say that a concept is present.*same order"):
        calibrate(-cosines, labels, WRONG)


def test_cosines_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite"):
        calibrate(torch.tensor([[0.1, torch.nan]]), torch.tensor([[0, 1]]), WRONG)


@pytest.mark.parametrize("shape", [(60, 39), (59, 40)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"same shape, not empty, but got \(60, 40\)"):
        reliability(planted()[0], torch.zeros(shape), WRONG)


@pytest.mark.parametrize("argument", ["temperature", "bins", "max_bytes"])
def test_arguments_out_of_range_are_refused(argument):
    with pytest.raises(ValueError, match=f"`{argument}` to be greater than 0"):
        reliability(*planted(), WRONG, **{argument: 0})
