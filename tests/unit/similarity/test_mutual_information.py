import math

import numpy as np
import pytest
import torch

from lightning_dissect.presence import ConceptPresence
from lightning_dissect.similarity import score_all
from lightning_dissect.similarity.mutual_information import PointwiseMutualInformation, shifted_rows, write_rows


@pytest.mark.parametrize("epsilon", [1e-7, 1e-30, 1e-290])
def test_products_never_underflow(epsilon):
    """Each concept is absent from almost every image, so that a plain product of factors would be zero."""
    generator = torch.Generator().manual_seed(0)
    activations = torch.randn(400, 3, generator=generator)
    concept_matrix = torch.zeros(400, 5).index_fill_(1, torch.tensor([0]), 1.0)
    information = PointwiseMutualInformation(
        ConceptPresence(concept_matrix, temperature=800.0),
        torch.ones(300, dtype=torch.float64),
        epsilon,
        prior_weight=0.0,
        max_bytes=2**20,
    )
    scores = score_all(information, activations)
    torch.testing.assert_close(scores[:, 0], torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-4)
    torch.testing.assert_close(scores[:, 1:], torch.full((3, 4), 300 * math.log(epsilon), dtype=torch.float64))


def test_shifted_rows_stand_tile_beside_tile():
    values = np.arange(12.0).reshape(3, 4)
    shifted = np.empty((2, 2, 2), dtype=np.float32)
    shifted_rows(values, np.array([2, 0]), 10.0, np.array([1.0, 2.0]), shifted)
    expected = 10 * values[[2, 0]] - np.array([[1.0], [2.0]])
    np.testing.assert_allclose(np.concatenate(list(shifted), axis=1), expected)


def test_shifted_rows_begin_anywhere_and_leave_no_number_unset():
    shifted = np.full((2, 1, 2), np.nan, dtype=np.float32)
    shifted_rows(np.arange(8.0).reshape(2, 4), np.array([1]), 10.0, np.array([1.0]), shifted, 1)
    assert shifted[:, 0].tolist() == [[49, 59], [69, 0]]


def test_rows_are_written_as_far_as_there_are_columns():
    written = np.zeros((3, 2), dtype=np.float32)
    write_rows(np.arange(6.0).reshape(2, 3), np.array([2, 0]), written)
    assert written.tolist() == [[3, 4], [0, 0], [0, 1]]
