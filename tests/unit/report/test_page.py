import base64
import hashlib
import json
import math
import re

import pytest

from lightning_dissect.report.page import layer_overview, page_data, render_page
from lightning_dissect.types import LabelSpecificity, LayerDissection, NeuronLabel, Relative, ScoredConcept
from tests.helpers.browser import needs_a_browser
from tests.helpers.page_dump import Texts, seen_in_a_browser, shown_by_browser
from tests.helpers.small_report import HOSTILE, JUDGES, doubtful_report, judged_report, small_report

PROBE = """
const wait = () => new Promise((done) => setTimeout(done, 30));
const rows = () => [...document.querySelectorAll("#neurons tbody tr")];
const units = () => rows().map((row) => row.querySelector(".unit").textContent).join(" ");
const search = (text) => {
  document.getElementById("search").value = text;
  document.getElementById("search").dispatchEvent(new Event("input"));
};
(async () => {
  const seen = { title: document.title, all: rows().length, best: units() };
  seen.hostile = document.querySelectorAll("img[onerror]").length;
  search("ZEBRA head");
  seen.found = units();
  search("nothing like it");
  seen.empty = !document.getElementById("empty").hidden;
  document.getElementById("reset").click();
  document.querySelector("th[data-key=label] button").click();
  seen.byLabel = rows().map((row) => row.querySelector(".label").textContent);
  document.querySelector("th[data-key=quality] button").click();
  document.querySelector("th[data-key=quality] button").click();
  seen.worst = units();
  seen.sorted = document.querySelector("th[data-key=quality]").getAttribute("aria-sort");
  document.querySelector("[data-label=apple]").click();
  seen.chip = units();
  document.querySelector(".strip").click();
  seen.detail = document.getElementById("detail").open && document.getElementById("detail-title").textContent;
  await wait();
  seen.pictures = [...document.querySelectorAll("#detail-images img")].map((image) => image.naturalWidth);
  seen.blanks = document.querySelectorAll("#detail-images .blank").length;
  seen.finalTitle = document.title;
  document.body.dataset.seen = JSON.stringify(seen);
})();
"""


METRIC_PROBE = """
const units = () => [...document.querySelectorAll("#neurons .unit")].map((unit) => unit.textContent).join(" ");
const cells = (row) => [...row.querySelectorAll("td.metric")].map((cell) => cell.textContent);
const header = (name) => document.querySelector(`th[data-key='metric/${name}']`);
const first = document.querySelector("#neurons tbody tr");
const seen = { columns: document.querySelectorAll("th.metric").length, cells: cells(first) };
header("iou").firstElementChild.click();
seen.iou = units();
header("distance").firstElementChild.click();
seen.distance = units();
seen.sorted = header("distance").getAttribute("aria-sort");
seen.options = [...document.getElementById("sort").options].map((option) => option.value);
document.querySelector(".strip").click();
seen.details = [...document.querySelectorAll("#detail-metrics > div")].map((line) => line.textContent);
document.body.dataset.seen = JSON.stringify(seen);
"""


def test_labels_and_settings_are_text_never_markup():
    page = Texts(render_page(small_report()))
    assert [tag for tag, _ in page.elements].count("script") == 2
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert HOSTILE[0] in page.texts
    assert "<b>mine</b>" in page.texts
    assert {attributes.get("data-label") for _, attributes in page.elements} >= set(HOSTILE)


def test_the_embedded_data_is_the_report():
    page = Texts(render_page(small_report()))
    data = json.loads(page.scripts[0])
    assert data["layers"] == ["body.conv", "head"]
    assert set(data["images"]) == {str(sample_id) for sample_id in range(7)}
    assert len(data["neurons"]) == 10
    layer, unit, status, candidates, images, trust, specificity = data["neurons"][-1]
    assert (data["layers"][layer], unit, data["statuses"][status]) == ("head", 6, "labelled")
    assert [[data["concepts"][concept], *rest] for concept, *rest in candidates] == [
        ["apple", 1.5, 0.75],
        ["not apple", 0.75, 0.375],
    ]
    assert images == [[6, 3.0], [7, 1.5]]
    assert trust == []
    assert specificity is None


