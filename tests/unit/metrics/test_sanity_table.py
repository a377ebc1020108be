import math
from dataclasses import replace

import pytest

from lightning_dissect.metrics import SanityResult, SanityTable, theoretical_sanity_check
from lightning_dissect.metrics.sanity_plot import draw_shares
from lightning_dissect.metrics.sanity_table import OTHER_DATA


def result(metric="iou", kind="theoretical", labels="missing", share=1.0, error=0.0, **others):
    return SanityResult(metric, kind, labels, None, share, error, -0.5, 0.01, 50, 0, **others)


def both(metric="iou", shares=(1.0, 1.0), error=0.0, **others):
    return tuple(
        result(metric, labels=labels, share=share, error=error, **others)
        for labels, share in zip(("missing", "extra"), shares, strict=True)
    )


@pytest.mark.parametrize(
    ("shares", "error", "verdict"),
    [
        ((1.0, 1.0), 0.0, "pass"),
        ((0.95, 0.95), 0.02, "pass"),
        ((0.95, 0.93), 0.02, "undecided"),
        ((0.95, 0.87), 0.02, "undecided"),
        ((0.95, 0.85), 0.02, "fail"),
        ((0.9, 1.0), 0.0, "fail"),
        ((0.1, 0.9), 0.02, "fail"),
        ((1.0, math.nan), math.nan, "undecided"),
        ((1.0, 1.0), math.nan, "undecided"),
    ],
)
def test_verdicts(shares, error, verdict):
    table = SanityTable(both(shares=shares, error=error))
    assert table.verdict("iou") == verdict
    assert table.passing() == (("iou",) if verdict == "pass" else ())


def test_shares_of_frequencies_are_averaged():
    table = SanityTable((result(share=0.6, error=0.3), result(share=1.0, error=0.4)))
    assert table.share("iou", "missing", "theoretical") == (0.8, 0.25)
    assert all(map(math.isnan, table.share("iou", "extra", "theoretical")))
    lone = table + SanityTable((result(share=0.0, error=math.nan),))
    assert lone.share("iou", "missing", "theoretical") == (0.8, 0.25)
    assert table.published("iou", "extra", "theoretical") is None


def test_tables_of_both_kinds_add_up():
    theory = SanityTable(both("iou") + both("mine"))
    experiment = SanityTable(tuple(replace(line, kind="experimental", share=0.5) for line in both("iou")))
    table = theory + experiment
    assert table.metrics == ("iou", "mine")
    assert (table.verdict("iou"), table.verdict("iou", "theoretical"), table.verdict("mine")) == (
        "fail",
        "pass",
        "pass",
    )
    assert len(table.checks) == 4
    assert "| `mine` |  | 100.0 |  | 100.0 | pass |  |" in table.to_markdown()
    for metric, kind in (("mine", "experimental"), ("none", None)):
        with pytest.raises(ValueError, match="Expected `metric` to be one of"):
            table.verdict(metric, kind)


def test_a_verdict_that_differs_says_why():
    reason = "The published one breaks ties at random."
    differs = SanityTable(both(published=0.5, note=reason) + both("auc", published=0.5))
    assert differs.note("iou") == reason
    assert differs.note("auc") == OTHER_DATA
    assert SanityTable(both(published=0.95, note=reason)).note("iou") == ""
    assert SanityTable(both(note=reason)).note("iou") == ""
    assert SanityTable(both(shares=(1.0, 0.9), error=0.05, published=0.8, note=reason)).note("iou") == reason


def test_csv_round_trip():
    table = theoretical_sanity_check(["iou", "inverse_auprc", "wpmi"], images=500, frequencies=[0.1, 0.3], draws=3)
    table += SanityTable(both('a "name", with signs', published=1 / 3, note="two\nlines"))
    assert SanityTable.from_csv(table.to_csv()) == table
    assert len(table.to_csv().splitlines()) == 1 + len(table.results) + 2
    with pytest.raises(ValueError, match="Expected `text` to have the columns"):
        SanityTable.from_csv("metric,share\niou,1\n")


def test_markdown_holds_what_the_table_does():
    table = SanityTable(both(shares=(1.0, 0.62), error=0.01, published=0.6) + both("mine"))
    head, rule, *rows = (line.strip("|").split("|") for line in table.to_markdown().splitlines())
    assert len(head) == len(rule) == 5
    cells = {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows}
    assert cells == {
        "iou": ["100.0 ± 1.0 (60.0)", "**62.0 ± 1.0** (60.0)", "fail", ""],
        "mine": ["100.0", "100.0", "pass", ""],
    }


def test_figure(tmp_path):
    table = SanityTable(both(shares=(1.0, 0.62)) + both("mine"))
    figure = table.figure()
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts[:3] == ["missing labels\ntheory", "extra labels\ntheory", "verdict"]
    assert texts[3:] == ["iou", "100.0", "62.0", "fail", "mine", "100.0", "100.0", "pass"]
    for ending in ("png", "svg"):
        figure.savefig(tmp_path / f"table.{ending}")
        assert (tmp_path / f"table.{ending}").stat().st_size > 1000


def test_figure_leaves_out_what_is_missing():
    figure = draw_shares(["iou"], ["a", "b"], [[math.nan, 1.0]], [["undecided", "pass"]], ["pass"])
    assert [text.get_text() for text in figure.axes[0].texts][3:] == ["iou", "100.0", "pass"]
