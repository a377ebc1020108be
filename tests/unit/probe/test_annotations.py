import pytest
import torch
from sklearn.preprocessing import label_binarize

from lightning_dissect.probe.annotations import annotation_matrix, annotation_presence
from lightning_dissect.probe.hierarchy import ConceptHierarchy
from lightning_dissect.probe.vocabulary import ConceptVocabulary

VOCABULARY = ConceptVocabulary(("cat", "dog", "cow"))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_class_indices(dtype):
    targets = torch.tensor([2, 0, 1, 2], dtype=dtype)
    matrix = annotation_matrix(targets, VOCABULARY)
    assert matrix.dtype == torch.float32
    assert matrix.tolist() == label_binarize(targets.numpy(), classes=[0, 1, 2]).tolist()


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float64])
def test_memberships(dtype):
    targets = torch.tensor([[1, 0, 1], [0, 0, 0]]).to(dtype)
    assert torch.equal(annotation_matrix(targets, VOCABULARY), targets.float())


def test_soft_memberships_keep_their_values():
    targets = torch.tensor([[0.25, 0.75, 0.0]])
    assert torch.equal(annotation_matrix(targets, VOCABULARY), targets)


def test_no_images():
    assert annotation_matrix(torch.zeros(0, dtype=torch.int64), VOCABULARY).shape == (0, 3)


@pytest.mark.parametrize(
    "targets",
    [
        torch.tensor([3]),
        torch.tensor([-1]),
        torch.tensor([0.0, 1.0]),
        torch.tensor([True]),
        torch.zeros(2, 4),
        torch.zeros(2, 3, 1),
        torch.tensor([[0.0, 2.0, 0.0]]),
        torch.tensor([[torch.nan, 0.0, 0.0]]),
    ],
)
def test_bad_targets_are_named_with_a_remedy(targets):
    with pytest.raises(ValueError, match=r"`targets`.*target_fn"):
        annotation_matrix(targets, VOCABULARY)


def test_a_vocabulary_that_lost_entries_no_longer_matches_the_classes():
    with pytest.raises(ValueError, match=r"`vocabulary`.*distinct name per class"):
        annotation_matrix(torch.tensor([0]), ConceptVocabulary.of(["crane", "Crane", "dog"]))


HIERARCHY = ConceptHierarchy.of(VOCABULARY, {"cat": "pet", "dog": "pet"})


@pytest.mark.parametrize("targets", [torch.tensor([2, 0, 1, 2]), torch.tensor([[1, 0, 1], [0, 0, 0]]).bool()])
def test_presence_is_the_matrix(targets):
    assert torch.equal(
        annotation_presence(targets, VOCABULARY).columns(slice(None)), annotation_matrix(targets, VOCABULARY).double()
    )


@pytest.mark.parametrize(
    ("targets", "pets"),
    [(torch.tensor([2, 0, 1]), [0.0, 1.0, 1.0]), (torch.tensor([[0.25, 0.5, 1.0], [0.0, 0.0, 1.0]]), [0.5, 0.0])],
)
def test_superclasses_come_after_the_concepts(targets, pets):
    presence = annotation_presence(targets, VOCABULARY, HIERARCHY)
    assert torch.equal(presence.columns(slice(0, 3)), annotation_matrix(targets, VOCABULARY).double())
    assert presence.columns(torch.tensor([3])).flatten().tolist() == pets


def test_bad_targets_are_refused_with_and_without_superclasses():
    for hierarchy in (None, HIERARCHY):
        with pytest.raises(ValueError, match=r"`targets`.*target_fn"):
            annotation_presence(torch.tensor([3]), VOCABULARY, hierarchy)


def test_a_hierarchy_of_other_concepts_is_refused():
    with pytest.raises(ValueError, match="`hierarchy` to be one of the 2 concepts"):
        annotation_presence(torch.tensor([0]), ConceptVocabulary(("cat", "dog")), HIERARCHY)
