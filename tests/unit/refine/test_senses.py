import pytest
import torch

from lightning_dissect.label_refinement import Sense
from lightning_dissect.refine.senses import find_senses
from tests.helpers.planted_senses import sense_rates, synthetic_world

CONCEPTS = ("dog", "puppy", "ball", "cloud")
TEXTS = torch.tensor([[1.0, 0.1, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
SHOWN = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]).float()
SCORES = torch.tensor([2.0, 1.8, 1.5, 0.1])
ACTIVATIONS = torch.tensor([3.0, 2.0, 2.5, 0.2, 0.1, 0.0])
IDS = torch.tensor([60, 50, 40, 30, 20, 10])


def senses(**changes):
    arguments = {
        "concepts": CONCEPTS,
        "scores": SCORES,
        "text_embeddings": TEXTS,
        "similarities": SHOWN,
        "activations": ACTIVATIONS,
        "image_ids": IDS,
        "num_images": 3,
    }
    return find_senses(**(arguments | changes))


def test_concepts_of_one_meaning_are_together_and_what_scores_little_is_no_meaning():
    assert senses() == (
        Sense(("dog", "puppy"), pytest.approx(2 / 3), (60, 50)),
        Sense(("ball",), pytest.approx(1 / 3), (40,)),
    )


def test_images_that_show_several_meanings_are_shared_out():
    shown = SHOWN.clone()
    shown[1, 2] = 1
    (dog, ball) = senses(similarities=shown, affinity=0.3)
    assert (dog.share, ball.share) == (pytest.approx(0.5), pytest.approx(0.5))
    assert (dog.image_ids, ball.image_ids) == ((60, 50), (40, 50))


def test_concepts_on_the_same_images_are_one_meaning_though_their_texts_differ():
    shown = SHOWN.clone()
    shown[:, 2] = shown[:, 0]
    assert [sense.concepts for sense in senses(similarities=shown)] == [("dog", "puppy", "ball")]


def test_a_meaning_that_no_activating_image_shows_is_left_out():
    shown = SHOWN.clone()
    shown[:, 2] = shown[:, 3]
    assert [sense.concepts for sense in senses(similarities=shown)] == [("dog", "puppy")]
    shown[:, 2] = 1.0
    assert [sense.concepts for sense in senses(similarities=shown)] == [("dog", "puppy")]
    assert len(senses(similarities=shown, least_share=0)) == 2


def test_a_higher_share_hides_the_weaker_meaning():
    assert [sense.concepts for sense in senses(share=0.8)] == [("dog", "puppy")]
    assert [sense.concepts for sense in senses(share=1)] == [("dog",)]


def test_neither_scale_nor_order_matters():
    order, rows = torch.tensor([2, 0, 3, 1]), torch.tensor([5, 3, 1, 0, 2, 4])
    assert senses(scores=7 * SCORES, similarities=0.01 * SHOWN + 5, activations=3 * ACTIVATIONS - 9) == senses()
    assert senses() == senses(
        concepts=[CONCEPTS[place] for place in order],
        scores=SCORES[order],
        text_embeddings=TEXTS[order],
        similarities=SHOWN[rows][:, order],
        activations=ACTIVATIONS[rows],
        image_ids=IDS[rows],
    )


def test_of_images_that_activate_alike_the_smaller_id_comes_first():
    assert senses(activations=torch.tensor([2.0, 2.0, 2.0, 0, 0, 0]))[0].image_ids == (50, 60)


@pytest.mark.parametrize(
    "changes",
    [
        {"activations": torch.ones(6)},
        {"activations": torch.tensor([1.0, torch.nan, 0, 0, 0, 0])},
        {"scores": torch.tensor([0.0, -1, -2, -3])},
        {"scores": torch.full((4,), torch.nan)},
    ],
)
def test_a_neuron_without_meaning_has_none(changes):
    assert senses(**changes) == ()


def test_scores_that_are_missing_do_not_count():
    assert [sense.concepts for sense in senses(scores=torch.tensor([torch.nan, 2.0, torch.nan, torch.nan]))] == [
        ("puppy",)
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"concepts": ()}, "concepts and images but got 0 and 6"),
        ({"scores": torch.ones(3)}, r"`scores` of shape \(4,\) but got \(3,\)"),
        ({"text_embeddings": torch.ones(4)}, r"`text_embeddings` of shape \(4, 4\) but got \(4,\)"),
        ({"similarities": SHOWN.T}, r"`similarities` of shape \(6, 4\)"),
        ({"image_ids": IDS[:5]}, r"`image_ids` of shape \(6,\)"),
        ({"share": 1.5}, "`share` to be between 0 and 1 but got 1.5"),
        ({"num_images": 0}, "`num_images` to be 1 or more but got 0"),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        senses(**changes)


@pytest.mark.parametrize(("kind", "rate"), [("one", "one"), ("or", "both"), ("or", "exactly both")])
def test_planted_units_have_the_senses_that_they_have(kind, rate):
    assert sense_rates(synthetic_world(), kind, units=20)[rate] >= 0.8


@pytest.mark.parametrize("kind", ["and", "not", "random"])
def test_planted_units_of_no_clear_meaning_have_few(kind):
    assert sense_rates(synthetic_world(), kind, units=20)["mean"] <= 2.5
