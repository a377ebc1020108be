import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from lightning_dissect.similarity.concept_space import ConceptSpace
from lightning_dissect.trust import ConceptRegression, principal_components


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def space_of(matrix, max_rank=64):
    return ConceptSpace(matrix, max_rank, 0, 2**20)


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
    regression = ConceptRegression(space_of(matrix), nuisances, shrinkage)
    torch.testing.assert_close(
        regression.explained(activations), slow_explained(activations, matrix, nuisances, shrinkage)
    )


def test_what_nuisances_say_is_not_explained():
    nuisances, rest = principal_components(draw(400, 6), 6), draw(400, 12, seed=1)
    matrix = torch.cat([30 * nuisances[:, :4], rest], dim=1)
    follower = nuisances[:, :1] + 0.02 * draw(400, 1, seed=2)
    assert ConceptRegression(space_of(matrix), torch.empty(400, 0)).explained(follower) > 0.5
    assert ConceptRegression(space_of(matrix), nuisances).explained(follower) < 0.1


def test_does_not_depend_on_scale_shift_or_blocks():
    matrix, activations = draw(50, 12), draw(50, 4, seed=1) + 5 * draw(50, 1, seed=2)
    nuisances = principal_components(draw(50, 3, seed=4), 2)
    whole = ConceptRegression(space_of(matrix), nuisances).explained(activations)
    narrow = ConceptRegression(ConceptSpace(3 * matrix + 7, 64, 0, 8), nuisances).explained(2 * activations - 9)
    torch.testing.assert_close(whole, narrow)


def test_undefined_neurons():
    matrix = draw(40, 10)
    nuisances = principal_components(draw(40, 2, seed=1), 2)
    activations = torch.stack([torch.ones(40), torch.full((40,), torch.nan), nuisances[:, 0] * 3, matrix[:, 0]], dim=1)
    explained = ConceptRegression(space_of(matrix), nuisances).explained(activations)
    assert explained.isnan().tolist() == [True, True, True, False]


def test_no_live_neuron():
    matrix = draw(40, 10)
    assert ConceptRegression(space_of(matrix), torch.empty(40, 0)).explained(torch.zeros(40, 3)).isnan().all()


def test_as_many_nuisances_as_images():
    with pytest.raises(ValueError, match="at least two images more than nuisances but got 8 images and 7"):
        ConceptRegression(space_of(draw(8, 5)), torch.eye(8)[:, :7])


def test_faulty_shrinkage():
    with pytest.raises(ValueError, match="Expected `shrinkage` to be greater than 0"):
        ConceptRegression(space_of(draw(8, 5)), torch.empty(8, 0), shrinkage=0)


@pytest.mark.parametrize("shape", [(60, 10), (10, 60)])
def test_components_are_those_of_scikit_learn(shape):
    features = draw(*shape)
    expected = PCA(4).fit_transform(StandardScaler().fit_transform(features.numpy()))
    components = principal_components(features, 4)
    cosines = (components * torch.from_numpy(expected)).sum(0).abs() / torch.from_numpy(expected).norm(dim=0)
    torch.testing.assert_close(cosines, torch.ones(4).double())
    torch.testing.assert_close(components.T @ components, torch.eye(4).double())


def test_constant_and_non_finite_features_do_not_count():
    features = torch.cat([draw(20, 2), torch.ones(20, 1), torch.full((20, 1), torch.inf)], dim=1)
    assert principal_components(features, 9).shape == (20, 2)
    assert principal_components(torch.ones(20, 3), 2).shape == (20, 0)
