import torch

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.trust import ConceptAxes


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_axes(matrix):
    centred = matrix - matrix.mean(dim=1, keepdim=True)
    centred = centred - centred.mean(dim=0)
    return torch.linalg.svd(centred * (len(matrix) / centred.square().sum()).sqrt(), full_matrices=False)


def test_singular_values_of_the_centred_matrix():
    matrix = draw(40, 9)
    strengths = ConceptAxes(matrix).strengths
    torch.testing.assert_close(strengths.flip(0)[:8], slow_axes(matrix).S.square()[:8])
    torch.testing.assert_close(strengths.sum(), torch.tensor(40.0).double())


def test_what_columns_have_along_the_axes():
    image_factors, concept_factors, activations = draw(50, 6), draw(20, 6, seed=1), draw(50, 3, seed=2)
    axes = ConceptAxes(ConceptMatrix(image_factors, concept_factors))
    left, lengths, _ = slow_axes(image_factors @ concept_factors.T)
    centred = activations - activations.mean(dim=0)
    along = axes.towards.T @ axes.image_factors.T @ centred
    expected = lengths[:, None] * (left.T @ centred)
    torch.testing.assert_close(along.flip(0).abs(), expected[: len(along)].abs())


def test_blocks_do_not_matter():
    matrix = draw(30, 12)
    torch.testing.assert_close(ConceptAxes(matrix, max_bytes=1).strengths, ConceptAxes(matrix).strengths)


def test_a_matrix_that_tells_nothing_apart_has_no_strength():
    assert ConceptAxes(torch.ones(5, 3)).strengths.tolist() == [0.0]
