import base64
import hashlib
import json
import math
import re
from dataclasses import replace

from lightning_dissect.label_refinement import ConceptTrial, LabelRefinement, Sense
from lightning_dissect.refinement_report import RefinementReport
from lightning_dissect.report.refinement_page import (
    ROW_IMAGES,
    judged_pairs,
    origin_overviews,
    refinement_data,
    render_refinement,
)
from tests.helpers.browser import Browser, needs_a_browser
from tests.helpers.page_dump import Texts, seen_in_a_browser
from tests.helpers.refined import HOSTILE, RIGHT_TO_LEFT, refined_report, scored

PROBE = """
const rows = () => [...document.querySelectorAll("#neurons tbody tr")];
const texts = (selector, under = document) => [...under.querySelectorAll(selector)].map((node) => node.textContent);
const units = () => texts("#neurons tbody .unit").join(" ");
const search = (text) => {
  document.getElementById("search").value = text;
  document.getElementById("search").dispatchEvent(new Event("input"));
};
const result = (value) => {
  document.getElementById("result").value = value;
  document.getElementById("result").dispatchEvent(new Event("change"));
};
const hidden = (...ids) => ids.map((id) => document.getElementById(id).hidden);
const seen = { title: document.title, all: rows().length, labels: texts("#neurons td.label > bdi") };
for (const { value } of document.getElementById("result").options) {
  result(value);
  seen[value] = document.getElementById("count").textContent;
}
result("no label");
seen.withheld = rows().map((row) => texts("td.label, td.gain", row));
result("");
seen.hostile = document.querySelectorAll("img[onerror]").length;
search("=hyperlink");
seen.found = rows().map((row) => texts("td", row));
rows()[0].querySelector(".strip").click();
seen.head = texts("#detail-title, #detail-story");
seen.judged = texts("#detail-judged tbody tr");
seen.senses = texts("#detail-senses h3, #detail-senses h4");
seen.best = texts("#detail-best h4");
seen.tiles = document.querySelectorAll("#detail-best .tiles img").length;
seen.dots = ["", ".best", ".quiet", ".chosen"].map((kind) => document.querySelectorAll(`#course i${kind}`).length);
seen.line = document.querySelector("#course path").getAttribute("d");
seen.course = document.getElementById("course").getAttribute("aria-label");
seen.trials = texts("#trials tbody tr");
seen.quiet = texts("#trials .quiet");
seen.answers = texts("#trials details bdi");
seen.open = document.querySelectorAll("#trials details[open]").length;
document.getElementById("close").click();
search("layer4 #2");
rows().find((row) => row.querySelector(".unit").textContent === "#2").querySelector(".strip").click();
seen.dead = texts("#detail-title, #detail-story, #detail-senses, #detail-best");
seen.hidden = hidden("detail-judged", "course", "detail-path");
document.getElementById("close").click();
search("");
for (const key of ["auc", "q", "label"]) {
  document.querySelector(`th[data-key=${key}] button`).click();
  seen[`by ${key}`] = texts(".place, .unit", rows()[0]).join("");
}
seen.finalTitle = document.title;
document.body.dataset.seen = JSON.stringify(seen);
"""

SIZE = """
const rows = document.querySelectorAll("#neurons tbody tr").length;
document.body.dataset.seen = JSON.stringify([rows, document.getElementById("count").textContent]);
"""


def test_concepts_answers_and_settings_are_text_never_markup():
    text = render_refinement(refined_report())
    page = Texts(text)
    assert [tag for tag, _ in page.elements].count("script") == 2
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert "VocabularyProposer(vocabulary='<b>mine</b>')" in page.texts
    data = json.loads(page.scripts[0])
    assert set(data["texts"]) >= {*HOSTILE, RIGHT_TO_LEFT, "ConnectionError: <b>refused</b>"}
    titles = [attributes["title"] for _, attributes in page.elements if "→" in attributes.get("title", "")]
    assert len(titles) == 28
    assert f"body.conv.pointwise #0: tabby → {HOSTILE[0]}, 0.600 → 0.970" in titles


