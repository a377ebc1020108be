import pytest
import torch
from scipy.special import softmax

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.presence import (
    SHARPNESS,
    ConceptPresence,
    presence_lead,
    presence_normaliser,
    presence_temperature,
)


@pytest.fixture
def concept_matrix():
    return 0.2 + 0.03 * torch.randn(30, 9, generator=torch.Generator().manual_seed(0))


def test_temperature_brings_the_best_concept_to_the_stated_lead(concept_matrix):
    logits = presence_temperature(concept_matrix) * concept_matrix
    assert (logits.amax(dim=1) - logits.mean(dim=1)).mean().item() == pytest.approx(SHARPNESS, rel=1e-5)


@pytest.mark.parametrize("max_bytes", [1, 500, 2**26])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_columns_are_those_of_a_softmax(concept_matrix, dtype, max_bytes):
    matrix = concept_matrix.to(dtype)
    presence = ConceptPresence(matrix, temperature=40.0, max_bytes=max_bytes)
    expected = torch.from_numpy(softmax(40 * matrix.double().numpy(), axis=1))
    torch.testing.assert_close(presence.columns(slice(None)), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(presence.columns(torch.tensor([4, 4, 0])), expected[:, [4, 4, 0]], rtol=0, atol=1e-12)


def test_scale_and_shift_of_the_encoder_do_not_matter(concept_matrix):
    matrix = concept_matrix.double()
    brightness = torch.linspace(-1, 1, 30)[:, None]
    torch.testing.assert_close(
        ConceptPresence(7 * matrix + brightness).columns(slice(None)), ConceptPresence(matrix).columns(slice(None))
    )


def test_large_similarities_do_not_overflow(concept_matrix):
    presence = ConceptPresence(1e6 * concept_matrix, temperature=1e3).columns(slice(None))
    torch.testing.assert_close(presence.sum(dim=1), torch.ones(30, dtype=torch.float64))


@pytest.mark.parametrize("columns", [[0], [3, 3, 3]])
def test_concepts_that_cannot_be_told_apart_are_refused(concept_matrix, columns):
    with pytest.raises(ValueError, match=f"tell its {len(columns)} concepts apart"):
        presence_temperature(concept_matrix[:, columns])


@pytest.mark.parametrize("max_bytes", [1, 500, 2**26])
def test_parts_of_the_images_make_the_same_presence(max_bytes):
    generator = torch.Generator().manual_seed(1)
    factors = torch.randn(30, 4, generator=generator).double(), torch.randn(9, 4, generator=generator).double()
    matrix, parts = ConceptMatrix(*factors), [slice(0, 11), slice(11, 11), slice(11, 30)]
    whole = ConceptPresence(factors[0] @ factors[1].T)
    lead = torch.cat([presence_lead(matrix, part, max_bytes) for part in parts])
    temperature = presence_temperature(matrix, lead)
    assert temperature == pytest.approx(whole.temperature, rel=1e-12)
    normaliser = torch.cat([presence_normaliser(matrix, temperature, part, max_bytes) for part in parts])
    torch.testing.assert_close(normaliser, whole.normaliser, rtol=0, atol=1e-12)
    presence = ConceptPresence(matrix, temperature, normaliser=normaliser)
    torch.testing.assert_close(presence.columns(slice(None)), whole.columns(slice(None)), rtol=0, atol=1e-12)
    assert not matrix.is_kept


def test_half_precision_that_numpy_does_not_read(concept_matrix):
    presence = ConceptPresence(concept_matrix.bfloat16(), temperature=40.0)
    expected = torch.softmax(40 * concept_matrix.bfloat16().double(), dim=1)
    torch.testing.assert_close(presence.columns(slice(None)), expected, rtol=0, atol=1e-12)


def test_normaliser_of_other_images_is_refused(concept_matrix):
    with pytest.raises(ValueError, match="one value for each of 30 images but got 7"):
        ConceptPresence(concept_matrix, temperature=1.0, normaliser=torch.zeros(7, 1))
