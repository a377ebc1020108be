import json
import math
from dataclasses import replace

import numpy as np
import pytest

from lightning_dissect.dashboard.run_data import packed_within, picture_places, run_data
from lightning_dissect.history import CURVES, DissectionHistory, RunCurves, curves
from lightning_dissect.types import LayerDissection
from tests.helpers.run_history import wandering_run
from tests.helpers.small_report import HOSTILE, small_report


@pytest.fixture
def history(tmp_path):
    return wandering_run(tmp_path, dissections=4)


def test_everything_is_whole_within_the_budget_and_older_dissections_are_not_beyond(history):
    snapshots = list(history)
    everything = packed_within(snapshots, 10**9)
    assert [is_whole for _, is_whole in everything] == [True] * 4
    two = sum(len(columns.text) for columns, _ in everything[2:])
    assert [is_whole for _, is_whole in packed_within(snapshots, two)] == [False, False, True, True]
    assert [is_whole for _, is_whole in packed_within(snapshots, 1)] == [False, False, False, True]
    assert packed_within([], 1) == []


def test_data_is_plain_and_says_what_the_history_says(history):
    data = run_data(history, RunCurves(), packed_within(list(history), 10**9))
    assert json.loads(json.dumps(data, allow_nan=False))["layers"] == list(history.layers)
    assert [dissection["step"] for dissection in data["dissections"]] == [0, 100, 200, 300]
    assert all(dissection["rows"] is None for dissection in data["dissections"])
    places = zip(data["neurons"]["layer"], data["neurons"]["unit"], strict=True)
    assert [(data["layers"][layer], unit) for layer, unit in places] == history[0].keys()
    expected = curves(history)
    for layer, found in data["curves"].items():
        for name in CURVES:
            values = [math.nan if value is None else value for value in found[name]]
            np.testing.assert_allclose(values, expected[layer][name], rtol=1e-5, err_msg=name)


def test_rows_are_numbered_where_layers_come_and_go():
    history = DissectionHistory()
    report = small_report()
    history.append(replace(report, cycle=0))
    head = report.layers[1]
    history.append(replace(report, cycle=1, layers=(head, LayerDissection("tail", ()))))
    data = run_data(history, RunCurves(), packed_within(list(history), 10**9))
    assert data["dissections"][0]["rows"] is None
    assert data["dissections"][1]["rows"] == [6, 7, 8, 9]
    assert data["layers"] == ("body.conv", "head", "tail")
    second = [data["concepts"][place] for place in data["dissections"][1]["concepts"]]
    assert second == ["zebra", "not zebra", "apple", "not apple"]
    assert set(HOSTILE) <= set(data["concepts"])


def test_an_empty_history_has_data_too():
    data = run_data(DissectionHistory(), RunCurves(), [])
    assert (data["name"], data["dissections"], data["concepts"]) == ("dissection", [], [])


def test_images_have_the_newest_picture_but_where_a_dissection_had_another(history):
    first, second, *_ = history
    shared = int(first.top_images[0, 0])
    second = replace(second, top_images=np.full_like(second.top_images, shared))
    found = picture_places([first, second], {0: {shared: "old"}, 1: {shared: "new"}}, ["new", "old"])
    assert found["samples"][str(shared)] == 0
    assert found["exceptions"] == {"0": {str(shared): 1}}
    others = {place for sample_id, place in found["samples"].items() if sample_id != str(shared)}
    assert others == {-1}
