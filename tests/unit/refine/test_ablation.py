import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats

from lightning_dissect.encoders import EmbeddingCache
from lightning_dissect.refine.ablation import (
    FEWEST_PAIRS,
    ConceptRemover,
    ImagePairs,
    RemovedConcept,
    ablate,
    ablation_effect,
)
from lightning_dissect.refine.concept_check import EncoderCheck
from tests.helpers.colour_patches import COLOURS, ColourEncoder, patch_scores, patched_images


def draws(count, seed=0, parts=4):
    return torch.randn(parts, count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_effect(with_, without, control_with, control_without, scale):
    """Effect and exact p-value, pair by pair and pattern by pattern."""
    differences = [
        ((a - b) - (c - d)) / scale
        for a, b, c, d in zip(*(x.tolist() for x in (with_, without, control_with, control_without)), strict=True)
    ]
    effect = sum(differences) / len(differences)
    patterns = [
        abs(sum(sign * d for sign, d in zip(signs, differences, strict=True)) / len(differences))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return effect, sum(value >= abs(effect) - 1e-12 for value in patterns) / len(patterns)


@pytest.mark.parametrize("count", [10, 12])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_effect_and_p_value_are_those_of_a_slow_transcription(count, shift):
    a, b, c, d = draws(count, seed=count)
    found = ablation_effect(a + shift, b, c, d, scale=1.7)
    effect, p_value = slow_effect(a + shift, b, c, d, 1.7)
    assert found.effect == pytest.approx(effect)
    assert found.p_value == pytest.approx(p_value)
    assert found.fall == pytest.approx(float((a + shift - b).mean()) / 1.7)
    assert found.control_fall == pytest.approx(float((c - d).mean()) / 1.7)
    assert found.outcome == "measured"
    assert found.pairs == count


@pytest.mark.parametrize(("count", "tolerance"), [(11, 1e-12), (40, 0.02)])
def test_the_p_value_is_that_of_scipy(count, tolerance):
    a, b, c, d = draws(count, seed=3)
    found = ablation_effect(a + 0.4, b, c, d, scale=1.0, resamples=9999)
    differences = ((a + 0.4 - b) - (c - d)).numpy()
    expected = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=9999)
    assert found.p_value == pytest.approx(expected.pvalue, abs=tolerance)


def test_the_interval_nears_that_of_scipy_and_of_student_with_many_pairs():
    a, b, c, d = draws(400, seed=5)
    found = ablation_effect(a + 0.3, b, c, d, scale=1.0, resamples=4000)
    differences = ((a + 0.3 - b) - (c - d)).numpy()
    by_scipy = stats.bootstrap((differences,), np.mean, n_resamples=4000).confidence_interval
    by_student = stats.t.interval(0.95, 399, differences.mean(), stats.sem(differences))
    for expected in (by_scipy, by_student):
        assert found.interval == pytest.approx(tuple(expected), abs=0.02)


def test_the_interval_covers_what_it_says_with_ten_pairs():
    missed = 0
    for seed in range(300):
        low, high = ablation_effect(*draws(10, seed), scale=1.0, resamples=500, seed=seed).interval
        missed += not low <= 0 <= high
    assert stats.binomtest(missed, 300, 0.05).pvalue > 0.01


def test_a_larger_scale_only_changes_the_unit():
    parts = draws(15, seed=1)
    one, ten = (ablation_effect(*parts, scale=scale) for scale in (1.0, 10.0))
    assert ten.effect == pytest.approx(one.effect / 10)
    assert ten.interval == pytest.approx([end / 10 for end in one.interval])
    assert ten.p_value == one.p_value


def test_equal_seeds_give_equal_results():
    parts = draws(20, seed=2)
    assert ablation_effect(*parts, scale=1.0, seed=4) == ablation_effect(*parts, scale=1.0, seed=4)
    assert ablation_effect(*parts, scale=1.0, seed=4) != ablation_effect(*parts, scale=1.0, seed=5)


def test_pairs_that_all_fall_alike_have_an_interval_of_no_width():
    rest = torch.zeros(10)
    found = ablation_effect(rest + 2, rest, rest, rest, scale=1.0)
    assert found.effect == found.relative_fall * 2 == 2
    assert found.interval == (2.0, 2.0)
    assert found.p_value == 2 / 2**10


def test_a_relative_fall_needs_a_positive_activation():
    rest = torch.linspace(-1, 0, 10)
    assert math.isnan(ablation_effect(rest, rest - 1, rest, rest, scale=1.0).relative_fall)
    assert ablation_effect(rest + 2, rest + 2, rest, rest, scale=1.0).relative_fall == 0


@pytest.mark.parametrize("count", [0, 1, FEWEST_PAIRS - 1])
def test_too_few_pairs_are_said_so_without_numbers(count):
    found = ablation_effect(*draws(count), scale=1.0)
    assert (found.outcome, found.pairs) == ("too few pairs", count)
    assert all(math.isnan(value) for value in (found.effect, *found.interval, found.p_value, found.fall))


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_a_dead_unit_is_not_scorable(scale):
    assert ablation_effect(*draws(12), scale=scale).outcome == "not scorable"


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_unit_that_is_not_finite_is_not_scorable(part, value):
    parts = draws(12)
    parts[part, 3] = value
    found = ablation_effect(*parts, scale=1.0)
    assert found.outcome == "not scorable"
    assert math.isnan(found.effect)


@pytest.mark.parametrize(
    ("parts", "settings", "message"),
    [
        ((torch.zeros(10),) * 3 + (torch.zeros(9),), {}, "one shape"),
        ((torch.zeros(10, 1),) * 4, {}, "one shape"),
        ((torch.zeros(10),) * 4, {"confidence": 1.0}, "confidence"),
        ((torch.zeros(10),) * 4, {"resamples": 0}, "resamples"),
    ],
)
def test_what_cannot_be_measured_is_refused(parts, settings, message):
    with pytest.raises(ValueError, match=message):
        ablation_effect(*parts, scale=1.0, **settings)


def grey(values):
    return torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)


