import numpy as np
import pytest

from lightning_dissect.history import Alarm, DissectionHistory, RunObserver
from tests.helpers.label_history import report_of


class Always:
    def check(self, history, curves):
        return [Alarm("always", "Always", "", "", float(len(history)), curves[""]["coverage"][-1])]


class Broken:
    def check(self, history, curves):
        raise ZeroDivisionError


def test_dissections_are_kept_measured_and_judged(tmp_path):
    observer = RunObserver([Always()])
    first = observer.observe(report_of(0, ["a", "b"], dirpath=tmp_path))
    second = observer.observe(report_of(1, ["a", "c"], dirpath=tmp_path))
    assert second.values[""]["churn"] == second.values["fc"]["churn"] == 0.5
    assert [alarm.value for seen in (first, second) for alarm in seen.alarms] == [1, 2]
    assert first.failures == second.failures == ()
    assert len(DissectionHistory.load(tmp_path)) == 2


def test_another_process_goes_on_where_the_first_stopped(tmp_path):
    whole = RunObserver()
    seen = [whole.observe(report_of(cycle, [word])) for cycle, word in enumerate("abbc")]
    RunObserver().observe(report_of(0, ["a"], dirpath=tmp_path))
    for cycle, word in ((1, "z"), (2, "z")):
        RunObserver().observe(report_of(cycle, [word], dirpath=tmp_path))
    for cycle, word in ((1, "b"), (2, "b"), (3, "c")):
        assert repr(RunObserver().observe(report_of(cycle, [word], dirpath=tmp_path))) == repr(seen[cycle])
    assert [snapshot.labels[0] for snapshot in DissectionHistory.load(tmp_path)] == ["a", "b", "b", "c"]


def test_without_a_folder_the_history_is_in_memory():
    observer = RunObserver()
    observer.observe(report_of(0, ["a"]))
    assert observer.observe(report_of(1, ["b"])).values[""]["churn"] == 1
    assert observer.history.folder is None


def test_what_cannot_be_written_is_still_measured(tmp_path):
    (tmp_path / "history").touch()
    observer = RunObserver()
    for cycle, word in enumerate("ab"):
        seen = observer.observe(report_of(cycle, [word], dirpath=tmp_path))
        (failure,) = seen.failures
        assert failure.startswith("The history of the run could not be written.")
    assert seen.values[""]["churn"] == 1


def test_what_cannot_be_read_is_told_once(tmp_path):
    before = RunObserver()
    for cycle in range(3):
        before.observe(report_of(cycle, ["a"], dirpath=tmp_path))
    (tmp_path / "history" / "cycle-0002.npz").write_bytes(b"")
    observer = RunObserver()
    (failure,) = observer.observe(report_of(3, ["a"], dirpath=tmp_path)).failures
    assert "cycle-0002.npz" in failure
    assert len(observer.history) == 3
    assert observer.observe(report_of(4, ["a"], dirpath=tmp_path)).failures == ()


def test_a_broken_rule_stops_no_other():
    seen = RunObserver([Broken(), Always()]).observe(report_of(0, ["a"]))
    assert len(seen.alarms) == 1
    assert seen.failures[0].startswith("The alarm Broken failed.\n")


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="Expected an alarm or one of"):
        RunObserver(["class_colapse"])


def test_the_same_weights_on_other_images_raise_no_alarm():
    """Three in ten labels move among two rivals or are withheld, each time anew; 25 runs of 6."""
    generator = np.random.default_rng(0)
    names = [(f"concept {place}", f"rival {place}") for place in generator.zipf(1.6, 80) % 60]
    raised = 0
    for _ in range(25):
        observer = RunObserver(["concept_loss", "class_collapse", "watch_list:concept 1"])
        seen = []
        for cycle in range(6):
            drawn = generator.random(len(names))
            words = [
                "?" + best if chance < 0.15 else f"{best}|{rival}" if chance < 0.85 else f"{rival}|{best}"
                for (best, rival), chance in zip(names, drawn, strict=True)
            ]
            seen.append(observer.observe(report_of(cycle, words, stability=0.7)))
        raised += any(observation.alarms for observation in seen)
        assert all(observation.values[""]["changed_share"] == 0 for observation in seen[1:])
    assert raised <= 1