def test_the_policy_admits_this_script_alone_and_no_network():
    text = render_page(small_report())
    page = Texts(text)
    [policy] = [
        attributes["content"] for tag, attributes in page.elements if "Content-Security-Policy" in str(attributes)
    ]
    digest = base64.b64encode(hashlib.sha256(page.scripts[-1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"https?://", text)


def test_the_page_says_how_many_pictures_are_missing():
    assert "1 of the top images are not in this page" in render_page(small_report())
    assert "are not in this page" not in render_page(small_report(layers=()))


def test_numbers_that_json_cannot_hold_become_null():
    neuron = NeuronLabel("fc", 0, "labelled", small_report().neurons[0].candidates)
    broken = type(neuron.candidates[0])("cat", math.inf, math.nan)
    data = page_data(small_report(layers=(LayerDissection("fc", (NeuronLabel("fc", 0, "labelled", (broken,)),)),)), {})
    assert data["neurons"] == [[0, 0, 0, [[0, None, None]], [], [], None]]


def test_overview_of_a_layer():
    overview = layer_overview(small_report().layers[1], low=-0.5, high=1.0)
    assert sum(height > 0 for height in overview.histogram) == 2
    assert overview.mean_position == pytest.approx(0.5)
    assert overview.frequent == (("zebra", 1), ("apple", 1))
    dead = layer_overview(LayerDissection("fc", (NeuronLabel("fc", 0, "dead"),)), 0.0, 1.0)
    assert not any(dead.histogram)
    assert math.isnan(dead.mean_position)


def test_metrics_are_marked_where_they_fail_and_explained_where_undefined():
    page = Texts(render_page(judged_report()))
    marks = [attributes["title"] for tag, attributes in page.elements if attributes.get("class") == "failing"]
    assert set(marks) == {f"recall {JUDGES[1].failures[0]}"}
    assert "fails the extra-labels test" in marks[0]
    titles = [attributes.get("title") for _, attributes in page.elements]
    assert "1 because the concept is in no image" in titles
    text = " ".join("".join(page.texts).split())
    assert "the label judged by Recall(alpha=0.01): from 0 to 1, higher is better. It does not fall" in text
    assert "So it is <b>published</b>." in text
    assert "the label judged by distance: lower is better." in text
    keys = [attributes["data-key"] for tag, attributes in page.elements if tag == "th" and "data-key" in attributes]
    assert keys[4:8] == ["quality", "metric/iou", "metric/recall", "metric/distance"]


def test_the_embedded_data_has_what_metrics_say():
    data = json.loads(Texts(render_page(judged_report())).scripts[0])
    assert [metric["name"] for metric in data["metrics"]] == ["iou", "recall", "distance", "spread"]
    assert [metric["higher"] for metric in data["metrics"]] == [True, True, False, True]
    assert data["values"][-2:] == [[None, 0.5, 0.5, None], [0.75, 0.5, 1.5, None]]
    assert len(data["values"]) == len(data["neurons"])


@needs_a_browser
def test_in_a_browser_doubts_are_shown_and_a_withheld_label_is_not(tmp_path):
    texts = [text.strip() for text in shown_by_browser(render_page(doubtful_report()), tmp_path).texts]
    assert {"ambiguous", "no clear function", "0.70 to 0.90", "0.010", "or not dog"} <= set(texts)
    assert "sky" not in texts


@needs_a_browser
def test_in_a_browser_metrics_sort_best_first_and_stand_in_the_details(tmp_path):
    seen = seen_in_a_browser(render_page(judged_report()), METRIC_PROBE, tmp_path)
    assert seen["columns"] == 3
    assert seen["cells"] == ["0.750", "0.500", "1.500"]
    assert seen["iou"].startswith("#6 #5 #4")
    assert seen["distance"].startswith("#0 #1 #2 #2")
    assert seen["sorted"] == "ascending"
    assert "metric/spread true" in seen["options"]
    assert seen["details"] == ["iou0.000", "recall⚠0.500", "distance0.000", "spread–"]  # noqa: RUF001


@needs_a_browser
def test_in_a_browser_search_and_sort_work_and_no_label_runs(tmp_path):
    seen = seen_in_a_browser(render_page(small_report()), PROBE, tmp_path)
    assert seen["title"] == seen["finalTitle"] == "Neurons · epoch 2 · step 30"
    assert seen["all"] == 10
    assert seen["best"] == "#6 #5 #4 #3 #2 #1 #0 #2 #0 #1"
    assert seen["hostile"] == 0
    assert seen["found"] == "#2"
    assert seen["empty"] is True
    assert seen["byLabel"].index("apple") < seen["byLabel"].index("zebra")
    assert seen["byLabel"][-2:] == ["–", "–"]  # noqa: RUF001 - what the page shows
    assert seen["worst"] == "#2 #0 #1 #2 #3 #4 #5 #6 #0 #1"
    assert seen["sorted"] == "ascending"
    assert seen["chip"] == "#6"
    assert seen["detail"] == "apple"
    assert seen["pictures"] == [160]
    assert seen["blanks"] == 1


def test_specificity_is_in_the_page_where_something_is_known_of_it():
    dog = Relative("dog", "parent", 0.5, 0.2, 0.1, math.nan)
    found = LabelSpecificity("beagle", "too specific", 0.3, dog, None, None)
    neuron = NeuronLabel("fc", 0, "labelled", (ScoredConcept("beagle", 0.5, 0.3),), specificity=found)
    report = small_report(layers=(LayerDissection("fc", (neuron,)),))
    relatives = [["dog", "parent", 0.5, 0.1, None]]
    assert page_data(report, {})["neurons"][0][-1] == ["too specific", "too specific (dog)", 0.3, relatives]
    assert 'id="verdict"' in render_page(report)
    assert 'id="verdict"' not in render_page(small_report())
