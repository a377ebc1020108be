from dataclasses import replace

import numpy as np
import pytest

from lightning_dissect.history import ALL_LAYERS, DissectionHistory
from lightning_dissect.history.comparison import MINIMUM_IMAGES, compare_runs
from lightning_dissect.kept_activations import KeptActivations
from tests.helpers.label_history import report_of

WORDS = ["cat", "dog", "tree|bush", "?sky", "-", "car", "sea", "moon"]


def run(words, activations=None, ids=None, **changes):
    """The history of one dissection; ``activations`` are those of ``fc`` or of several layers."""
    layers = activations if isinstance(activations, dict) else {"fc": activations}
    if activations is not None:
        ids = np.arange(len(next(iter(layers.values())))) if ids is None else ids
        changes["activations"] = KeptActivations(ids, layers)
    history = DissectionHistory()
    history.append(report_of(0, words, **changes))
    return history


def responses(units=8, images=64, seed=0):
    return np.random.default_rng(seed).random((images, units)).astype(np.float16)


def shuffled(words, activations, seed=1):
    order = np.random.default_rng(seed).permutation(len(words))
    return [words[unit] for unit in order], activations[:, order]


def test_permuted_channels_have_no_churn_after_matching():
    activations = responses()
    words, moved = shuffled(WORDS, activations)
    first, second = run(WORDS, activations, stability=0.75), run(words, moved, stability=0.75)
    (layer,) = compare_runs(first, second).layers
    assert (layer.pairs, layer.reliable, layer.churn, layer.overlap) == (8, 6, 0.0, 1.0)
    assert layer.churn_floor == 0.25
    assert layer.semantic_churn == 0.0
    assert layer.reproducible == ("car", "cat", "dog", "moon", "sea", "tree")
    assert layer.reproducible_share == 1
    (unmatched,) = compare_runs(first, second, match=False).layers
    assert unmatched.matching is None
    assert unmatched.churn > 0.5
    assert unmatched.reproducible == layer.reproducible


def test_labels_of_the_same_unit_are_compared():
    activations = responses(4)
    words, moved = shuffled(["cat", "dog", "tree|bush", "sky"], activations)
    renamed = {"cat": "puppy", "dog": "dog", "tree|bush": "bush|tree", "sky": "?sky"}
    vectors = {"cat": [1.0, 0.0], "puppy": [0.6, 0.8], "tree": [0.0, 1.0], "bush": [0.0, 1.0]}
    first = run(["cat", "dog", "tree|bush", "sky"], activations, embeddings=vectors)
    comparison = compare_runs(first, run([renamed[word] for word in words], moved, embeddings=vectors))
    (layer,) = comparison.layers
    assert (layer.pairs, layer.reliable) == (4, 3)
    assert layer.churn == pytest.approx(2 / 3)
    assert layer.overlap == pytest.approx(2 / 3)
    assert layer.semantic_churn == pytest.approx(0.4 / 3, abs=1e-3)
    assert layer.reproducible == ("dog",)
    assert layer.only_first == ("cat", "sky", "tree")
    assert layer.only_second == ("bush", "puppy")
    assert layer.reproducible_share == pytest.approx(1 / 6)


def test_an_undecided_label_is_not_shared():
    first, second = run(["cat", "a|b|rest"]), run(["cat", "dog"])
    layer = compare_runs(first, second, match=False).layers[0]
    assert (layer.reliable, layer.churn, layer.overlap) == (2, 0.5, 0.5)


def test_strangers_are_not_compared():
    layer = compare_runs(run(WORDS, responses(seed=1)), run(WORDS, responses(seed=2))).layers[0]
    assert layer.pairs < len(layer.matching.pairs)
    assert layer.reproducible == ("car", "cat", "dog", "moon", "sea", "tree")


def test_images_are_found_by_their_ids():
    activations = responses(images=80)
    words, moved = shuffled(WORDS, activations)
    first = run(WORDS, activations[:60], ids=np.arange(60))
    second = run(words, moved[20:], ids=np.arange(20, 80))
    comparison = compare_runs(first, second)
    assert comparison.images == 40
    assert comparison.overall.churn == 0


