import pytest
import torch

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.similarity.concept_factors import in_factors


@pytest.mark.parametrize(("max_rank", "dimensions"), [(1536, 11), (11, 11), (10, 10)])
def test_product_of_factors_has_the_centred_matrix(concept_matrix, max_rank, dimensions):
    def centred(values):
        both = values.double() - values.double().mean(dim=1, keepdim=True)
        return both - both.mean(dim=0)

    factors = in_factors(ConceptMatrix.of(concept_matrix), max_rank, seed=0, max_bytes=2**20)
    assert factors.concept_factors.shape == (11, dimensions)
    torch.testing.assert_close(centred(factors.whole), centred(concept_matrix), rtol=0, atol=1e-9)


def test_few_images_and_many_concepts(concept_matrix):
    factors = in_factors(ConceptMatrix.of(concept_matrix.T), 50, seed=0, max_bytes=2**20)
    assert factors.image_factors.shape == (11, 11)
    torch.testing.assert_close(factors.whole, concept_matrix.T)


def test_factors_stay_what_they_are():
    matrix = ConceptMatrix(torch.ones(4, 2), torch.ones(3, 2))
    assert in_factors(matrix, 1, seed=0, max_bytes=1) is matrix


def test_no_more_dimensions_than_images():
    generator = torch.Generator().manual_seed(0)
    matrix = ConceptMatrix(torch.randn(7, 90, generator=generator), torch.randn(5, 90, generator=generator))
    factors = in_factors(matrix, 1536, seed=0, max_bytes=2**20)
    assert factors.image_factors.shape == (7, 7)
    torch.testing.assert_close(factors.columns(slice(None)), matrix.columns(slice(None)))
