"""What the callback keeps and says of a run across its validations."""

import math
import warnings

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from lightning_dissect import DissectionError
from lightning_dissect.history import CURVES, Alarm, DissectionHistory, curves
from lightning_dissect.report.change_scalars import CHANGES
from lightning_dissect.writers import read_alarms
from tests.helpers.colours import ColourModule


class Logged(Callback):
    """Keeps our scalars of every validation."""

    def __init__(self):
        self.values = []

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            own = {key: float(value) for key, value in trainer.callback_metrics.items() if "/" in key}
            self.values.append(own)


class EveryTime:
    """Raises an alarm at every dissection from the second on."""

    def check(self, history, curves):
        return [Alarm("every", "Every time", f"{len(history)}.", "", 1.0, 0.0)] if len(history) > 1 else []


def fit(trainer_options, dissection, *callbacks, module=None, epochs=3, **options):
    trainer = Trainer(**{**trainer_options, "max_epochs": epochs}, callbacks=[dissection, *callbacks])
    trainer.fit(module or ColourModule(), **options)
    return trainer


def same_histories(one, other):
    assert len(one) == len(other)
    for first, second in zip(one, other, strict=True):
        assert first.labels.tolist() == second.labels.tolist()
        assert (first.cycle, first.epoch, first.step) == (second.cycle, second.epoch, second.step)
        np.testing.assert_array_equal(first.scores, second.scores)
        np.testing.assert_array_equal(first.top_images, second.top_images)
    found, expected = curves(one), curves(other)
    for layer in expected:
        for name in CURVES:
            np.testing.assert_array_equal(found[layer][name], expected[layer][name])


def test_without_learning_nothing_changes(trainer_options, make_dissection, tmp_path):
    logged = Logged()
    fit(trainer_options, make_dissection(), logged)
    found = curves(DissectionHistory.load(tmp_path / "dissection"))
    for layer in ("", "net.paint"):
        np.testing.assert_array_equal(found[layer]["churn"], [math.nan, 0, 0])
        np.testing.assert_array_equal(found[layer]["coverage"], [3, 3, 3])
    assert logged.values[-1]["dissection/churn"] == logged.values[-1]["dissection/net_paint/churn"] == 0
    assert logged.values[-1]["dissection/settled_share"] == 1


def test_every_key_is_logged_from_the_first_dissection_on(trainer_options, make_dissection):
    logged = Logged()
    fit(trainer_options, make_dissection(), logged)
    keys = {f"dissection/{at}{name}" for at in ("", "net_paint/") for name in CHANGES}
    for values in logged.values:
        assert keys | {"dissection/alarms"} <= values.keys()
    assert all(math.isnan(logged.values[0][key]) for key in keys)
    assert math.isfinite(logged.values[1]["dissection/net_paint/changed_share"])


def test_a_first_failure_logs_every_key_too(trainer_options, make_dissection, monkeypatch):
    logged, dissection = Logged(), make_dissection(strict=False)
    monkeypatch.setattr("lightning_dissect.dissector.Dissector.report", None)
    with pytest.warns(match="could not be dissected"):
        fit(trainer_options, dissection, logged, epochs=1)
    assert math.isnan(logged.values[0]["dissection/churn"])
    assert math.isnan(logged.values[0]["dissection/alarms"])


def repaint(module, epoch):
    """Give the units other colours in each epoch, as if they had learned them."""
    with torch.no_grad():
        module.net.paint.weight.copy_(module.net.paint.weight[[1, 2, 0, 3]])


class Repainted(ColourModule):
    def on_train_epoch_end(self):
        repaint(self, self.current_epoch)


def test_what_changes_is_seen(trainer_options, make_dissection, tmp_path):
    logged = Logged()
    fit(trainer_options, make_dissection(), logged, module=Repainted())
    assert [values["dissection/churn"] for values in logged.values[1:]] == [1, 1]
    assert [values["dissection/lost"] for values in logged.values[1:]] == [0, 0]
    assert logged.values[-1]["dissection/half_life"] == 3


@pytest.mark.parametrize("given", [False, True], ids=["default folder", "dirpath given"])
def test_a_resumed_run_has_the_history_of_one_that_was_never_stopped(trainer_options, make_dissection, tmp_path, given):
    """The checkpoint is older than the last two dissections, which are made again."""

    def run(folder, logged, **options):
        changes = {"enable_checkpointing": True} | ({} if given else {"default_root_dir": tmp_path / folder})
        dissection = make_dissection(alarms=[EveryTime()], dirpath=str(tmp_path / folder) if given else None)
        kept = ModelCheckpoint(tmp_path / folder, filename="{epoch}", save_top_k=-1, enable_version_counter=False)
        fit({**trainer_options, **changes}, dissection, logged, kept, module=Repainted(), **options)

    whole, resumed = Logged(), Logged()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run("whole", whole, epochs=5)
        run("stopped", Logged(), epochs=4)
        run("stopped", resumed, epochs=5, ckpt_path=tmp_path / "stopped" / "epoch=1.ckpt", weights_only=True)
    same_histories(
        DissectionHistory.load(tmp_path / "stopped" / "dissection"),
        DissectionHistory.load(tmp_path / "whole" / "dissection"),
    )
    assert not (tmp_path / "stopped" / "dissection-v1").exists()
    assert repr(resumed.values) == repr(whole.values[2:])
    alarms = [read_alarms(tmp_path / folder / "dissection") for folder in ("stopped", "whole")]
    assert alarms[0] == alarms[1]
    assert [alarm["cycle"] for alarm in alarms[0]] == [1, 2, 3, 4]


