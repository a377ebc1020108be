import json

import pytest

from lightning_dissect.history import Alarm
from lightning_dissect.writers import read_alarms, sound_alarms, write_alarms
from tests.helpers.label_history import report_of


def alarm(name="loss", value=3.0):
    return Alarm(name, "Concepts lost", 'From 9 to 3; "猫"\n</script>', "fc", value, 4.5)


class WandbLogger:
    def __init__(self):
        self.experiment = self
        self.alerts = []

    def alert(self, **options):
        self.alerts.append(options)


def test_an_alarm_is_a_line(tmp_path):
    report = report_of(2, ["a"], dirpath=tmp_path)
    write_alarms([alarm(), alarm("other", float("nan"))], report)
    assert len((tmp_path / "alarms.jsonl").read_text().splitlines()) == 2
    first, second = read_alarms(tmp_path)
    assert (first["cycle"], first["epoch"], first["step"]) == (2, 2, 20)
    assert {name: first[name] for name in vars(alarm())} == vars(alarm())
    assert second["value"] is None


def test_a_resumed_run_forgets_the_alarms_that_it_repeats(tmp_path):
    for cycle in range(4):
        write_alarms([alarm(str(cycle))], report_of(cycle, ["a"], dirpath=tmp_path))
    write_alarms([], report_of(2, ["a"], dirpath=tmp_path))
    assert [found["name"] for found in read_alarms(tmp_path)] == ["0", "1"]


def test_without_alarms_there_is_no_file(tmp_path):
    write_alarms([], report_of(0, ["a"], dirpath=tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert read_alarms(tmp_path) == []
    write_alarms([alarm()], report_of(0, ["a"]))


def test_all_are_told(tmp_path):
    told, logger = [], WandbLogger()
    report = report_of(0, ["a"], dirpath=tmp_path)
    assert sound_alarms([alarm()], report, [logger, object()], told.append) == []
    assert told == [alarm()]
    assert logger.alerts == [{"title": "Concepts lost", "text": alarm().text, "level": "WARN"}]
    assert len(read_alarms(tmp_path)) == 1
    assert sound_alarms([], report, [logger], told.append) == []
    assert sound_alarms([alarm()], report, []) == []
    assert len(told) == len(logger.alerts) == 1


@pytest.mark.parametrize("broken", ["file", "logger", "function"])
def test_who_fails_stops_no_other(tmp_path, broken):
    def fail(*args, **options):
        raise ZeroDivisionError

    told, logger = [], WandbLogger()
    if broken == "file":
        (tmp_path / "alarms.jsonl").write_text("no json\n")
    if broken == "logger":
        logger.alert = fail
    function = fail if broken == "function" else told.append
    (failure,) = sound_alarms([alarm()], report_of(0, ["a"], dirpath=tmp_path), [logger], function)
    assert failure.splitlines()[0].endswith("failed.")
    assert len(logger.alerts) == (broken != "logger")
    assert len(told) == (broken != "function")
    assert (json.loads((tmp_path / "alarms.jsonl").read_text())["name"] if broken != "file" else "loss") == "loss"