def brightness(images):
    return images.float().mean(dim=(1, 2, 3))[:, None]


class Shelf:
    """Pairs that were made before."""

    def __init__(self, removed):
        self.removed = removed

    def remove(self, concept, count):
        return self.removed

    def fingerprint(self):
        return "shelf"


def is_dark(concept, pairs):
    return brightness(pairs.without)[:, 0] < 5


def shelf(dark=12, bright=0, control=200):
    with_ = [100 + place for place in range(dark + bright)]
    without = [0] * dark + [90] * bright
    pairs = ImagePairs(grey(with_), grey(without))
    return Shelf(RemovedConcept(pairs, ImagePairs(grey(with_), grey([control] * (dark + bright)))))


def test_only_pairs_from_which_the_concept_is_gone_count():
    found = ablate("light", shelf(dark=11, bright=5), brightness, is_dark, scale=torch.tensor([10.0]))
    assert (found.kept, found.rejected) == (11, 5)
    assert found.effects[0].fall == pytest.approx(10.5)


def test_a_control_edit_that_takes_the_concept_away_does_not_count():
    found = ablate("light", shelf(dark=12, control=0), brightness, is_dark, scale=torch.ones(2))
    assert (found.kept, found.rejected) == (0, 12)
    assert [effect.outcome for effect in found.effects] == ["too few pairs"] * 2


def test_no_pairs_at_all_are_no_error():
    found = ablate("light", shelf(dark=0), brightness, is_dark, scale=torch.ones(1))
    assert (found.concept, found.kept, found.rejected) == ("light", 0, 0)


def test_each_unit_has_its_own_scale_and_a_dead_one_is_said_so():
    def read(images):
        return torch.cat([brightness(images), brightness(images), 0 * brightness(images)], dim=1)

    found = ablate("light", shelf(), read, is_dark, scale=torch.tensor([1.0, 2.0, 0.0]))
    assert found.effects[0].effect == pytest.approx(2 * found.effects[1].effect)
    assert found.effects[2].outcome == "not scorable"


def test_what_a_reader_or_a_check_returns_is_looked_at():
    with pytest.raises(ValueError, match="`read` to return activations of shape"):
        ablate("light", shelf(), brightness, is_dark, scale=torch.ones(3))
    for check in (lambda concept, pairs: torch.ones(3, dtype=torch.bool), lambda concept, pairs: torch.ones(12)):
        with pytest.raises(ValueError, match="`check` to return bool of shape"):
            ablate("light", shelf(), brightness, check, scale=torch.ones(1))


def test_pairs_are_images_of_one_shape_and_have_controls():
    with pytest.raises(ValueError, match="uint8 images"):
        ImagePairs(grey([1, 2]).float(), grey([1, 2]))
    with pytest.raises(ValueError, match="one shape"):
        ImagePairs(grey([1, 2]), grey([1]))
    with pytest.raises(ValueError, match="one control pair per pair"):
        RemovedConcept(ImagePairs(grey([1]), grey([1])), ImagePairs(grey([1, 2]), grey([1, 2])))


class Brush:
    """Paints a colour over with grey, and for the control the colour before it; now and then it forgets to."""

    def remove(self, concept, count):
        images, shown = patched_images(400, seed=21, share=0.4)
        index = list(COLOURS).index(concept)
        images = images[shown[:, index] & shown[:, index - 1]][:count]
        gone = self.paint(images, concept)
        gone[::7] = images[::7]
        other = self.paint(images, list(COLOURS)[index - 1])
        return RemovedConcept(ImagePairs(images, gone), ImagePairs(images, other))

    def paint(self, images, colour):
        pure = torch.tensor(COLOURS[colour], dtype=torch.uint8).view(1, 3, 1, 1)
        return torch.where((images == pure).all(dim=1, keepdim=True), torch.tensor(120).byte(), images)

    def fingerprint(self):
        return "brush"


def noisy_colours(images):
    """One unit per colour, each with noise of its own that hangs on the pixels."""
    noise = (images.double().flatten(1) @ draws(images[0].numel(), seed=8, parts=6).T).sin()
    return patch_scores(images) + 0.02 * noise


@pytest.mark.parametrize("colour", ["green", "blue", "cyan"])
def test_a_unit_misses_its_own_concept_and_no_other(colour):
    assert isinstance(Brush(), ConceptRemover)
    check = EncoderCheck(EmbeddingCache(ColourEncoder()), patched_images(200, share=0.05)[0], fall=1.0)
    scale = noisy_colours(patched_images(200)[0]).std(dim=0)
    found = ablate(colour, Brush(), noisy_colours, check, scale=scale, count=28)
    assert (found.kept, found.rejected) == (24, 4)
    own = list(COLOURS).index(colour)
    for unit, effect in enumerate(found.effects):
        low, high = effect.interval
        if unit == own:
            assert low > 0.5
            assert effect.p_value < 0.001
        elif unit == own - 1:
            assert high < -0.5
        else:
            assert low <= 0 <= high
