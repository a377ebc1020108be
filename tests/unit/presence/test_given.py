import pytest
import torch

from lightning_dissect.presence import GivenPresence

VALUES = torch.tensor([[0.0, 0.25, 1.0], [0.5, 0.75, 0.125]])


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float16, torch.float64])
def test_keeps_the_values(dtype):
    values = VALUES.round().to(dtype)
    assert torch.equal(GivenPresence(values).columns(slice(None)), values.double())


def test_aligned_finds_concepts_by_name_and_images_by_id():
    presence = GivenPresence(VALUES, ["cat", "dog", "cow"], torch.tensor([9, 4]))
    aligned = presence.aligned(["cow", "cat"], torch.tensor([4, 9, 4][:2]))
    assert aligned.concepts == ("cow", "cat")
    assert aligned.sample_ids.tolist() == [4, 9]
    assert aligned.columns(slice(None)).tolist() == [[0.125, 0.5], [1.0, 0.0]]
    assert presence.aligned(["dog"]).sample_ids.tolist() == [9, 4]


def test_images_are_a_dataset_in_its_order_by_default():
    assert GivenPresence(VALUES, ["a", "b", "c"]).aligned(["a"], torch.tensor([1])).columns(slice(None)).item() == 0.5


@pytest.mark.parametrize("sample_ids", [[2], [0, -1], [1, 7, 8]])
def test_missing_images_are_named(sample_ids):
    with pytest.raises(ValueError, match=rf"images but got none for .* such as sample id ({sample_ids[-1]}|7)"):
        GivenPresence(VALUES, ["a", "b", "c"]).aligned(["a"], torch.tensor(sample_ids))


def test_missing_concepts_are_named_with_the_closest():
    with pytest.raises(ValueError, match=r"none of 1 of them, such as 'dgo'. Did you mean 'dog'\?"):
        GivenPresence(VALUES, ["cat", "dog", "cow"]).aligned(["cat", "dgo"])


def test_names_are_needed_to_align():
    with pytest.raises(ValueError, match="named concepts"):
        GivenPresence(VALUES).aligned(["cat"])


@pytest.mark.parametrize("values", [torch.zeros(3), torch.zeros(0, 3), torch.zeros(2, 2, dtype=torch.complex64)])
def test_what_is_no_matrix_is_refused(values):
    with pytest.raises(ValueError, match="`values` to be a non-empty real matrix"):
        GivenPresence(values)


@pytest.mark.parametrize("wrong", [-0.01, 1.01, float("nan"), float("inf")])
def test_what_is_no_probability_is_named(wrong):
    values = torch.zeros(5000, 2)
    values[4999, 1] = wrong
    with pytest.raises(ValueError, match="for sample id 4999 and concept 'dog'"):
        GivenPresence(values, ["cat", "dog"])
    with pytest.raises(ValueError, match="for sample id 4999 and concept 1"):
        GivenPresence(values)


def test_names_and_ids_must_be_one_each_and_different():
    with pytest.raises(ValueError, match="`concepts` to hold one of them per column, 3, but got 2"):
        GivenPresence(VALUES, ["cat", "dog"])
    with pytest.raises(ValueError, match="`concepts` to be different from each other but got 'cat' 2 times"):
        GivenPresence(VALUES, ["cat", "dog", "cat"])
    with pytest.raises(ValueError, match="`sample_ids` to be different from each other but got 7 2 times"):
        GivenPresence(VALUES, sample_ids=torch.tensor([7, 7]))
