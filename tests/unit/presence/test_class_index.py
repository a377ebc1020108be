import pytest
import torch
from torch.nn.functional import one_hot

from lightning_dissect.presence import ClassPresence

CLASSES = torch.tensor([2, 0, 1, 2, 3])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_by_default_concepts_are_classes(dtype):
    presence = ClassPresence(CLASSES.to(dtype), 4)
    assert torch.equal(presence.columns(slice(None)), one_hot(CLASSES, 4).double())


def test_a_concept_is_where_one_of_its_classes_is():
    members = [[0, 2], [], [1], [0, 1, 2, 3]]
    expected = torch.stack([torch.isin(CLASSES, torch.tensor(classes)) for classes in members], dim=1).double()
    assert torch.equal(ClassPresence(CLASSES, 4, members).columns(slice(None)), expected)


def test_no_images():
    assert ClassPresence(torch.zeros(0, dtype=torch.int64), 4).columns(slice(None)).shape == (0, 4)


@pytest.mark.parametrize("class_ids", [torch.zeros(3), torch.zeros(3, dtype=torch.bool), torch.zeros(3, 1).long()])
def test_what_is_no_class_index_is_refused(class_ids):
    with pytest.raises(ValueError, match="`class_ids` to hold one whole number per image"):
        ClassPresence(class_ids, 4)


@pytest.mark.parametrize(
    ("class_ids", "members", "name"),
    [([4], None, "class_ids"), ([-1], None, "class_ids"), ([0], [[0], [4]], "members")],
)
def test_classes_out_of_range_are_refused(class_ids, members, name):
    with pytest.raises(ValueError, match=f"`{name}` to hold classes from 0 to 3"):
        ClassPresence(torch.tensor(class_ids), 4, members)
