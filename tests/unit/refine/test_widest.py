import numpy as np
import pytest
import torch

from lightning_dissect.refine.widest import CLIMB_ERRORS, widest_as_good

NAMES = ("beagle", "husky", "tabby", "dog", "animal", "beagle and tabby")
ABOVE = {"beagle": ("dog", "animal"), "husky": ("dog", "animal"), "tabby": ("animal",), "dog": ("animal",)}


def above(name):
    return ABOVE.get(name, ())


def images(seed=0, count=300):
    """Return similarities with all names, and what each of them sees without noise."""
    rng = np.random.default_rng(seed)
    shown = rng.choice(4, count, p=[0.1, 0.1, 0.1, 0.7])
    beagle, husky, tabby = (1.0 * (shown == place) for place in range(3))
    dog = beagle + husky
    exact = np.stack([beagle, husky, tabby, dog, dog + tabby, beagle + tabby], axis=1)
    return torch.from_numpy(exact + rng.normal(0, 0.2, exact.shape)), torch.from_numpy(exact)


@pytest.mark.parametrize("name", ["beagle", "tabby", "dog", "animal"])
def test_a_neuron_is_what_it_sees(name):
    for seed in range(5):
        similarities, exact = images(seed)
        assert widest_as_good(NAMES, exact[:, NAMES.index(name)], similarities, above) == name


def test_two_at_once_are_the_answer_where_both_are_needed():
    similarities, exact = images()
    assert widest_as_good(NAMES, exact[:, 5], similarities, above) == "beagle and tabby"
    alone = similarities[:, [0, 5]].clone()
    alone[:, 1] = alone[:, 0] + 1e-6 * similarities[:, 2]
    assert widest_as_good(("beagle", "beagle and tabby"), exact[:, 0], alone, lambda _: ()) == "beagle"
    assert widest_as_good(("beagle and tabby",), exact[:, 0], alone[:, :1], lambda _: ()) == "beagle and tabby"


def test_errors_are_those_of_a_difference_of_correlations():
    similarities, exact = images(3, 400)
    answers = []
    for share in np.linspace(0, 1, 41):
        wide = (1 - share) * similarities[:, 0] + share * similarities[:, 1]
        z, own, other = (
            (each - each.mean()) / each.std() for each in map(np.asarray, (exact[:, 0], similarities[:, 0], wide))
        )
        loss, error = np.mean(z * (own - other)), np.std(z * (own - other), ddof=1) / 20
        assert loss == pytest.approx(np.corrcoef(z, own)[0, 1] - np.corrcoef(z, other)[0, 1], abs=1e-12)
        answers.append("dog" if loss <= CLIMB_ERRORS * error else "beagle")
        both = torch.stack([similarities[:, 0], wide], dim=1)
        assert widest_as_good(("beagle", "dog"), exact[:, 0], both, lambda name: above(name)[:1]) == answers[-1]
    assert set(answers) == {"beagle", "dog"}


def test_scale_and_order_of_images_make_no_difference():
    similarities, exact = images(1)
    order = torch.randperm(len(exact), generator=torch.Generator().manual_seed(0))
    for place in range(5):
        found = widest_as_good(NAMES, exact[:, place], similarities, above)
        assert widest_as_good(NAMES, exact[order, place] * 7 - 2, similarities[order] / 3 + 1, above) == found


def test_where_nothing_differs_the_first_name_is_it():
    similarities, _ = images()
    assert widest_as_good(("tree", "tabby"), torch.ones(300), similarities[:, :2], lambda _: ()) == "tree"
    assert widest_as_good(("tree", "tabby"), similarities[:, 0], torch.ones(300, 2), lambda _: ()) == "tree"