def test_validating_an_old_checkpoint_leaves_the_history_alone(trainer_options, make_dissection, tmp_path):
    options = {**trainer_options, "enable_checkpointing": True}
    checkpoints = ModelCheckpoint(tmp_path / "kept", filename="{epoch}", save_top_k=-1)
    trainer = fit(options, make_dissection(), checkpoints)
    trainer.validate(ColourModule(), ckpt_path=tmp_path / "kept" / "epoch=0.ckpt", verbose=False, weights_only=True)
    assert [snapshot.cycle for snapshot in DissectionHistory.load(tmp_path / "dissection")] == [0, 1, 2, 3]
    Trainer(**trainer_options, callbacks=[make_dissection()]).validate(
        ColourModule(), ckpt_path=tmp_path / "kept" / "epoch=0.ckpt", verbose=False, weights_only=True
    )
    assert len(DissectionHistory.load(tmp_path / "dissection")) == 4
    assert [snapshot.cycle for snapshot in DissectionHistory.load(tmp_path / "dissection-v1")] == [0]


def test_histories_of_two_callbacks_do_not_mix(trainer_options, make_dissection, tmp_path):
    other = make_dissection(name="other", every_n_validations=2, layers=["net.head"])
    fit(trainer_options, make_dissection(), other)
    one, two = (DissectionHistory.load(tmp_path / name) for name in ("dissection", "other"))
    assert [snapshot.epoch for snapshot in one] == [0, 1, 2]
    assert [snapshot.epoch for snapshot in two] == [0, 2]
    assert (one.layers, two.layers) == (("net.paint",), ("net.head",))


@pytest.mark.parametrize("options", [{"fast_dev_run": True}, {"max_epochs": 0, "num_sanity_val_steps": 2}])
def test_trials_leave_no_history(trainer_options, make_dissection, tmp_path, options):
    trainer_options.pop("max_epochs")
    Trainer(**{**trainer_options, **options}, callbacks=[make_dissection()]).fit(ColourModule())
    assert not list(tmp_path.rglob("history"))


def test_a_history_that_cannot_be_written_costs_nothing_else(trainer_options, make_dissection, monkeypatch, writer):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lightning_dissect.history.history.write_whole", full)
    logged = Logged()
    with pytest.warns(match=r"(?s)history of the run could not be written.*No space left"):
        fit(trainer_options, make_dissection(strict=False), logged)
    assert len(writer.reports) == 3
    assert logged.values[-1]["dissection/churn"] == 0
    with pytest.raises(DissectionError, match="No space left"):
        fit(trainer_options, make_dissection(strict=True))


def test_an_alarm_is_a_warning_a_line_a_scalar_and_a_call(trainer_options, make_dissection, tmp_path):
    told, logged = [], Logged()
    dissection = make_dissection(alarms=[EveryTime()], on_alarm=told.append)
    with pytest.warns(match=r"NeuronDissection\(name='dissection'\): Every time\. 2\."):
        fit(trainer_options, dissection, logged)
    assert [alarm.text for alarm in told] == ["2.", "3."]
    assert [values["dissection/alarms"] for values in logged.values] == [0, 1, 1]
    assert [alarm["step"] for alarm in read_alarms(tmp_path / "dissection")] == [6, 9]


def test_a_function_that_fails_does_not_stop_the_run(trainer_options, make_dissection):
    def fail(alarm):
        raise ZeroDivisionError

    dissection = make_dissection(alarms=[EveryTime()], on_alarm=fail, strict=False)
    with pytest.warns(match="`on_alarm` failed"):
        trainer = fit(trainer_options, dissection)
    assert trainer.current_epoch == 3


def test_a_good_run_raises_no_alarm(trainer_options, make_dissection, tmp_path):
    fit(trainer_options, make_dissection(alarms=["concept_loss", "class_collapse", "watch_list:white"]))
    assert not (tmp_path / "dissection" / "alarms.jsonl").exists()


def test_an_unknown_alarm_is_named_before_the_first_batch(trainer_options, make_dissection):
    with pytest.raises(ValueError, match="Expected an alarm or one of"):
        fit(trainer_options, make_dissection(alarms=["fire"]))


def test_checkpoints_and_early_stopping_can_follow_what_changes(trainer_options, make_dissection, tmp_path):
    trainer_options.update(enable_checkpointing=True)
    checkpoint = ModelCheckpoint(tmp_path / "best", monitor="dissection/net_paint/churn", mode="min")
    stopping = EarlyStopping(
        "dissection/settled_share", mode="max", stopping_threshold=0.99, check_finite=False, patience=9
    )
    trainer = fit(trainer_options, make_dissection(), stopping, checkpoint, epochs=9)
    assert trainer.current_epoch == 3
    assert checkpoint.best_model_score == 0


def test_early_stopping_that_would_stop_at_once_is_warned_of(trainer_options, make_dissection):
    with pytest.warns(match="check_finite=False"):
        fit(trainer_options, make_dissection(), EarlyStopping("dissection/churn"))
