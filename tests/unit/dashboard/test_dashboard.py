import json
import re
from dataclasses import replace

import pytest

from lightning_dissect.dashboard import Gallery, render_dashboard
from lightning_dissect.history import DissectionHistory
from lightning_dissect.report.self_contained import script_hash
from tests.helpers.page_dump import Texts
from tests.helpers.run_history import keep, wandering_run
from tests.helpers.small_report import HOSTILE, small_report


@pytest.fixture
def hostile():
    history = DissectionHistory()
    for cycle in (0, 1):
        settings = {HOSTILE[0]: HOSTILE[0]}
        history.append(replace(small_report(), cycle=cycle, step=10 * cycle, settings=settings, name="<i>mine</i>"))
    return history


def test_labels_settings_and_alarms_are_text_never_markup(hostile):
    alarm = {"title": HOSTILE[0], "text": HOSTILE[0], "cycle": 1, "step": 10}
    page = Texts(render_dashboard(hostile, alarms=[alarm]))
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert [tag for tag, _ in page.elements].count("script") == 2 + len(hostile) + 4
    assert page.texts.count(HOSTILE[0]) == 4
    assert any("<i>mine</i>" in text for text in page.texts)
    assert set(HOSTILE) <= set(json.loads(page.scripts[0])["concepts"])


def test_the_policy_admits_these_scripts_alone_and_no_network(hostile):
    page = Texts(render_dashboard(hostile))
    [policy] = [
        attributes["content"] for _, attributes in page.elements if "Content-Security-Policy" in str(attributes)
    ]
    [allowed] = re.findall(r"script-src ([^;]*)", policy)
    assert allowed.split() == [f"'sha256-{script_hash(script)}'" for script in page.scripts[-4:]]
    assert policy.startswith("default-src 'none'")
    assert "unsafe-eval" not in policy
    assert not any(
        key in {"src", "href"} and value.startswith(("http", "//"))
        for _, found in page.elements
        for key, value in found.items()
        if value
    )


def test_pages_of_the_same_history_are_the_same(hostile):
    assert render_dashboard(hostile) == render_dashboard(hostile)


def test_a_run_without_dissections_has_a_page_without_scripts():
    page = Texts(render_dashboard(DissectionHistory()))
    assert "There is no dissection yet." in page.texts
    assert [attributes.get("type") for tag, attributes in page.elements if tag == "script"] == ["application/json"] * 2


def test_the_page_says_what_was_left_out(tmp_path):
    history = wandering_run(tmp_path, dissections=3)

    class Nothing:
        def names(self, cycle):
            return {}

        def read(self, name, side):
            return None

    page = " ".join(Texts(render_dashboard(history, Gallery(Nothing()), data_budget=1)).texts)
    assert "2 older dissections have only labels and qualities" in page
    assert "up to step 100" in page
    assert "of the top images" not in page


def test_steps_that_do_not_rise_are_no_axis(tmp_path):
    history = wandering_run(tmp_path, dissections=2)
    keep(replace(history[1], step=0), tmp_path)
    page = render_dashboard(DissectionHistory.load(tmp_path))
    assert [found["step"] for found in json.loads(Texts(page).scripts[0])["dissections"]] == [0, 0]
