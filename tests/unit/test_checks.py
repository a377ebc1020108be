import pytest
import torch

from lightning_dissect.checks import check_positive, check_score_inputs, closest, require_package


def test_matching_inputs_pass():
    check_score_inputs(torch.rand(3, 2), torch.rand(3, 5))


@pytest.mark.parametrize(
    ("activations", "concepts", "message"),
    [
        (torch.rand(3), torch.rand(3, 5), r"`activations` to be a non-empty 2-D tensor but got shape \(3,\)"),
        (torch.rand(3, 2), torch.rand(3, 0), r"`concept_matrix` to be a non-empty 2-D tensor but got shape \(3, 0\)"),
        (torch.rand(3, 2), torch.rand(4, 5), "same number of images but got 3 and 4"),
    ],
)
def test_inputs_that_do_not_fit_are_named(activations, concepts, message):
    with pytest.raises(ValueError, match=message):
        check_score_inputs(activations, concepts)


@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_check_positive(value):
    with pytest.raises(ValueError, match="Expected `k` to be greater than 0 but got"):
        check_positive("k", value)


def test_a_missing_package_says_what_to_install():
    with pytest.raises(
        ModuleNotFoundError, match=r"X needs the package `no_such_package`: pip install 'thing\[extra\]'"
    ):
        require_package("no_such_package", "thing[extra]", "X")
    require_package("torch", "torch", "X")


def test_closest_falls_back_to_the_first_candidates_and_admits_an_empty_list():
    assert closest("zzz", ["a", "b"]) == "There are 'a', 'b'."
    assert closest("zzz", []) == "There is none to choose from."
