import json
import re
from dataclasses import replace

import numpy as np
import pytest

from lightning_dissect.history import DissectionHistory, Snapshot, curves
from lightning_dissect.report.markdown import escape_markdown
from lightning_dissect.report.scalars import metric_values
from lightning_dissect.types import LayerDissection, NeuronLabel
from lightning_dissect.writers.wandb import WandbWriter
from lightning_dissect.writers.wandb_report import (
    MAX_CONCEPTS,
    MAX_LAYERS,
    PLOTS,
    build_report,
    concept_lines,
    headline_lines,
    neuron_lines,
    settings_lines,
)
from tests.helpers.small_report import HOSTILE, doubtful_report, labelled, small_report

interface = pytest.importorskip("wandb_workspaces.reports.v2.interface")
GRID_WIDTH = 24
RUN = {"entity": "us", "project": "vision", "run_id": "a1b2c3"}


def one_layer(cycle, *labels, layer="fc"):
    neurons = tuple(labelled(layer, unit, label, 0.9 - 0.01 * unit) for unit, label in enumerate(labels))
    report = small_report(layers=(LayerDissection(layer, neurons),))
    return replace(report, cycle=cycle, epoch=cycle, step=10 * cycle)


def a_history(*reports):
    history = DissectionHistory()
    for report in reports:
        history.append(report)
    return history


@pytest.fixture
def spec(monkeypatch):
    """Return a function that gives what a report would send: its blocks by their kind."""

    def look_up(api, query, variables):
        assert variables == {"entityName": "us", "projectName": "vision"}
        return {"project": {"internalId": "UHJvamVjdA=="}}

    monkeypatch.setattr(interface, "_get_api", lambda: None)
    monkeypatch.setattr(interface, "execute_graphql", look_up)

    def built(report):
        text = report._to_model().spec.model_dump_json(by_alias=True, exclude_none=True)
        blocks = json.loads(text)["blocks"]
        return {kind: [block for block in blocks if block["type"] == kind] for kind in {b["type"] for b in blocks}}

    return built


def panels(block):
    return block["metadata"]["panelBankSectionConfig"]["panels"]


def headings(blocks):
    return ["".join(child["text"] for child in block["children"]) for block in blocks["heading"]]


def test_the_model_has_every_part_and_shows_this_run_alone(spec):
    history = a_history(*(small_report(cycle=cycle, epoch=cycle, step=10 * cycle) for cycle in range(3)))
    report = build_report(history, **RUN, title="Our network")
    blocks = spec(report)
    assert (report.title, report.entity, report.project) == ("Our network", "us", "vision")
    assert headings(blocks) == [
        "Across the run",
        "Best and worst neurons",
        "Concepts gained and lost",
        "Every neuron and every change",
        "Settings",
    ]
    assert len(blocks["table-of-contents"]) == 1
    curve_panels, pictures, tables = map(panels, blocks["panel-grid"])
    assert {panel["viewType"] for panel in curve_panels} == {"Run History Line Plot"}
    assert {panel["config"]["xAxis"] for panel in curve_panels} == {"trainer/global_step"}
    assert [panel["config"]["mediaKeys"] for panel in pictures] == [
        ["dissection/body_conv/top_images"],
        ["dissection/head/top_images"],
    ]
    assert ["neurons" in json.dumps(panel) or "label_history" in json.dumps(panel) for panel in tables] == [True, True]
    for block in blocks["panel-grid"]:
        [runset] = block["metadata"]["runSets"]
        assert runset["project"]["name"] == "vision"
        [condition] = runset["filters"]["filters"]
        assert (condition["key"], condition["op"], condition["value"]) == (
            {"section": "run", "name": "name"},
            "=",
            "a1b2c3",
        )


def test_panels_do_not_overlap(spec):
    history = a_history(small_report(cycle=0), small_report(cycle=1))
    for block in spec(build_report(history, **RUN))["panel-grid"]:
        taken = np.zeros((500, GRID_WIDTH), int)
        for panel in panels(block):
            place = panel["layout"]
            assert place["x"] + place["w"] <= GRID_WIDTH
            taken[place["y"] : place["y"] + place["h"], place["x"] : place["x"] + place["w"]] += 1
        assert taken.max() == 1


def test_every_key_is_one_that_a_run_logs(spec):
    """Scalars of the dissection and of its changes, pictures and tables."""
    first, last = one_layer(0, "cat", "dog"), one_layer(1, "cat", "puppy")
    history = a_history(first, last)
    blocks = spec(build_report(history, **RUN))
    lines, pictures, tables = map(panels, blocks["panel-grid"])
    shown = {key for panel in lines for key in panel["config"]["metrics"]}
    changes = {f"dissection/{name}" for name in curves(history)[""]}
    assert shown <= metric_values(last).keys() | changes
    assert {"dissection/quality", "dissection/distinct_labels", "dissection/churn", "dissection/fc/quality"} <= shown

    class Run:
        def log(self, payload):
            self.keys = set(payload)

    class WandbLogger:
        experiment = Run()

    WandbWriter().write(last, [WandbLogger()])
    media = {key for panel in pictures for key in panel["config"]["mediaKeys"]}
    named = set(re.findall(r'"dissection/(?:neurons|label_history)"', json.dumps(tables)))
    assert media | {name.strip('"') for name in named} <= WandbLogger.experiment.keys
    assert len(named) == 2


