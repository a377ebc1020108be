from math import isnan

import numpy as np
import pytest
import torch
from scipy.stats import binom
from scipy.stats import t as student_t

from lightning_dissect.labelling import label_specificity
from lightning_dissect.labelling.jackknife import student_quantile
from lightning_dissect.presence import ClassPresence, GivenPresence, SigmoidConstants, SigmoidPresence, UnionPresence
from lightning_dissect.probe import ConceptHierarchy, ConceptVocabulary, annotation_presence

LINES = {
    **dict.fromkeys(["beagle", "husky", "poodle"], ("dog", "animal")),
    **dict.fromkeys(["tabby", "siamese"], ("cat", "animal")),
    **dict.fromkeys(["chair", "sofa"], ("furniture",)),
}
VOCABULARY = ConceptVocabulary(tuple(LINES), hierarchy=LINES)
HIERARCHY = ConceptHierarchy.of(VOCABULARY)
CLASSES = torch.arange(700) % 7
PRESENCE = annotation_presence(CLASSES, VOCABULARY, HIERARCHY)


def fires_for(*names, noise=0.5, seed=0):
    on = sum(PRESENCE.columns(torch.tensor([HIERARCHY.place(name)]))[:, 0] for name in names)
    return on + noise * torch.randn(700, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("truth", "label", "verdict", "better"),
    [
        (["dog"], "beagle", "too specific", "dog"),
        (["animal"], "dog", "too specific", "animal"),
        (["beagle"], "dog", "too generic", "beagle"),
        (["cat"], "animal", "too generic", "cat"),
        (["husky"], "beagle", "beside", "husky"),
        (["beagle"], "beagle", "fits", None),
        (["dog"], "dog", "fits", None),
        (["animal"], "animal", "fits", None),
        ([], "beagle", "undecided", None),
        ([], "dog", "undecided", None),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_planted_units(truth, label, verdict, better, dtype):
    [found] = label_specificity(fires_for(*truth)[:, None].to(dtype), [label], PRESENCE, HIERARCHY)
    assert (found.label, found.verdict) == (label, verdict)
    if better:
        side = {"too specific": found.parent, "too generic": found.child, "beside": found.sibling}[verdict]
        assert side.name == better
        assert 0 < side.low < side.difference < side.high


@pytest.mark.parametrize("rule", ["maximum", "noisy_or", "sum"])
def test_planted_units_with_pseudo_labels(rule):
    generator = torch.Generator().manual_seed(3)
    cosines = 0.08 + 0.02 * torch.randn(700, 7, generator=generator) + 0.12 * torch.eye(7)[CLASSES]
    leaves = SigmoidPresence(cosines, SigmoidConstants(58.0, -0.13))
    presence = UnionPresence(leaves, HIERARCHY.members, rule)
    units = torch.stack([fires_for("dog"), fires_for("beagle"), fires_for("beagle"), fires_for("dog")], dim=1)
    found = label_specificity(units, ["beagle", "dog", "beagle", "dog"], presence, HIERARCHY)
    assert [unit.verdict for unit in found] == ["too specific", "too generic", "fits", "fits"]


@pytest.mark.parametrize("max_bytes", [1, 8 * 700 * 10, 2**26])
def test_against_a_transcription(max_bytes):
    units = torch.stack([fires_for("dog", noise=2.0, seed=seed) for seed in range(3)], dim=1)
    found = label_specificity(
        units, ["beagle", "dog", "beagle"], PRESENCE, HIERARCHY, confidence=0.9, max_bytes=max_bytes
    )
    everything = PRESENCE.columns(slice(None)).numpy()
    for unit, record in enumerate(found):
        place = HIERARCHY.place(record.label)
        parent = HIERARCHY.parents[place]
        count = 1 + len(HIERARCHY.children(place)) + len(HIERARCHY.siblings(place))
        x, own, other = units[:, unit].numpy(), everything[:, place], everything[:, parent]

        def difference(kept, x=x, own=own, other=other):
            return np.corrcoef(x[kept], other[kept])[0, 1] - np.corrcoef(x[kept], own[kept])[0, 1]

        left_out = np.array([difference(np.arange(700) != image) for image in range(700)])
        squares = (left_out - left_out.mean()) ** 2
        freedom = squares.sum() ** 2 / (squares**2).sum()
        reach = student_t.ppf(1 - 0.1 / (2 * count), freedom) * np.sqrt(699 / 700 * squares.sum())
        whole = difference(np.ones(700, dtype=bool))
        assert record.correlation == pytest.approx(np.corrcoef(x, own)[0, 1], abs=1e-12)
        assert record.parent.correlation == pytest.approx(np.corrcoef(x, other)[0, 1], abs=1e-12)
        assert (record.parent.low, record.parent.high) == pytest.approx((whole - reach, whole + reach), abs=1e-6)


def test_the_best_child_and_sibling_are_shown():
    [found] = label_specificity(fires_for("tabby")[:, None], ["animal"], PRESENCE, HIERARCHY)
    assert (found.parent, found.child.name, found.sibling) == (None, "cat", None)
    [found] = label_specificity(fires_for("poodle")[:, None], ["husky"], PRESENCE, HIERARCHY)
    assert (found.parent.name, found.child, found.sibling.name) == ("dog", None, "poodle")


@pytest.mark.parametrize("label", ["beagle", "dog"])
@pytest.mark.parametrize("sparse", [False, True])
def test_of_units_without_a_function_few_are_judged(label, sparse):
    units = torch.randn(700, 400, dtype=torch.float64, generator=torch.Generator().manual_seed(11))
    units = (units - 1).clamp(min=0) if sparse else units
    found = label_specificity(units, [label] * 400, PRESENCE, HIERARCHY)
    judged = sum(unit.verdict != "undecided" for unit in found)
    assert judged <= binom.ppf(0.999, 400, 0.05)


def test_a_unit_that_few_images_make_is_undecided():
    unit = (CLASSES == 1) * 0.01
    unit[1] = 1.0
    [found] = label_specificity(unit[:, None], ["husky"], PRESENCE, HIERARCHY)
    assert found.verdict == "undecided"
    assert found.parent.difference < -0.01
    assert isnan(found.parent.high)


@pytest.mark.parametrize("outside", [0.05, 0.005])
def test_the_quantile_is_that_of_student(outside):
    freedom = torch.tensor([4.9, 5.0, 9.5, 30.0, 1e6], dtype=torch.float64)
    quantile = torch.from_numpy(student_quantile(outside, freedom))
    assert isnan(quantile[0])
    expected = student_t.ppf(1 - outside / 2, freedom[1:].numpy())
    assert quantile[1:].tolist() == pytest.approx(expected.tolist(), rel=0.015)


def test_scale_shift_and_order_of_images_do_not_matter():
    unit = fires_for("dog")[:, None]
    [found] = label_specificity(unit, ["beagle"], PRESENCE, HIERARCHY)
    [scaled] = label_specificity(3 * unit + 7, ["beagle"], PRESENCE, HIERARCHY)
    order = torch.randperm(700, generator=torch.Generator().manual_seed(1))
    shuffled = annotation_presence(CLASSES[order], VOCABULARY, HIERARCHY)
    [permuted] = label_specificity(unit[order], ["beagle"], shuffled, HIERARCHY)
    for other in (scaled, permuted):
        assert other.verdict == found.verdict
        assert other.parent.low == pytest.approx(found.parent.low, abs=1e-12)


def test_neurons_of_which_nothing_can_be_said():
    units = torch.stack([torch.zeros(700), torch.arange(700.0).index_fill(0, torch.tensor([2]), torch.nan)], dim=1)
    for found in label_specificity(units, ["beagle", "dog"], PRESENCE, HIERARCHY):
        assert found.verdict == "undecided"
        assert isnan(found.correlation)
        assert isnan(found.parent.low)
    [found] = label_specificity(units[:, :1], [""], PRESENCE, HIERARCHY)
    assert (found.label, found.verdict, found.parent) == ("", "undecided", None)


def test_a_concept_in_the_same_images_decides_nothing():
    only_beagles = CLASSES.where((CLASSES == 0) | (CLASSES > 2), 0)
    presence = ClassPresence(only_beagles, 7, HIERARCHY.members)
    unit = (only_beagles == 0) + 0.1 * torch.randn(700, generator=torch.Generator().manual_seed(0))
    [found] = label_specificity(unit[:, None], ["beagle"], presence, HIERARCHY)
    assert found.verdict == "undecided"
    assert found.parent.difference == pytest.approx(0, abs=1e-12)
    assert isnan(found.sibling.correlation)


def test_a_concept_in_one_image_and_a_superclass_of_all_decide_nothing():
    vocabulary = ConceptVocabulary(("cat", "dog"))
    hierarchy = ConceptHierarchy.of(vocabulary, {"cat": "animal", "dog": "animal"})
    presence = annotation_presence(torch.tensor([0, 1, 1, 1, 1]), vocabulary, hierarchy)
    unit = torch.tensor([5.0, 1.0, 0.0, 2.0, 0.0])[:, None]
    [found] = label_specificity(unit, ["cat"], presence, hierarchy)
    assert found.verdict == "undecided"
    assert isnan(found.parent.correlation)
    assert isnan(found.sibling.low)
    assert not isnan(found.sibling.correlation)


def test_a_label_without_relatives_is_undecided():
    presence = GivenPresence(torch.rand(700, len(HIERARCHY.names), generator=torch.Generator().manual_seed(0)))
    hierarchy = ConceptHierarchy(HIERARCHY.names, HIERARCHY.members, (-1,) * len(HIERARCHY.names), 7)
    [found] = label_specificity(fires_for("dog")[:, None], ["dog"], presence, hierarchy)
    assert (found.verdict, found.parent, found.child, found.sibling) == ("undecided", None, None, None)


def test_arguments_that_do_not_fit_are_refused():
    unit = fires_for("dog")[:, None]
    with pytest.raises(ValueError, match=r"`activations` of shape \(700, 2\)"):
        label_specificity(unit, ["dog", "cat"], PRESENCE, HIERARCHY)
    with pytest.raises(ValueError, match="`presence` of the 11 names"):
        label_specificity(unit, ["dog"], ClassPresence(CLASSES, 7), HIERARCHY)
    with pytest.raises(ValueError, match="got 'lamp'"):
        label_specificity(unit, ["lamp"], PRESENCE, HIERARCHY)
    with pytest.raises(ValueError, match="`confidence` to be between 0 and 1 but got 1"):
        label_specificity(unit, ["dog"], PRESENCE, HIERARCHY, confidence=1)
    with pytest.raises(ValueError, match="`max_bytes`"):
        label_specificity(unit, ["dog"], PRESENCE, HIERARCHY, max_bytes=0)
    with pytest.raises(ValueError, match="at least 2 images but got 1"):
        label_specificity(unit[:1], ["dog"], annotation_presence(CLASSES[:1], VOCABULARY, HIERARCHY), HIERARCHY)


def test_what_is_found_of_a_neuron_does_not_depend_on_the_others():
    units = torch.stack([fires_for("dog", noise=1.5, seed=seed) for seed in range(6)], dim=1)
    labels = ["beagle", "dog", "", "animal", "cat", "beagle"]
    whole = label_specificity(units, labels, PRESENCE, HIERARCHY)
    parts = [label_specificity(units[:, [unit]], [labels[unit]], PRESENCE, HIERARCHY)[0] for unit in range(6)]
    assert repr(whole) == repr(tuple(parts))
