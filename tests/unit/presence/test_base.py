import pytest
import torch

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.labelling import CLIPDissect
from lightning_dissect.metrics import PearsonCorrelation
from lightning_dissect.presence import (
    ClassPresence,
    ConceptPresence,
    GivenPresence,
    PresenceSource,
    SigmoidConstants,
    SigmoidPresence,
    UnionPresence,
)

IMAGES, CONCEPTS = 30, 7


@pytest.fixture
def matrix():
    generator = torch.Generator().manual_seed(0)
    return ConceptMatrix(
        torch.randn(IMAGES, 4, generator=generator).double(), torch.randn(CONCEPTS, 4, generator=generator).double() / 9
    )


@pytest.fixture(params=["softmax", "sigmoid", "classes", "given", "union"])
def source(request, matrix):
    values = matrix.columns(slice(None)).sigmoid()
    return {
        "softmax": lambda: ConceptPresence(matrix),
        "sigmoid": lambda: SigmoidPresence(matrix, SigmoidConstants(5.0, -0.1)),
        "classes": lambda: ClassPresence(torch.arange(IMAGES) % CONCEPTS, CONCEPTS),
        "given": lambda: GivenPresence(values),
        "union": lambda: UnionPresence(GivenPresence(values), [[i, (i + 1) % CONCEPTS] for i in range(CONCEPTS)]),
    }[request.param]()


def test_every_source_keeps_the_protocol(source):
    assert isinstance(source, PresenceSource)
    assert source.shape == (IMAGES, CONCEPTS)
    everything = source.columns(slice(None))
    assert everything.shape == (IMAGES, CONCEPTS)
    assert everything.dtype == torch.float64
    assert ((everything >= 0) & (everything <= 1)).all()


@pytest.mark.parametrize("concepts", [slice(1, 5, 2), slice(3, 3), torch.tensor([5, 0, 5]), torch.tensor([]).long()])
@pytest.mark.parametrize("images", [slice(None), slice(4, 20, 3), torch.tensor([7, 7, 2]), torch.tensor([]).long()])
def test_parts_are_those_of_the_whole(source, concepts, images):
    everything = source.columns(slice(None))
    torch.testing.assert_close(source.columns(concepts, images), everything[images][:, concepts], rtol=0, atol=1e-12)


def test_what_is_returned_may_be_written_to(source):
    before = source.columns(slice(None)).clone()
    source.columns(slice(None)).zero_()
    assert torch.equal(source.columns(slice(None)), before)


def test_a_factored_matrix_is_never_whole(source, matrix):
    source.columns(torch.tensor([0, 3]))
    assert not matrix.is_kept


def test_every_source_serves_labelling(source, matrix):
    generator = torch.Generator().manual_seed(1)
    activations, top = torch.randn(IMAGES, 3, generator=generator), torch.zeros(3, 1)
    table = CLIPDissect(candidates=2).prepared(matrix, source).table(activations, top, top.long())
    everything = PearsonCorrelation().score(activations, source.columns(slice(None)))
    torch.testing.assert_close(table.qualities, everything.gather(1, table.concepts), rtol=0, atol=1e-12)
