import pytest
import torch

from lightning_dissect.concept_matrix import ConceptMatrix


@pytest.fixture
def factors():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 3, generator=generator), torch.randn(5, 3, generator=generator)


@pytest.fixture(params=["factored", "kept", "whole"])
def matrix(request, factors):
    if request.param == "whole":
        return ConceptMatrix.of(factors[0] @ factors[1].T)
    return ConceptMatrix(*factors, max_bytes=6 * 5 * 4 if request.param == "kept" else 6 * 5 * 4 - 1)


@pytest.mark.parametrize("concepts", [slice(None), slice(1, 3), torch.tensor([4, 0, 0])])
@pytest.mark.parametrize("images", [slice(None), slice(2, 6), torch.tensor([5, 1])])
def test_parts_are_those_of_the_product(matrix, factors, concepts, images):
    expected = (factors[0] @ factors[1].T)[images][:, concepts]
    torch.testing.assert_close(matrix.columns(concepts, images), expected)
    torch.testing.assert_close(matrix.rows(images), (factors[0] @ factors[1].T)[images])
    assert matrix.shape == (6, 5)


def test_only_what_fits_is_kept(factors):
    assert not ConceptMatrix(*factors).is_kept
    assert not ConceptMatrix(*factors, max_bytes=119).is_kept
    matrix = ConceptMatrix(*factors, max_bytes=120)
    assert matrix.is_kept
    assert matrix.columns(slice(0, 2)).data_ptr() == matrix.whole.data_ptr()


def test_the_whole_stays_once_it_was_asked_for(factors):
    matrix = ConceptMatrix(*factors)
    assert matrix.whole is matrix.whole
    assert matrix.is_kept


def test_some_images(matrix):
    chosen = torch.tensor([4, 1])
    torch.testing.assert_close(matrix.of_images(chosen).whole, matrix.whole[chosen])
    assert matrix.of_images(chosen).is_factored == matrix.is_factored


def test_a_matrix_is_a_matrix_already(matrix):
    assert ConceptMatrix.of(matrix) is matrix


def test_factors_that_do_not_fit():
    with pytest.raises(ValueError, match=r"but got \(2, 3\) and \(2, 4\)"):
        ConceptMatrix(torch.ones(2, 3), torch.ones(2, 4))
