import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from lightning_dissect.trust import principal_components


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


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


@pytest.mark.parametrize("shape", [(500, 200), (150, 300)])
def test_leading_components_of_many_features(shape):
    features = draw(shape[0], 12) @ (draw(12, shape[1], seed=1) * 0.7 ** torch.arange(12.0)[:, None])
    features += 1e-3 * draw(*shape, seed=2)
    standardised = torch.from_numpy(StandardScaler().fit_transform(features.numpy()))
    left = torch.linalg.svd(standardised, full_matrices=False).U
    components = principal_components(features, 4, max_bytes=2**12)
    torch.testing.assert_close((components.T @ left[:, :4]).abs(), torch.eye(4).double(), atol=1e-9, rtol=0)


def test_large_matrices_of_low_rank():
    features = draw(400, 3) @ draw(3, 200, seed=1)
    components = principal_components(features, 5)
    assert components.shape == (400, 3)
    torch.testing.assert_close(components.T @ components, torch.eye(3).double())