def test_curves_without_a_value_have_no_plot(spec):
    blocks = spec(build_report(a_history(one_layer(0, "cat")), **RUN))
    titles = [panel["config"]["chartTitle"] for panel in panels(blocks["panel-grid"][0])]
    assert "Churn and its noise floor" not in titles
    assert "Quality of the labels" in titles
    assert titles[-1] == "Quality per layer"
    assert set(titles[:-1]) < set(PLOTS)


def test_of_many_layers_some_have_panels(spec):
    layers = tuple(LayerDissection(f"l{place}", (labelled(f"l{place}", 0, "x", 0.5),)) for place in range(40))
    report = build_report(a_history(small_report(layers=layers)), **RUN)
    blocks = spec(report)
    shown = [panel["config"]["mediaKeys"] for panel in panels(blocks["panel-grid"][1])]
    assert len(shown) == MAX_LAYERS
    assert (shown[0], shown[-1]) == (["dissection/l0/top_images"], ["dissection/l39/top_images"])
    assert "and 28 more" in report.description


def test_headlines_are_the_ends_of_the_curves():
    history = a_history(one_layer(0, "cat", "dog"), one_layer(1, "cat", "puppy"), one_layer(2, "cat", "puppy"))
    rows = {
        line.split(" | ")[0].strip("| "): line.split(" | ")[1:3] for line in headline_lines(curves(history)[""])[2:]
    }
    assert rows["churn"] == ["0.5", "0"]
    assert rows["coverage"] == ["2", "2"]
    assert rows["gained"] == ["1", "0"]
    assert "churn floor" not in rows


def test_the_best_and_the_worst_neurons_are_named():
    lines = neuron_lines(Snapshot.of(one_layer(3, *(f"c{unit}" for unit in range(50)))))
    assert lines[0] == "20 of 50 labelled neurons at step 30, epoch 3:"
    units = [int(line.split(" | ")[1]) for line in lines[4:]]
    assert units == [*range(10), *range(40, 50)]
    assert lines[4] == "| fc | 0 | c0 | 0.9 |  | labelled |"


def test_withheld_labels_are_not_among_them():
    lines = neuron_lines(Snapshot.of(doubtful_report()))
    assert lines[4:] == [
        "| fc | 0 | cat | 0.8 | 0.7 to 0.9 | labelled |",
        "| fc | 1 | dog | 0.4 | 0.3 to 0.5 | ambiguous |",
    ]
    dead = LayerDissection("fc", (NeuronLabel("fc", 0, "dead"),))
    assert neuron_lines(Snapshot.of(small_report(layers=(dead,)))) == ["No neuron has a label."]


def test_concepts_are_counted_in_the_dissection_that_has_them():
    first, last = one_layer(0, "cat", "dog", "sky", "sky"), one_layer(4, "cat", "sea", "sea", "ice")
    lines = concept_lines(Snapshot.of(first), Snapshot.of(last))
    assert lines == [
        "2 gained since step 0, epoch 0:",
        "",
        "| concept | neurons |",
        "| --- | --- |",
        "| sea | 2 |",
        "| ice | 1 |",
        "",
        "2 lost since step 0, epoch 0:",
        "",
        "| concept | neurons |",
        "| --- | --- |",
        "| sky | 2 |",
        "| dog | 1 |",
        "",
    ]
    many = concept_lines(Snapshot.of(one_layer(0, "cat")), Snapshot.of(one_layer(1, *map(str, range(80)))))
    assert sum(line.endswith("| 1 |") for line in many) == MAX_CONCEPTS + 1
    assert many[0].startswith("80 gained")


def test_one_dissection_has_nothing_to_compare_with():
    snapshot = Snapshot.of(one_layer(0, "cat"))
    assert concept_lines(snapshot, snapshot) == ["There is one dissection only, so that nothing can have changed."]


def test_no_text_of_the_user_breaks_a_table(spec):
    blocks = spec(build_report(a_history(small_report()), **RUN))
    texts = [block["content"] for block in blocks["markdown-block"]]
    assert any(escape_markdown(HOSTILE[0]) in text for text in texts)
    assert not any("<" in text for text in texts)
    for text in texts:
        for table in re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE):
            assert len({line.count("|") for line in table.strip().splitlines()}) == 1
    lines = settings_lines(Snapshot.of(small_report()))
    assert "| vocabulary | &#60;b&#62;mine&#60;/b&#62; |" in lines
    assert "| images | 20 |" in lines


def test_alarms_have_a_part_where_there_are_any(spec):
    alarm = {"epoch": 3, "step": 40, "title": "Concepts lost", "text": "5 of 9 | at once", "name": "concept_loss"}
    history = a_history(small_report())
    assert "Alarms" not in headings(spec(build_report(history, **RUN)))
    blocks = spec(build_report(history, **RUN, alarms=[alarm]))
    assert headings(blocks)[:2] == ["Across the run", "Alarms"]
    assert "| 3 | 40 | Concepts lost | 5 of 9 &#124; at once |" in blocks["markdown-block"][2]["content"]


def test_faulty_arguments_are_named(monkeypatch):
    with pytest.raises(ValueError, match="Expected `history` to hold at least one dissection"):
        build_report(DissectionHistory(), **RUN)
    with pytest.raises(ValueError, match="at most 128 characters but got 129"):
        build_report(a_history(small_report()), **RUN, title="x" * 129)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"lightning-dissect\[wandb-report\]"):
        build_report(a_history(small_report()), **RUN)
