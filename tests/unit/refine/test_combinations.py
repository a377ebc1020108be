import pytest
import torch

from lightning_dissect.refine.combinations import combine, unlike_pairs


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("dog", "ball", "dog and ball"),
        ("red", "car", "red car"),
        ("car", "Striped", "Striped car"),
        ("red", "striped", "red and striped"),
        ("polar bear", "wooden", "wooden polar bear"),
        ("dog and ball", "car", None),
        ("car", "dog & ball", None),
        ("car", "Dog AND Ball", None),
        ("a man with a big hat", "dog", None),
        ("band", "sand", "band and sand"),
    ],
)
def test_two_concepts_are_put_into_one(one, other, both):
    assert combine(one, other) == both


def test_pairs_of_the_best_come_first_and_pairs_that_say_the_same_do_not_come():
    alike = torch.eye(4)
    alike[0, 1] = alike[1, 0] = 0.9
    assert list(unlike_pairs(["dog", "puppy", "ball", "red"], alike)) == [
        "dog and ball",
        "puppy and ball",
        "red dog",
        "red puppy",
        "red ball",
    ]


def test_a_single_name_makes_no_pair():
    assert list(unlike_pairs(["dog"], torch.eye(1))) == []
