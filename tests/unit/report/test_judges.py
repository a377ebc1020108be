import json
import math
from dataclasses import replace

import pytest

from lightning_dissect.report.judges import judge_data, judge_overviews
from lightning_dissect.report.page import render_page
from lightning_dissect.types import LayerDissection
from tests.helpers.browser import needs_a_browser
from tests.helpers.page_dump import Texts, seen_in_a_browser
from tests.helpers.small_report import evaluated_report, small_report

PROBE = """
const rows = () => [...document.querySelectorAll("#neurons tbody tr")];
const texts = (selector, under = document) => [...under.querySelectorAll(selector)].map((node) => node.textContent);
const units = () => texts("#neurons tbody .unit").join(" ");
const marks = (under) => [...under.querySelectorAll(".mark")].map((mark) => mark.getAttribute("aria-label") ?? "none");
const choose = (value) => {
  document.getElementById("judges").value = value;
  document.getElementById("judges").dispatchEvent(new Event("change"));
  return units();
};
const frames = (selector) => [...document.querySelectorAll(selector)].map((frame) => frame.className);
const seen = { options: [...document.getElementById("judges").options].map((option) => option.value) };
for (const value of seen.options) seen[`filter ${value}`] = choose(value);
choose("");
const header = document.querySelector("th[data-key=judgedYes]");
header.firstElementChild.click();
seen.sorted = units();
header.firstElementChild.click();
seen.reversed = units();
seen.marks = rows().slice(0, 3).map((row) => marks(row.querySelector(".verdicts")));
seen.titles = [...rows()[0].querySelectorAll(".verdict")].map((verdict) => verdict.title);
rows().find((row) => row.querySelector(".unit").textContent === "#3").querySelector(".strip").click();
seen.unjudged = [document.getElementById("detail-judges").hidden, frames("#detail-images .frame")];
document.getElementById("close").click();
rows()[0].querySelector(".strip").click();
seen.verdicts = texts("#detail-verdicts tbody tr");
seen.framing = texts("#detail-framing");
seen.frames = frames("#detail-images .frame");
seen.groups = texts("#detail-groups dt");
seen.tiles = [...document.querySelectorAll("#detail-groups .frame")].map((tile) => [tile.className, tile.title]);
document.querySelectorAll("#detail-verdicts button")[1].click();
seen.framingNext = texts("#detail-framing");
seen.framesNext = frames("#detail-images .frame");
seen.pressed = [...document.querySelectorAll("#detail-verdicts button")].map((one) => one.getAttribute("aria-pressed"));
seen.focused = document.activeElement.textContent;
document.getElementById("close").click();
choose("judged");
rows()[3].querySelector(".strip").click();
seen.only = texts("#detail-framing");
document.getElementById("close").click();
document.querySelector(".rates [data-layer='1']").click();
seen.layer = units();
document.body.dataset.seen = JSON.stringify(seen);
"""

OVERFLOW = """
document.querySelector(".strip").click();
const dialog = document.getElementById("detail");
const width = document.documentElement;
document.body.dataset.seen = JSON.stringify(
  [width.scrollWidth - width.clientWidth, dialog.scrollWidth - dialog.clientWidth, window.innerWidth]);
"""


def test_overview_of_a_judge_holds_layers_that_it_judged_and_all_together():
    vqa, proportion, silent = judge_overviews(evaluated_report())
    assert [(layer.layer, layer.name) for layer in vqa.layers] == [(0, "body.conv"), (1, "head"), (None, "")]
    assert [layer.rates["evaluated"] for layer in vqa.layers] == [3, 1, 4]
    assert vqa.layers[0].rates["rate"] == pytest.approx(2 / 3)
    assert [layer.chance for layer in vqa.layers] == pytest.approx([0.1] * 3)
    assert [layer.name for layer in proportion.layers] == ["body.conv"]
    assert silent.layers == ()


def test_chance_is_unknown_where_no_verdict_has_one():
    report = evaluated_report()
    evaluations = {"vqa": replace(report.neurons[0].evaluations["vqa"], chance=math.nan)}
    layer = LayerDissection("fc", (replace(report.neurons[0], evaluations=evaluations),))
    [vqa] = judge_overviews(replace(report, layers=(layer,), evaluators=report.evaluators[:1]))
    assert math.isnan(vqa.layers[0].chance)
    assert "chance" not in " ".join(Texts(render_page(replace(report, layers=(layer,)))).texts).split("Neurons")[0]


