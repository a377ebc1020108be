import csv
import io
import math

import numpy as np
import pytest

from lightning_dissect.agreement import STATISTICS, ConfusionTable, compare_judges, estimates


def judges(names=("people", "cp", "es"), layers=(("layer1", 30), ("layer2", 50)), seed=0):
    """Judges that often say what the first one does."""
    random = np.random.default_rng(seed)
    keys = [(layer, unit, f"concept {unit % 5}") for layer, width in layers for unit in range(width)]
    truth = random.random(len(keys)) < 0.65
    found = {}
    for name in names:
        own = np.where(random.random(len(keys)) < 0.6, truth, random.random(len(keys)) < 0.7)
        found[name] = dict(zip(keys, (truth if name == "people" else own).tolist(), strict=True))
    return found


def test_every_pair_overall_and_per_layer():
    said = judges()
    comparison = compare_judges(said, resamples=500)
    assert [(pair.first, pair.second, pair.layer) for pair in comparison.pairs] == [
        (first, second, layer)
        for layer in (None, "layer1", "layer2")
        for first, second in (("people", "cp"), ("people", "es"), ("cp", "es"))
    ]
    assert comparison.layers == ("layer1", "layer2")
    whole = comparison.of("people", "es")
    parts = [comparison.of("people", "es", layer).table for layer in comparison.layers]
    assert whole.table == parts[0] + parts[1] == ConfusionTable.of(said["people"], said["es"])
    assert whole.estimates == estimates(whole.table, resamples=500)


def test_overall_agreement_is_the_mean_weighted_by_width():
    comparison = compare_judges(judges(), resamples=10)
    rates = [comparison.of("people", "cp", layer).estimates["agreement"].value for layer in comparison.layers]
    assert comparison.of("people", "cp").estimates["agreement"].value == pytest.approx(
        np.average(rates, weights=[30, 50])
    )


def test_always_yes_is_what_such_a_judge_reaches():
    said = judges(("people", "machine"))
    said["always"] = dict.fromkeys(said["people"], True)
    comparison = compare_judges(said, resamples=100)
    for layer in (None, *comparison.layers):
        always = comparison.of("people", "always", layer).estimates
        baseline = comparison.of("people", "machine", layer).always_yes
        assert always["agreement"].value == pytest.approx(baseline)
        assert always["iou"].value == pytest.approx(baseline)
        assert always["kappa"].value == 0


def test_rows_and_csv_hold_everything_in_full():
    comparison = compare_judges(judges(), {"people": 3.75, "cp": 0.07}, resamples=100)
    rows = comparison.rows()
    read = list(csv.DictReader(io.StringIO(comparison.to_csv())))
    assert len(rows) == len(read) == 9
    for row, pair, line in zip(rows, comparison.pairs, read, strict=True):
        assert (row["n"], row["both_yes"], row["both_no"]) == (
            pair.table.total,
            pair.table.both_yes,
            pair.table.both_no,
        )
        assert float(line["kappa_low"]) == row["kappa_low"] == pair.estimates["kappa"].low
        assert row["always_yes"] == row["first_yes_rate"]
    assert (read[0]["layer"], read[0]["first_seconds"], read[1]["second_seconds"]) == ("all layers", "3.75", "")
    assert "first_seconds" not in compare_judges(judges(), resamples=10).rows()[0]


def test_markdown_is_a_table_whatever_the_names():
    said = judges(("people", "a|b\nc\\d"), layers=(("", 12), ("a", 3)))
    comparison = compare_judges(said, {"people": 3.75, "a|b\nc\\d": 0.031}, resamples=100)
    head, rule, whole, layer, _ = comparison.to_markdown().splitlines()
    assert rule == "|---|---|---|---|---|---|---|---|---|---|"
    assert head.endswith("| yes-rates | always yes | s per neuron |")
    assert whole.startswith("| all layers | people / a\\|b c\\\\d | 15 | ")
    assert whole.endswith(" | 3.75 / 0.031 |")
    assert layer.startswith("| (model) | ")
    alone = compare_judges(judges(("people", "machine"), layers=(("", 12),)), resamples=100)
    assert len(alone.to_markdown().splitlines()) == 3


@pytest.mark.parametrize("common", [0, 1])
def test_fewer_than_two_common_neurons_are_undefined(common):
    first = {("fc", unit, "cat"): True for unit in range(3)}
    second = {("fc", unit, "cat"): False for unit in range(3 - common, 6)}
    comparison = compare_judges({"first": first, "second": second})
    [pair, _] = comparison.pairs
    assert pair.table.total == common
    assert all(math.isnan(number) for estimate in pair.estimates.values() for number in estimate)
    assert "| – | – | – | – |" in comparison.to_markdown()  # noqa: RUF001 - what the table shows
    assert all(comparison.rows()[0][name] != comparison.rows()[0][name] for name in STATISTICS)
    assert ",,,,,,,,,,,," in comparison.to_csv()
    comparison.figure().savefig(io.BytesIO(), format="png")
    assert "–" in [text.get_text() for text in comparison.kappa_matrix().axes[0].texts]  # noqa: RUF001


def test_judges_without_any_verdict():
    comparison = compare_judges({"first": {}, "second": {}})
    assert comparison.layers == ()
    assert len(comparison.rows()) == 1


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"Expected `judges` to hold at least 2 judges but got \['people'\]"):
        compare_judges({"people": {}})
    with pytest.raises(ValueError, match=r"Expected `seconds` to name only judges of .* but got \['cp'\]"):
        compare_judges({"people": {}, "es": {}}, {"cp": 0.1})
    with pytest.raises(
        ValueError, match=r"in this order and `layer` one of \[\] or None but got 'es', 'people' and None"
    ):
        compare_judges({"people": {}, "es": {}}).of("es", "people")


def test_the_kappa_matrix_has_every_pair_twice():
    comparison = compare_judges(judges(), resamples=100)
    [axes] = comparison.kappa_matrix("layer2").axes
    assert axes.get_title(loc="left") == "Cohen's kappa, layer2"
    texts = [text.get_text() for text in axes.texts]
    for first, second in (("people", "cp"), ("people", "es"), ("cp", "es")):
        assert texts.count(f"{comparison.of(first, second, 'layer2').estimates['kappa'].value:.2f}") >= 2
    assert [label.get_text() for label in axes.get_yticklabels()] == ["people", "cp", "es"]
    with pytest.raises(ValueError, match="layer9"):
        comparison.kappa_matrix("layer9")


def test_the_figure_has_every_judge_at_every_layer():
    names = ("people", "a judge with a name that is long and_has $5$ in it", *"cdefgh")
    comparison = compare_judges(judges(names), resamples=100)
    figure = comparison.figure()
    figure.savefig(io.BytesIO(), format="png")
    agreement, kappa = figure.axes
    assert [label.get_text() for label in kappa.get_xticklabels()] == ["layer1", "layer2", "all layers"]
    assert len(agreement.containers) == len(kappa.containers) == len(names) - 1
    values = kappa.containers[0].lines[0].get_ydata()
    expected = [comparison.of(*names[:2], layer).estimates["kappa"].value for layer in ("layer1", "layer2", None)]
    np.testing.assert_allclose(values, expected)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(labels) == len(names)
    assert labels[-1] == "always yes"
    names_on_top = [label.get_text() for label in comparison.kappa_matrix().axes[0].get_xticklabels()]
    assert names_on_top[1] == "a judge with\na name that …"
