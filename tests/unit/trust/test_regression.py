import pytest
import torch

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.trust import ConceptAxes, ConceptRegression, principal_components


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_explained(activations, matrix, nuisances, shrinkage):
    """Partial R² by generalised cross-validation, with hat matrices over images written out."""
    images = len(matrix)
    concepts = matrix - matrix.mean(dim=1, keepdim=True)
    concepts = concepts - concepts.mean(dim=0)
    kernel = concepts @ concepts.T * (images / concepts.square().sum())
    maker = torch.eye(images).double() - torch.full((images, images), 1 / images) - nuisances @ nuisances.T
    kernel = maker @ kernel @ maker
    hat = kernel @ torch.linalg.inv(kernel + shrinkage * torch.eye(images))
    left = maker @ activations
    before, after = maker.trace(), (maker - hat).trace()
    return 1 - ((left - hat @ left).square().sum(0) / after**2) / (left.square().sum(0) / before**2)


@pytest.mark.parametrize("images", [40, 90])
@pytest.mark.parametrize("shrinkage", [0.5, 1.0])
def test_by_hat_matrices(images, shrinkage):
    matrix = draw(images, 8, seed=1) @ draw(8, 20)
    nuisances = principal_components(draw(images, 9, seed=2), 3)
    activations = draw(images, 5, seed=3) + matrix[:, :5]
    regression = ConceptRegression(ConceptAxes(matrix), nuisances, shrinkage)
    torch.testing.assert_close(
        regression.explained(activations), slow_explained(activations, matrix, nuisances, shrinkage)
    )


@pytest.mark.parametrize(("images", "concepts"), [(90, 40), (30, 40), (90, 12)])
def test_factors_are_as_good_as_the_whole_matrix(images, concepts):
    image_factors, concept_factors = draw(images, 16, seed=4), draw(concepts, 16, seed=5)
    matrix, nuisances = image_factors @ concept_factors.T, principal_components(draw(images, 9, seed=2), 3)
    activations = draw(images, 5, seed=3) + matrix[:, :5]
    explained = [
        ConceptRegression(axes, nuisances).explained(activations)
        for axes in (
            ConceptAxes(ConceptMatrix(image_factors, concept_factors)),
            ConceptAxes(matrix),
            ConceptAxes(matrix, max_rank=28),
        )
    ]
    for others in explained[1:]:
        torch.testing.assert_close(explained[0], others, rtol=1e-9, atol=1e-9)


def test_what_nuisances_say_is_not_explained():
    nuisances, rest = principal_components(draw(400, 6), 6), draw(400, 12, seed=1)
    matrix = torch.cat([30 * nuisances[:, :4], rest], dim=1)
    follower = nuisances[:, :1] + 0.02 * draw(400, 1, seed=2)
    assert ConceptRegression(ConceptAxes(matrix), torch.empty(400, 0)).explained(follower) > 0.5
    assert ConceptRegression(ConceptAxes(matrix), nuisances).explained(follower) < 0.1


def test_does_not_depend_on_scale_shift_or_blocks():
    matrix, activations = draw(50, 12), draw(50, 4, seed=1) + 5 * draw(50, 1, seed=2)
    nuisances = principal_components(draw(50, 3, seed=4), 2)
    whole = ConceptRegression(ConceptAxes(matrix), nuisances).explained(activations)
    narrow = ConceptRegression(ConceptAxes(3 * matrix + 7, max_bytes=8), nuisances).explained(2 * activations - 9)
    torch.testing.assert_close(whole, narrow)


def test_undefined_neurons():
    matrix = draw(40, 10)
    nuisances = principal_components(draw(40, 2, seed=1), 2)
    activations = torch.stack([torch.ones(40), torch.full((40,), torch.nan), nuisances[:, 0] * 3, matrix[:, 0]], dim=1)
    explained = ConceptRegression(ConceptAxes(matrix), nuisances).explained(activations)
    assert explained.isnan().tolist() == [True, True, True, False]


def test_no_live_neuron():
    matrix = draw(40, 10)
    assert ConceptRegression(ConceptAxes(matrix), torch.empty(40, 0)).explained(torch.zeros(40, 3)).isnan().all()


def test_as_many_nuisances_as_images():
    with pytest.raises(ValueError, match="at least two images more than nuisances but got 8 images and 7"):
        ConceptRegression(ConceptAxes(draw(8, 5)), torch.eye(8)[:, :7])


def test_faulty_shrinkage():
    with pytest.raises(ValueError, match="Expected `shrinkage` to be greater than 0"):
        ConceptRegression(ConceptAxes(draw(8, 5)), torch.empty(8, 0), shrinkage=0)


def test_nuisances_of_other_images():
    with pytest.raises(ValueError, match="the 8 images of `axes` but got 9 images"):
        ConceptRegression(ConceptAxes(draw(8, 5)), torch.empty(9, 0))