def test_layers_are_added_up():
    conv, head = responses(3), responses(2, seed=5)
    labels = {"conv": ["cat", "dog", "sky"], "fc": ["cat", "tree"]}
    first = run(labels | {"only": ["a"]}, {"conv": conv, "fc": head, "only": responses(1)})
    second = run({"fc": ["tree", "sky"], "more": ["b"], "conv": ["cat", "dog"]}, {"conv": conv[:, :2], "fc": head})
    comparison = compare_runs(first, second)
    assert [(layer.layer, layer.units, layer.pairs, layer.churn) for layer in comparison.layers] == [
        ("conv", (3, 2), 2, 0.0),
        ("fc", (2, 2), 2, 1.0),
    ]
    overall = comparison.overall
    assert (overall.layer, overall.units, overall.pairs, overall.churn) == (ALL_LAYERS, (5, 4), 4, 0.5)
    assert (overall.reproducible, overall.only_first, overall.only_second) == (("cat", "dog", "sky", "tree"), (), ())
    assert (comparison.only_first, comparison.only_second) == (("only",), ("more",))


def test_a_layer_without_activations_has_no_pairs():
    labels = {"conv": ["cat"], "fc": ["dog"]}
    comparison = compare_runs(
        run(labels, {"fc": responses(1)}), run(labels, {"conv": responses(1), "fc": responses(1)})
    )
    conv, fc = comparison.layers
    assert (conv.pairs, conv.matching, conv.reproducible) == (0, None, ("cat",))
    assert np.isnan([conv.churn, conv.overlap]).all()
    assert fc.pairs == 1
    assert comparison.overall.pairs == 1


def test_the_last_dissection_counts():
    first = DissectionHistory()
    first.append(report_of(0, ["dog"]))
    first.append(report_of(1, ["cat"]))
    assert compare_runs(first, run(["cat"]), match=False).overall.churn == 0


@pytest.mark.parametrize("name", ["encoder", "vocabulary", "pooling"])
def test_settings_that_differ_are_named(name):
    vectors = {"cat": [1.0, 0.0], "dog": [0.0, 1.0]}
    first = run(["cat"], settings={name: "a", "same": "s"}, embeddings=vectors)
    second = run(["dog"], settings={"same": "s"}, embeddings=vectors)
    comparison = compare_runs(first, second, match=False)
    assert comparison.settings == {name: ("a", "")}
    expected = 1.0 if name == "pooling" else np.nan
    np.testing.assert_equal(comparison.overall.semantic_churn, expected)


def test_runs_without_labels_have_no_shares():
    overall = compare_runs(run(["?cat", "-"]), run(["?cat", "-"]), match=False).overall
    assert (overall.pairs, overall.reliable) == (2, 0)
    assert np.isnan([overall.churn, overall.overlap, overall.reproducible_share]).all()


def test_the_comparison_does_not_depend_on_the_history_s_folder(tmp_path):
    activations = responses()
    words, moved = shuffled(WORDS, activations)
    for name, labels, values in (("a", WORDS, activations), ("b", words, moved)):
        kept = KeptActivations(np.arange(64), {"fc": values})
        DissectionHistory(tmp_path / name).append(replace(report_of(0, labels), activations=kept))
    histories = [DissectionHistory.load(tmp_path / name) for name in "ab"]
    assert compare_runs(*histories).overall.churn == 0


def test_says_what_is_missing():
    full = run(["cat"], responses(1))
    with pytest.raises(ValueError, match="Expected `second` to hold a dissection but got an empty history"):
        compare_runs(full, DissectionHistory())
    with pytest.raises(ValueError, match=r"the same layers but got \['fc'\] and \['conv'\]"):
        compare_runs(full, run({"conv": ["cat"]}))
    with pytest.raises(ValueError, match=r"Expected `second` to have kept activations.*with `match` false"):
        compare_runs(full, run(["cat"]))
    few = run(["cat"], responses(1, MINIMUM_IMAGES - 1))
    with pytest.raises(ValueError, match=f"at least {MINIMUM_IMAGES} images in common but got {MINIMUM_IMAGES - 1}"):
        compare_runs(full, few)