def test_the_policy_admits_this_script_alone_and_no_network():
    text = render_refinement(refined_report())
    page = Texts(text)
    [policy] = [
        attributes["content"] for tag, attributes in page.elements if "Content-Security-Policy" in str(attributes)
    ]
    digest = base64.b64encode(hashlib.sha256(page.scripts[-1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert not re.search(r"https?://", text)


def test_the_search_in_numbers_stands_beside_what_line_takes():
    text = " ".join(" ".join(Texts(render_refinement(refined_report())).texts).split())
    assert "93 % have a label" in text
    assert "+0.240 AUC gained" in text
    assert "Images made to search 7.0 105 7 %" in text
    assert "Calls of the proposer 9.3 11 85 %" in text
    assert "26 repeat 26 refused 26 unreadable 27 failed" in text
    assert "1 unreachable 1 not scorable" in text


def test_a_search_of_nothing_makes_a_page():
    text = " ".join(Texts(render_refinement(RefinementReport(0, 0, 0, ()))).texts)
    assert "None were recorded." in text
    assert "AUC before and after" not in text
    assert "Where concepts came from" not in text
    assert "are not in this page" not in text


def test_data_holds_every_trial_and_numbers_that_json_can_hold():
    trials = (scored(0, "label", "dog", math.inf), ConceptTrial(1, "proposal", "refused", "", answer="no"))
    neuron = LabelRefinement("", 7, "", "dog", "dog", trials, "budget", senses=(Sense(("dog",), math.nan),))
    data = refinement_data(RefinementReport(0, 0, 0, (neuron,)), list(trials[0].image_ids), {})
    json.dumps(data, allow_nan=False)
    [found] = data["neurons"]
    assert data["texts"] == ["dog", "", "no"]
    assert data["images"] == [None] * 5
    assert found["trials"] == [[0, 0, 0, 0, None, 0.125, 5, 1], [1, 4, 2, 1, None, None, 0, 2]]
    assert found["shown"] == [[0, [0, 1, 2, 3, 4]]]
    assert found["senses"] == [[[0], None, []]]
    assert (found["judged"], found["novelty"], found["q"], found["gain"]) == (None, None, None, None)


def test_images_are_in_the_page_once_and_named_by_their_places():
    report = refined_report()
    data = json.loads(Texts(render_refinement(report)).scripts[0])
    assert len(data["images"]) == len(report.pictures)
    assert None not in data["images"]
    rows = [images for neuron in data["neurons"] for _, images in neuron["shown"]]
    rows += [images for neuron in data["neurons"] for _, _, images in neuron["senses"]]
    assert {place for row in rows for place in row} == set(range(len(data["images"])))
    assert max(map(len, rows)) <= ROW_IMAGES


def test_the_budget_leaves_every_neuron_its_best_images_first():
    report = refined_report()
    text = render_refinement(report, image_budget=60_000)
    page = Texts(text)
    data = json.loads(page.scripts[0])
    missing = sum(image is None for image in data["images"])
    assert 0 < missing < len(data["images"])
    assert f"{missing} images are not in this page" in " ".join(page.texts)
    firsts = [neuron["shown"][0][1][0] for neuron in data["neurons"] if neuron["shown"]]
    assert all(data["images"][place] for place in firsts)
    assert sum(len(image or "") for image in data["images"]) <= 60_000


def test_pictures_that_are_not_there_are_counted():
    text = " ".join(Texts(render_refinement(refined_report(pictures={}))).texts)
    assert f"{len(refined_report().pictures)} images are not in this page" in text


def test_origins_are_counted_and_labels_belong_to_the_trial_of_their_concept():
    overviews = {item.origin: item for item in origin_overviews(refined_report())}
    assert list(overviews) == ["label", "vocabulary", "random", "bank", "proposal", "summary"]
    assert (overviews["proposal"].tried, overviews["proposal"].scored) == (306, 201)
    assert sum(item.labels for item in overviews.values()) == 28
    assert overviews["label"].labels == 2


def test_neurons_that_are_not_scorable_have_no_dot():
    neuron = refined_report().neurons[5]
    dead = replace(neuron, start_judged=replace(neuron.start_judged, auc=math.nan))
    assert judged_pairs(RefinementReport(0, 0, 0, (dead,))) == []
    [pair] = judged_pairs(RefinementReport(0, 0, 0, (replace(neuron, label="", layer=""),)))
    assert pair.is_withheld
    assert pair.title.startswith("(model) #5: ")


@needs_a_browser
def test_in_a_browser_neurons_are_found_and_open_on_their_paths(tmp_path):
    seen = seen_in_a_browser(render_refinement(refined_report()), PROBE, tmp_path)
    assert seen["all"] == 30
    assert seen["hostile"] == 0
    assert seen["finalTitle"] == seen["title"]
    assert seen["another label"] == "26 of 30 neurons"
    assert seen["the same label"] == "2 of 30 neurons"
    assert seen["new to the vocabulary"] == "14 of 30 neurons"
    assert seen["several senses"] == "8 of 30 neurons"
    assert seen["withheld"] == [["(withheld)before: wolf", "+0.07"], ["(none)not scorable", "–"]]  # noqa: RUF001
    [found] = seen["found"]
    assert found[:6] == [
        *("body.conv.pointwise", "#3", "=HYPERLINK(1)before: ocean at dusk", "+2.33"),
        *("0.6600.60 to 0.72", "0.9400.88 to 1.00"),
    ]
    assert found[6:12] == ["0.002", "2", "no", "15", "11", "15"]
    title, story = seen["head"]
    assert title == "ocean at dusk → =HYPERLINK(1)"
    assert "after all steps · it took 15 images, 11 calls and 15 lookups" in story
    assert "50 other images judged it against 500 of control · q 0.002 · in the vocabulary in another form." in story
    assert seen["judged"] == [
        "Beforeocean at dusk0.800.660.60 to 0.721.251.00 to 1.50",
        "After=HYPERLINK(1)3.130.940.88 to 1.002.502.25 to 2.75",
    ]
    assert seen["senses"][0] == "2 senses"
    assert seen["senses"][1].startswith("70 % =HYPERLINK(1) · ")
    assert seen["best"][0] == "3.13 =HYPERLINK(1)label"
    assert len(seen["best"]) == 6
    assert seen["tiles"] == 30
    everything, best, quiet, chosen = seen["dots"]
    assert (everything, quiet, chosen) == (19, 4, 1)
    assert best == seen["line"].count("M") + seen["line"].count("V")
    assert seen["course"].endswith("to 3.13 after 19 trials")
    assert len(seen["trials"]) == 19
    assert seen["trials"][0] == "0labelocean at dusk0.80± 0.135 new images · best so far"
    assert [line.removeprefix("1").removeprefix("proposal").partition("what")[0] for line in seen["quiet"]] == [
        *("Dogs", "no concept", "no concept", "nothing like it"),
    ]
    assert seen["open"] == 0
    assert "<em>texture</em>" in seen["answers"][-1]
    ended = "The search ended at once: the neuron is dead or not finite on the control images."
    assert seen["dead"] == ["(none)", ended, "", ""]
    assert seen["hidden"] == [True, True, True]
    assert seen["by auc"] == "layer4#0"
    assert seen["by q"] == seen["by label"] == "body.conv.pointwise#0"
    assert {*HOSTILE, RIGHT_TO_LEFT} <= set(seen["labels"])


@needs_a_browser
def test_the_keyboard_opens_and_leafs_through_and_nothing_is_wider_than_a_phone(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(render_refinement(refined_report()), encoding="utf-8")
    folder = tmp_path / "browser"
    folder.mkdir()
    with Browser(folder) as browser:
        browser.show_as(400, 800)
        browser.open(page)
        overflow = "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)"
        assert browser.evaluate(f"{overflow}(document.documentElement)") == 0
        browser.evaluate("document.querySelector('.strip').focus()")
        browser.press("Enter")
        assert browser.evaluate("document.getElementById('detail').open")
        first = browser.text("#detail-place")
        for _ in range(30):
            assert browser.evaluate(f"{overflow}(document.getElementById('detail'))") == 0, browser.text(
                "#detail-title"
            )
            browser.press("ArrowRight")
        assert browser.text("#detail-place") != first
        assert browser.evaluate("document.getElementById('next').disabled")
        browser.press("Escape")
        assert not browser.evaluate("document.getElementById('detail').open")
        browser.evaluate("location.hash = '#body.conv.pointwise/3'")
        browser.reload()
        assert browser.text("#detail-title") == "ocean at dusk → =HYPERLINK(1)"
        assert browser.complaints == []


@needs_a_browser
def test_of_hundreds_of_neurons_only_those_looked_at_are_built(tmp_path):
    built, told = seen_in_a_browser(render_refinement(refined_report(neurons=600, pictures={})), SIZE, tmp_path)
    assert built <= 80
    assert told == "600 neurons"
