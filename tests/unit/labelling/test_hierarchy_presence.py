import pytest
import torch

from lightning_dissect.labelling.hierarchy_presence import HierarchyPresence
from lightning_dissect.presence import GivenPresence, UnionPresence
from lightning_dissect.probe import ConceptHierarchy, ConceptVocabulary

LINES = {"beagle": ("dog", "animal"), "husky": ("dog", "animal"), "tabby": ("animal",), "sofa": ()}
HIERARCHY = ConceptHierarchy.of(ConceptVocabulary(tuple(LINES), hierarchy=LINES))
LEAVES = GivenPresence(torch.rand(9, 4, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("max_bytes", [1, 2**20])
@pytest.mark.parametrize("chosen", [slice(None), torch.tensor([5, 4]), torch.tensor([1, 5]), torch.tensor([4])])
@pytest.mark.parametrize("images", [slice(None), torch.tensor([7, 0])])
def test_it_is_the_union_of_concepts(max_bytes, chosen, images):
    presence = HierarchyPresence(LEAVES, HIERARCHY, max_bytes)
    assert presence.shape == (9, 6)
    expected = UnionPresence(LEAVES, HIERARCHY.members).columns(chosen, images)
    for _ in range(2):
        found = presence.columns(chosen, images)
        assert torch.equal(found, expected)
        found.zero_()