def test_data_holds_judged_neurons_only():
    data = judge_data(evaluated_report())
    assert data["roles"] == ("top", "decile", "control")
    assert [judge["score"] for judge in data["evaluators"]] == ["P(yes)", "rank", "score"]
    assert list(data["neurons"]) == ["0", "1", "2", "9"]
    images, verdicts = data["neurons"]["1"]
    assert images == [[1, 3.0, 0, 10], [2, 1.5, 0, 10], [3, 1.25, 1, 10], [4, 0.5, 1, 5], [5, 0.25, 2, 2]]
    assert verdicts[0] == [False, "-1000", [None, 0.75, 0.25, 0.25, 0.25], 0.625, None, 0.25, 0.0, 0.1]
    assert verdicts[2] is None
    json.dumps(data, allow_nan=False)


def test_the_page_shows_each_rate_beside_its_baselines_and_warns():
    page = Texts(render_page(evaluated_report()))
    text = " ".join(" ".join(page.texts).split())
    assert "What judges say" in text
    assert "67 % shuffled labels 25 % · always yes 100 %" in text
    assert "chance 10 %" in text
    assert "1.5 s per neuron" in text
    assert "0.004 s per neuron" in text
    assert text.count("The labels come from the same family of models (CLIP).") == 1
    assert "It could not answer: out of <i>memory</i>" in text
    assert "VQA(model='<b>x</b>')" in text
    assert "It judged no label in this dissection." not in text
    assert "of the other images that judges looked at are not in this page" in text


def test_a_judge_that_judged_nothing_says_so():
    report = small_report(evaluators=evaluated_report().evaluators[:1])
    assert "It judged no label in this dissection." in render_page(report)


def test_without_evaluators_the_page_says_nothing_of_judges():
    page = Texts(render_page(small_report()))
    assert not any("judges" in attributes.get("id", "") for _, attributes in page.elements)
    assert "judges" not in "".join(page.texts[page.texts.index("What the neurons respond to") :]).lower()


@needs_a_browser
def test_in_a_browser_verdicts_filter_sort_and_frame_images(tmp_path):
    seen = seen_in_a_browser(render_page(evaluated_report()), PROBE, tmp_path)
    assert seen["options"] == ["", "judged", "all", "some", "none", "split", "unjudged"]
    assert seen["filter judged"] == "#6 #2 #1 #0"
    assert seen["filter all"] == "#6 #2 #0"
    assert seen["filter some"] == seen["filter none"] == "#1"
    assert seen["filter split"] == ""
    assert seen["filter unjudged"] == "#5 #4 #3 #2 #0 #1"
    assert seen["sorted"] == "#0 #2 #6 #1 #3 #4 #5 #0 #1 #2"
    assert seen["reversed"] == "#1 #0 #2 #6 #3 #4 #5 #0 #1 #2"
    assert seen["marks"] == [["no", "no"], ["yes", "yes"], ["yes", "none"]]
    assert seen["titles"] == ["vqa: no", "proportion: no"]
    assert seen["unjudged"] == [True, ["frame", "frame"]]
    assert seen["verdicts"] == [
        "vqa noto others 25 %1 of 163 %–0 %chance 10 %0.750P(yes)",  # noqa: RUF001
        "proportion noto others 25 %1 of 163 %–0 %chance 10 %0.750rank",  # noqa: RUF001
    ]
    assert seen["framing"] == ["vqa"]
    assert seen["frames"] == ["frame", "frame yes"]
    assert seen["groups"] == ["100 of 1", "50 of 1", "Controls0 of 1"]
    assert seen["tiles"][0] == ["frame no", "Image 3: activation 1.250, P(yes) 0.250"]
    assert seen["framingNext"] == ["proportion"]
    assert seen["framesNext"] == ["frame", "frame yes"]
    assert seen["pressed"] == ["false", "true"]
    assert seen["focused"] == "proportion"
    assert seen["only"] == ["vqa"]
    assert seen["layer"] == "#6 #0 #1 #2"


@needs_a_browser
def test_in_a_narrow_browser_nothing_is_wider_than_the_window(tmp_path):
    *overflow, width = seen_in_a_browser(render_page(evaluated_report()), OVERFLOW, tmp_path, width=500)
    assert overflow == [0, 0]
    assert width < 860
