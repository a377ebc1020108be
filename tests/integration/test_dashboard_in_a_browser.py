"""The page as people use it, with mouse and keys."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from lightning_dissect.dashboard import Gallery, render_dashboard
from lightning_dissect.history import DissectionHistory, compare
from lightning_dissect.label_refinement import LabelRefinement
from lightning_dissect.refinement_report import RefinementReport
from lightning_dissect.report.plain_number import plain_number
from tests.helpers.browser import Browser, needs_a_browser
from tests.helpers.refined import refined_report
from tests.helpers.run_history import wandering_run
from tests.helpers.small_report import HOSTILE

pytestmark = needs_a_browser

CONCEPTS = (*HOSTILE, *(f"concept {place}" for place in range(len(HOSTILE), 40)))
ALARM = {"title": "Concepts lost", "text": HOSTILE[0], "cycle": 2, "step": 200}
LABELS = "[...document.querySelectorAll('#neuron-table .label > a')].map((link) => link.textContent)"
QUALITIES = "[...document.querySelectorAll('#neuron-table .quality')].map((cell) => parseFloat(cell.firstChild.data))"


RESET = """
for (const id of ["search", "layer", "status", "change", "concept-search", "changes-layer"]) {
  const control = document.getElementById(id);
  control.value = "";
  control.dispatchEvent(new Event(control.type === "search" ? "input" : "change"));
}
document.body.dataset.shown = "";
document.getElementById("step").value = 4;
location.hash = "#/";
document.getElementById("step").dispatchEvent(new Event("input"));
"""


class Colours:
    def names(self, cycle):
        return {sample_id: f"{sample_id}" for sample_id in range(30)}

    def read(self, name, side):
        return np.full((side, side, 3), 6 * int(name), np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return wandering_run(tmp_path_factory.mktemp("run"), dissections=5, neurons=45, concepts=CONCEPTS, images=30)


@pytest.fixture(scope="module")
def started(tmp_path_factory, run):
    page = tmp_path_factory.mktemp("page") / "dashboard.html"
    page.write_text(render_dashboard(run, Gallery(Colours()), alarms=[ALARM]), encoding="utf-8")
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        browser.open(page)
        browser.wait_for("document.body.dataset.ready === 'true'")
        yield browser


@pytest.fixture
def browser(started):
    """The overview of the newest dissection, as it is when the page was opened; nothing is complained of afterwards."""
    started.show_as(1280, 860)
    started.evaluate(RESET)
    go(started, "#/")
    yield started
    assert started.complaints == []
    assert started.evaluate("performance.getEntriesByType('resource').length") == 0
    assert started.evaluate("document.querySelectorAll('[onerror]').length") == 0
    assert "pwned" not in started.evaluate("document.title")


def go(browser, address, at=4):
    browser.evaluate(f"location.hash = {json.dumps(address)}")
    browser.wait_for(f"document.body.dataset.shown === {json.dumps(f'{address} {at}')}")


def slide(browser, at):
    browser.evaluate(f"step.value = {at}; step.dispatchEvent(new Event('input'))")
    browser.wait_for(f"document.body.dataset.shown.endsWith(' {at}')")


def follow(browser, selector):
    """Press Enter on a link until it is followed: a table that comes into view lays itself out anew, without focus."""
    address = browser.evaluate("location.hash")
    for _ in range(40):
        browser.evaluate(f"document.querySelector('{selector}')?.focus()")
        browser.press("Enter")
        if browser.evaluate("new Promise((done) => setTimeout(() => done(location.hash), 100))") != address:
            return


def test_the_overview_draws_the_curves_and_counts_the_newest_dissection(browser, run):
    assert browser.evaluate("document.querySelectorAll('#charts .card').length") >= 8
    browser.wait_for("document.querySelectorAll('#charts .bk-Figure').length >= 8")
    totals = browser.evaluate(
        "[...document.querySelectorAll('#totals .figure')].map((node) => node.innerText.split('\\n'))"
    )
    reliable = (run[4].status < 2) & (run[4].best >= 0)
    assert totals[0][0] == str(len(set(run[4].best[reliable])))
    assert totals[1] == ["45", "neurons"]
    assert browser.text("#moment") == "epoch 4 · step 400 · 5 of 5"
    keys = browser.evaluate("[...document.querySelectorAll('#charts .keys')].map((node) => node.innerText)")
    assert "churn noise floor" in [" ".join(text.split()) for text in keys]


def test_the_slider_moves_everything_by_its_keys(browser, run):
    before = browser.text("#charts .value")
    browser.evaluate("document.getElementById('step').focus()")
    browser.press("ArrowLeft", "ArrowLeft")
    browser.wait_for("document.body.dataset.shown === '#/ 2'")
    assert browser.text("#moment") == "epoch 2 · step 200 · 3 of 5"
    assert browser.text("#charts .value") != before or browser.text("#totals b") == before
    go(browser, "#/neurons", at=2)
    expected = {run[2].concepts[place] for place in run[2].best[run[2].status < 2]}
    assert set(browser.evaluate(LABELS)) - expected <= {"(no clear function)", "(dead)"}
    browser.click("#later")
    browser.wait_for("document.body.dataset.shown === '#/neurons 3'")
    assert browser.text("#moment").endswith("4 of 5")


def test_an_alarm_leads_to_its_dissection_and_is_text(browser):
    assert browser.text(".alarms span") == HOSTILE[0]
    browser.click(".alarms button")
    browser.wait_for("document.body.dataset.shown === '#/ 2'")


def test_layers_are_taken_out_of_the_plots_and_put_back(browser):
    browser.click("#layer-chips .chip:nth-child(2)")
    assert browser.evaluate("document.activeElement.getAttribute('aria-pressed')") == "false"
    browser.press("Enter")
    assert browser.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"


def test_neurons_are_searched_filtered_and_sorted(browser, run):
    go(browser, "#/neurons")
    assert browser.text("#count") == "45 neurons"
    qualities = browser.evaluate(QUALITIES)
    assert qualities == sorted(qualities, reverse=True)
    assert qualities[0] == plain_number(round(float(np.nanmax(np.clip(run[4].qualities[:, 0], -1, 1))), 3))
    browser.evaluate("document.querySelector('[tabulator-field=quality] button').focus()")
    browser.press("Enter")
    browser.wait_for("document.querySelector('[tabulator-field=quality]').getAttribute('aria-sort') === 'ascending'")
    qualities = browser.evaluate(QUALITIES)
    assert qualities == sorted(qualities)
    browser.evaluate("document.getElementById('search').focus()")
    browser.type("HEAD #3")
    browser.wait_for("/^\\d+ of 45 neurons$/.test(document.getElementById('count').textContent)")
    places = browser.evaluate("[...document.querySelectorAll('#neuron-table .place')].map((link) => link.textContent)")
    assert places
    assert all(place.startswith("head#3") for place in places)
    browser.type(" nothing like it")
    browser.wait_for("document.getElementById('count').textContent === '0 of 45 neurons'")
    assert "No neuron matches." in browser.evaluate("document.getElementById('neuron-table').innerText")


def test_filters_say_what_changed(browser, run):
    go(browser, "#/neurons")
    changes = compare(run[3], run[4], {})
    for value, expected in (("changed", int(changes.changed.sum())), ("renamed", int(changes.renamed.sum()))):
        browser.evaluate(f"change.value = {value!r}; change.dispatchEvent(new Event('change'))")
        browser.wait_for(f"document.getElementById('count').textContent === '{expected} of 45 neurons'")


def test_a_neuron_opens_by_click_and_by_key(browser, run):
    go(browser, "#/neurons")
    browser.click("#neuron-table .tabulator-row .quality")
    browser.wait_for("location.hash.startsWith('#/neuron/')")
    browser.wait_for("document.body.dataset.shown.startsWith('#/neuron/')")
    first = browser.text("#neuron-title")
    assert browser.evaluate("document.activeElement.id") == "neuron-title"
    opened = browser.evaluate("location.hash")
    browser.click("#neuron-next")
    browser.wait_for(f"location.hash !== '{opened}' && document.body.dataset.shown === `${{location.hash}} 4`")
    go(browser, "#/neurons")
    follow(browser, "#neuron-table .label a")
    browser.wait_for(f"document.body.dataset.shown === '{opened} 4'")
    assert browser.text("#neuron-title") == first


def test_the_page_of_a_neuron_shows_its_run(browser, run):
    row = int(np.flatnonzero((run[4].status == 1) & (run[0].status < 2))[0])
    layer, unit = run[4].keys()[row]
    go(browser, f"#/neuron/{layer}/{unit}")
    assert browser.text("#neuron-title") == run[4].concepts[run[4].best[row]]
    labels = [snapshot.labels[row] or str(snapshot.status[row]) for snapshot in run]
    stretches = 1 + sum(one != other for one, other in pairwise(labels))
    assert browser.evaluate("document.querySelectorAll('.ribbon button').length") == stretches
    assert browser.evaluate("document.querySelectorAll('#neuron-images img').length") == 10
    assert browser.evaluate("document.querySelectorAll('#candidates tbody tr').length") == 5
    assert browser.text("#candidates small") == "may be the best"
    assert browser.evaluate("document.querySelectorAll('#histogram-keys .key').length") == 2
    browser.wait_for("document.querySelectorAll('#quality-plot .bk-Figure, #histogram-plot .bk-Figure').length === 2")
    assert "iou" in browser.text("#judges")
    browser.evaluate("document.querySelector('.ribbon button').focus()")
    browser.press("Enter")
    browser.wait_for("document.body.dataset.shown.endsWith(' 0')")
    assert browser.text("#neuron-title") == run[0].concepts[run[0].best[row]]
    assert browser.evaluate("document.querySelectorAll('#neuron-images img').length") == 5


def test_a_concept_says_who_carries_it(browser, run):
    go(browser, "#/concepts")
    assert browser.evaluate("document.querySelectorAll('#concept-table .tabulator-row').length") > 5
    last = run[4]
    reliable = (last.status < 2) & (last.best >= 0)
    concept = int(np.bincount(last.best[reliable]).argmax())
    name = last.concepts[concept]
    browser.evaluate("document.getElementById('concept-search').focus()")
    browser.type(name[:40])
    browser.wait_for("document.getElementById('concept-count').textContent.includes(' of ')")
    links = "[...document.querySelectorAll('#concept-table a')]"
    browser.evaluate(f"{links}.find((link) => link.textContent === {json.dumps(name)}).click()")
    browser.wait_for("document.body.dataset.shown.startsWith('#/concept/')")
    assert browser.text("#concept-title") == name
    assert browser.evaluate("document.querySelectorAll('#carriers li').length") == int(
        (last.best[reliable] == concept).sum()
    )
    first = next(cycle for cycle, found in enumerate(run) if ((found.status < 2) & (found.best == concept)).any())
    assert f"First carried at step {100 * first}," in browser.text("#concept-story")


def test_the_address_of_any_concept_leads_to_it(browser):
    for name in HOSTILE:
        go(browser, browser.evaluate(f"run.linkToConcept(run.concepts.indexOf({json.dumps(name)}))"))
        assert browser.text("#concept-title") == name


def test_gained_and_lost_concepts_are_those_of_the_history(browser, run):
    go(browser, "#/changes")
    browser.evaluate("from.value = '0'; from.dispatchEvent(new Event('change'))")
    browser.wait_for("document.body.dataset.shown === '#/changes 4'")
    names = "[...document.querySelectorAll('#{} .chip span')].map((chip) => chip.textContent).sort()"
    for at in (4, 2):
        expected = compare(run[0], run[at], {})
        browser.wait_for(f"document.querySelectorAll('#gained .chip').length === {len(expected.gained_concepts)}")
        assert browser.evaluate(names.format("gained")) == sorted(expected.gained_concepts, key=_utf16)
        assert browser.evaluate(names.format("lost")) == sorted(expected.lost_concepts, key=_utf16)
        numbers = browser.evaluate(
            "[...document.querySelectorAll('#changes-totals b')].map((node) => Number(node.textContent))"
        )
        assert numbers[3:] == [int(expected.renamed.sum()), int(expected.changed.sum())]
        browser.evaluate("to.value = '2'; to.dispatchEvent(new Event('change'))")
        browser.wait_for("document.body.dataset.shown === '#/changes 2'")


def _utf16(text):
    return text.encode("utf-16-be")


def test_what_an_address_does_not_know_is_another_view(browser):
    for address, view in (
        ("#/nowhere", "overview"),
        ("#/neuron/head/999", "neurons"),
        ("#/concept/none", "concepts"),
        ("#/%", "overview"),
        ("#/about", "about"),
    ):
        go(browser, address)
        assert browser.visible(f"#{view}")
    assert "<b>mine</b>" in browser.text("#about")


def test_the_dark_page_is_dark_and_redraws_its_plots(browser):
    go(browser, "#/")
    browser.show_as(1280, 860, dark=True)
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(json.loads(ground.replace("rgb(", "[").replace(")", "]"))) < 90
    browser.wait_for("document.querySelectorAll('#charts .bk-Figure').length >= 8")
    go(browser, "#/neuron/head/1")
    browser.show_as(1280, 860, dark=False)
    browser.wait_for("document.querySelector('#quality-plot .bk-Figure') !== null")


def test_nothing_is_wider_than_a_phone(browser):
    browser.show_as(390, 844)
    for address in (
        "#/",
        "#/neurons",
        "#/neuron/head/3",
        "#/concepts",
        "#/concept/concept%2020",
        "#/changes",
        "#/about",
    ):
        go(browser, address)
        assert browser.evaluate("document.documentElement.scrollWidth") <= 390, address
    browser.show_as(1280, 860)


def test_plots_that_are_gone_are_forgotten(browser):
    go(browser, "#/neuron/head/3")
    for at in (3, 2, 1):
        slide(browser, at)
    browser.wait_for("Bokeh.documents.length === document.querySelectorAll('.bk-Figure').length")


def test_a_phone_shows_fewer_columns(browser):
    go(browser, "#/neurons")
    wide = browser.evaluate("document.querySelectorAll('#neuron-table .tabulator-col').length")
    browser.click("[tabulator-field=label] button")
    browser.show_as(390, 844)
    browser.wait_for("document.querySelectorAll('#neuron-table .tabulator-col').length === 3")
    browser.wait_for("document.querySelector('[tabulator-field=label]').getAttribute('aria-sort') === 'ascending'")
    browser.show_as(1280, 860)
    browser.wait_for(f"document.querySelectorAll('#neuron-table .tabulator-col').length === {wide}")


def test_lean_dissections_have_labels_and_say_what_they_lack(started, run, tmp_path):
    page = tmp_path / "lean.html"
    page.write_text(render_dashboard(run, data_budget=1), encoding="utf-8")
    started.open(page)
    started.wait_for("document.body.dataset.ready === 'true'")
    go(started, "#/neurons")
    slide(started, 1)
    assert len(started.evaluate(LABELS)) > 5
    go(started, "#/neuron/head/3", at=1)
    assert started.text("#neuron-images .none") == "None are in this page."
    assert not started.visible("#histogram-plot")
    assert started.complaints == []


def test_a_run_of_one_dissection(started, run, tmp_path):
    alone = DissectionHistory(tmp_path)
    (tmp_path / "history").mkdir()
    (tmp_path / "history" / "cycle-0000.npz").write_bytes(run[0].to_bytes())
    alone.refresh()
    page = tmp_path / "one.html"
    page.write_text(render_dashboard(alone), encoding="utf-8")
    started.open(page)
    started.wait_for("document.body.dataset.ready === 'true'")
    for address in ("#/neurons", "#/neuron/head/3", "#/concepts", "#/changes"):
        go(started, address, at=0)
    assert started.complaints == []


def test_a_neuron_shows_the_search_for_its_label(tmp_path_factory, run):
    hostile = refined_report(pictures={}).neurons[15]
    dead = LabelRefinement("head", 14, "", "", "", (), "not scorable")
    withheld = refined_report(pictures={}).neurons[1]
    neurons = replace(hostile, layer="features.3", unit=0), dead, replace(withheld, layer="features.3", unit=1)
    searches = [RefinementReport(4, 12_500, 3, neurons)]
    page = tmp_path_factory.mktemp("page") / "dashboard.html"
    page.write_text(render_dashboard(run, refinements=searches), encoding="utf-8")
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        for width, height in ((1280, 860), (400, 800)):
            browser.show_as(width, height)
            browser.open(page)
            browser.wait_for("document.body.dataset.ready === 'true'")
            browser.evaluate("location.hash = '#/neuron/features.3/0'")
            browser.wait_for("document.body.dataset.shown === '#/neuron/features.3/0 4'")
            assert browser.text("#refined-label") == f"tabby → {HOSTILE[0]}"
            assert browser.text("#refined-auc") == "AUC 0.600 → 0.970 (0.91 to 1.00)"
            assert browser.evaluate("document.querySelectorAll('#refined-course i').length") == 19
            assert browser.evaluate("document.querySelectorAll('#refined-concepts li').length") == 6
            assert "Searched for at step 12,500 · 0 new images · 11 calls · ended by steps · 2 senses" in browser.text(
                "#refined-story"
            )
            link = browser.evaluate("document.getElementById('refined-link').getAttribute('href')")
            assert link == "refinement/cycle-0003/refinement.html#features.3/0"
            assert browser.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        browser.evaluate("location.hash = '#/neuron/features.3/1'")
        browser.wait_for("document.body.dataset.shown === '#/neuron/features.3/1 4'")
        assert browser.text("#refined-label") == "wolf → (withheld) fog"
        browser.evaluate("location.hash = '#/neuron/features.3/2'")
        browser.wait_for("document.body.dataset.shown === '#/neuron/features.3/2 4'")
        assert not browser.visible("#refined")
        browser.evaluate("location.hash = '#/neuron/head/14'")
        browser.wait_for("document.body.dataset.shown === '#/neuron/head/14 4'")
        assert browser.text("#refined-label") == "no label → no label"
        assert not browser.visible("#refined-course")
        assert browser.complaints == []
