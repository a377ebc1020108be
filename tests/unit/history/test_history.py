import json
from dataclasses import replace

import numpy as np
import pandas
import pytest

from lightning_dissect.history import DissectionHistory, Snapshot
from lightning_dissect.kept_activations import KeptActivations
from lightning_dissect.types import ActivationHistogram, LayerDissection
from tests.helpers.small_report import doubtful_report, evaluated_report, judged_report, small_report


def a_report(cycle, make=small_report, **changes):
    return replace(make(), **{"epoch": cycle // 2, "step": 10 * cycle, "cycle": cycle, **changes})


def same(one, other):
    for name in Snapshot.__dataclass_fields__:
        mine, theirs = getattr(one, name), getattr(other, name)
        if isinstance(mine, np.ndarray):
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs, err_msg=name)
        elif name in {"trust", "metrics", "verdicts", "embeddings"}:
            assert list(mine) == list(theirs)
            for key in mine:
                np.testing.assert_array_equal(mine[key], theirs[key], err_msg=key)
        else:
            assert mine == theirs


@pytest.mark.parametrize("make", [small_report, judged_report, evaluated_report, doubtful_report])
def test_a_snapshot_comes_back_as_it_was(make):
    snapshot = Snapshot.of(make())
    same(Snapshot.read(snapshot.to_bytes()), snapshot)


def test_columns_say_what_the_report_says():
    report = evaluated_report()
    snapshot = Snapshot.of(report)
    neurons = report.neurons
    assert snapshot.labels.tolist() == [neuron.label for neuron in neurons]
    assert snapshot.keys() == [(neuron.layer, neuron.unit) for neuron in neurons]
    np.testing.assert_allclose(snapshot.quality, [neuron.quality for neuron in neurons], rtol=1e-6)
    assert snapshot.verdicts["vqa"].tolist()[:4] == [1, 0, 1, -1]
    assert snapshot.top_images[0].tolist() == [0, 1]
    assert snapshot.of_layer("head").tolist() == [6, 7, 8, 9]
    assert not len(snapshot.of_layer("tail"))


def test_a_withheld_label_has_a_best_candidate_but_no_label():
    snapshot = Snapshot.of(doubtful_report())
    assert snapshot.labels.tolist() == ["cat", "dog", "", ""]
    assert [snapshot.concepts[place] for place in snapshot.best[:3]] == ["cat", "dog", "sky"]
    assert snapshot.contenders.tolist()[:2] == [[True, False], [True, True]]
    assert snapshot.trust["q_chance"][0] == np.float32(0.001)


def test_a_report_without_neurons_is_a_snapshot_too(tmp_path):
    history = DissectionHistory(tmp_path)
    history.append(a_report(0, layers=(LayerDissection("fc", ()),)))
    assert not len(DissectionHistory.load(tmp_path)[0])


def test_histograms_are_kept():
    report = small_report()
    neuron = replace(report.neurons[0], histogram=ActivationHistogram(-1.0, 2.0, (3, 4)))
    snapshot = Snapshot.of(replace(report, layers=(LayerDissection("fc", (neuron, *report.neurons[1:3])),)))
    assert snapshot.histograms.tolist() == [[3, 4], [0, 0], [0, 0]]
    assert snapshot.activation_range[0].tolist() == [-1.0, 2.0]


def test_a_history_is_read_back_from_disk(tmp_path):
    history = DissectionHistory(tmp_path)
    for cycle in range(3):
        history.append(a_report(cycle, evaluated_report))
    for dirpath in (tmp_path, tmp_path / "history"):
        loaded = DissectionHistory.load(dirpath)
        assert len(loaded) == 3
        for one, other in zip(loaded, history, strict=True):
            same(one, other)
        assert loaded.layers == ("body.conv", "head")


def test_a_resumed_run_replaces_what_it_repeats(tmp_path):
    history = DissectionHistory(tmp_path)
    for cycle in range(4):
        history.append(a_report(cycle))
    resumed = DissectionHistory.load(tmp_path)
    resumed.append(a_report(2, epoch=9))
    assert [snapshot.epoch for snapshot in resumed] == [0, 0, 9]
    assert [snapshot.epoch for snapshot in DissectionHistory.load(tmp_path)] == [0, 0, 9]


def test_refresh_reads_only_what_is_new(tmp_path):
    writing, reading = DissectionHistory(tmp_path), DissectionHistory(tmp_path)
    writing.append(a_report(0))
    reading.refresh()
    first = reading[0]
    writing.append(a_report(1))
    reading.refresh()
    assert len(reading) == 2
    assert reading[0] is first


def test_an_embedding_is_kept_once(tmp_path):
    history = DissectionHistory(tmp_path)
    vectors = {"zebra": np.array([1, 0], np.float32), "apple": np.array([0, 1], np.float32), "other": np.zeros(2)}
    history.append(a_report(0, concept_embeddings=vectors))
    history.append(a_report(1, concept_embeddings=vectors))
    loaded = DissectionHistory.load(tmp_path)
    assert set(loaded.embeddings) == {"zebra", "apple"}
    assert not loaded[1].embeddings
    loaded.append(a_report(0, concept_embeddings=vectors))
    assert set(loaded.embeddings) == set(DissectionHistory.load(tmp_path).embeddings) == {"zebra", "apple"}


def some_activations(value):
    return KeptActivations(np.array([3, 8]), {"fc": np.full((2, 1), value, np.float16)})


def test_the_activations_of_the_last_dissection_are_kept(tmp_path):
    history, in_memory = DissectionHistory(tmp_path), DissectionHistory()
    for each in (history, in_memory):
        assert each.activations() is None
        for cycle in range(3):
            each.append(a_report(cycle, activations=some_activations(cycle / 4)))
        assert each.activations().layers["fc"].tolist() == [[0.5], [0.5]]
        each.truncate(3)
        assert each.activations().sample_ids.tolist() == [3, 8]
    assert DissectionHistory.load(tmp_path).activations().layers["fc"].tolist() == [[0.5], [0.5]]
    for each in (history, in_memory):
        each.truncate(2)
        assert each.activations() is None
    assert sorted(path.name for path in history.folder.iterdir()) == ["cycle-0000.npz", "cycle-0001.npz"]


def test_activations_of_an_older_dissection_do_not_stay(tmp_path):
    history = DissectionHistory(tmp_path)
    history.append(a_report(0, activations=some_activations(0)))
    history.append(a_report(1))
    assert history.activations() is None
    assert len(DissectionHistory.load(tmp_path)) == 2


def test_broken_activations_are_named(tmp_path):
    history = DissectionHistory(tmp_path)
    history.append(a_report(0))
    (history.folder / "activations.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"activations\.npz"):
        history.activations()


def test_the_table_is_one_for_pandas():
    history = DissectionHistory()
    history.append(a_report(0))
    history.append(a_report(1, evaluated_report))
    frame = pandas.DataFrame(history.table())
    assert len(frame) == 20
    assert frame[frame.cycle == 1].vqa.iloc[1] == 0
    assert frame[frame.cycle == 0].vqa.isna().all()
    assert json.loads(frame.to_json(orient="records"))[8]["label"] == "zebra"


@pytest.mark.parametrize("content", [b"", b"no archive", Snapshot.of(small_report()).to_bytes()[:500]])
def test_a_broken_file_is_named(tmp_path, content):
    DissectionHistory(tmp_path).append(a_report(0))
    (tmp_path / "history" / "cycle-0001.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"cycle-0001\.npz"):
        DissectionHistory.load(tmp_path)


def test_a_snapshot_of_another_schema_is_refused(monkeypatch):
    content = Snapshot.of(small_report()).to_bytes()
    monkeypatch.setattr("lightning_dissect.history.snapshot.SCHEMA", 2)
    with pytest.raises(ValueError, match="schema 2"):
        Snapshot.read(content)


def test_a_folder_without_history_is_named(tmp_path):
    with pytest.raises(ValueError, match="holds none"):
        DissectionHistory.load(tmp_path)
