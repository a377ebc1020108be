"""When the callback works and what it leaves behind."""

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from tests.helpers.colours import ColourModule, num_hooks


def labels(report):
    return [neuron.label for neuron in report.neurons]


def test_each_validation_of_a_fit_gives_one_exact_report(trainer_options, make_dissection, writer):
    module = ColourModule()
    Trainer(**trainer_options, callbacks=[make_dissection()]).fit(module)
    assert [(report.cycle, report.epoch, report.step, report.logger_step) for report in writer.reports] == [
        (0, 0, 3, 2),
        (1, 1, 6, 5),
    ]
    for report in writer.reports:
        assert report.num_images == 24
        assert [layer.layer for layer in report.layers] == ["net.paint"]
        assert labels(report) == ["red", "green", "blue", ""]
        assert [neuron.status for neuron in report.neurons] == ["labelled"] * 3 + ["dead"]
        assert all(neuron.quality > 0.8 for neuron in report.neurons[:3])
        assert [len(neuron.runner_ups) for neuron in report.neurons] == [3, 3, 3, 0]
    assert num_hooks(module) == 0


def test_the_top_images_show_what_activates_the_unit(trainer_options, make_dissection, writer):
    Trainer(**trainer_options, callbacks=[make_dissection(num_top_images=3)]).fit(ColourModule())
    report = writer.reports[0]
    for unit in range(3):
        top = report.neurons[unit].top_images
        assert [image.sample_id % 4 for image in top] == [unit] * 3
        assert [image.activation for image in top] == sorted((image.activation for image in top), reverse=True)
        picture = report.images[top[0].sample_id]
        assert picture.shape == (8, 8, 3)
        assert picture.mean(axis=(0, 1)).argmax() == unit


def test_the_sanity_check_leaves_no_trace(trainer_options, make_dissection, writer, tmp_path):
    class Sanity(Callback):
        def on_sanity_check_end(self, trainer, pl_module):
            self.hooks, self.metrics = num_hooks(pl_module), dict(trainer.callback_metrics)

    sanity = Sanity()
    dissection = make_dissection()
    Trainer(**trainer_options, num_sanity_val_steps=2, callbacks=[dissection, sanity]).fit(ColourModule())
    assert sanity.hooks == 0
    assert not any(key.startswith("dissection") for key in sanity.metrics)
    assert len(writer.reports) == 2


def test_fast_dev_run_checks_the_layers_and_leaves_no_trace(trainer_options, make_dissection, writer, tmp_path):
    del trainer_options["max_epochs"]
    dissection = make_dissection(writers=None)
    Trainer(**trainer_options, fast_dev_run=True, callbacks=[dissection]).fit(ColourModule())
    assert writer.reports == []
    assert list(tmp_path.iterdir()) == []
    assert dissection.state_dict()["num_validations"] == 0


def test_training_is_bit_identical_with_and_without(trainer_options, make_dissection):
    weights = []
    for callbacks in ([], [make_dissection()]):
        torch.manual_seed(1)
        module = ColourModule(learning_rate=0.5)
        Trainer(**trainer_options, callbacks=callbacks).fit(module)
        weights.append(torch.cat([parameter.flatten() for parameter in module.parameters()]).detach())
    assert torch.equal(*weights)


@pytest.mark.parametrize("where", ["training_step", "validation_step", "on_validation_epoch_end"])
def test_no_hook_survives_an_exception(trainer_options, make_dissection, where):
    class Broken(ColourModule):
        pass

    def fail(self, *args, **kwargs):
        raise ZeroDivisionError

    setattr(Broken, where, fail)
    module = Broken()
    with pytest.raises(ZeroDivisionError):
        Trainer(**trainer_options, num_sanity_val_steps=0, callbacks=[make_dissection()]).fit(module)
    assert num_hooks(module) == 0


def test_a_trainer_can_fit_twice_and_validate(trainer_options, make_dissection, writer):
    module, trainer = ColourModule(), Trainer(**trainer_options, callbacks=[make_dissection()])
    trainer.fit(module)
    trainer.fit_loop.max_epochs = 3
    trainer.fit(module)
    trainer.validate(module, verbose=False)
    assert [report.cycle for report in writer.reports] == [0, 1, 2, 3]
    assert len({tuple(labels(report)) for report in writer.reports}) == 1


def test_validate_works_in_inference_mode(trainer_options, make_dissection, writer):
    metrics = Trainer(**trainer_options, callbacks=[make_dissection()]).validate(ColourModule(), verbose=False)
    assert metrics[0]["dissection/labelled"] == 3
    assert labels(writer.reports[0]) == ["red", "green", "blue", ""]


def test_several_validations_in_one_epoch_are_told_apart_by_their_step(trainer_options, make_dissection, writer):
    Trainer(**trainer_options, val_check_interval=1, callbacks=[make_dissection()]).fit(ColourModule())
    assert [(report.epoch, report.step) for report in writer.reports] == [
        (0, 1),
        (0, 2),
        (0, 3),
        (1, 4),
        (1, 5),
        (1, 6),
    ]


def test_every_n_validations_begins_with_the_first(trainer_options, make_dissection, writer):
    trainer_options["max_epochs"] = 5
    Trainer(**trainer_options, callbacks=[make_dissection(every_n_validations=2)]).fit(ColourModule())
    assert [(report.cycle, report.epoch) for report in writer.reports] == [(0, 0), (1, 2), (2, 4)]


def test_checkpoints_and_early_stopping_see_the_metrics(trainer_options, make_dissection, tmp_path):
    trainer_options.update(max_epochs=5, enable_checkpointing=True)
    checkpoint = ModelCheckpoint(dirpath=tmp_path / "best", monitor="dissection/net_paint/quality", mode="max")
    stopping = EarlyStopping(monitor="dissection/quality", mode="max", patience=1)
    trainer = Trainer(**trainer_options, callbacks=[stopping, checkpoint, make_dissection()])
    trainer.fit(ColourModule())
    assert checkpoint.best_model_score > 0.8
    assert trainer.current_epoch == 2


def test_a_resumed_run_continues_the_count_in_the_same_folder(trainer_options, make_dissection, writer, tmp_path):
    trainer = Trainer(**trainer_options, callbacks=[make_dissection()])
    trainer.fit(ColourModule())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed = Trainer(**{**trainer_options, "max_epochs": 3}, callbacks=[make_dissection()])
    resumed.fit(ColourModule(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert [(report.cycle, report.epoch) for report in writer.reports] == [(0, 0), (1, 1), (2, 2)]
    assert len({report.dirpath for report in writer.reports}) == 1


def test_a_second_run_does_not_write_into_the_first_one_s_folder(trainer_options, make_dissection, tmp_path):
    for _ in range(2):
        Trainer(**trainer_options, callbacks=[make_dissection(writers=["json"])]).fit(ColourModule())
    assert (tmp_path / "dissection").is_dir()
    assert (tmp_path / "dissection-v1").is_dir()


def test_two_callbacks_of_one_trainer_do_not_mix(trainer_options, make_dissection, writer):
    callbacks = [make_dissection(name="paint"), make_dissection(name="head", layers=["net.head"])]
    trainer = Trainer(**trainer_options, callbacks=callbacks)
    trainer.fit(ColourModule())
    assert [(report.name, len(report.neurons)) for report in writer.reports] == [("paint", 4), ("head", 4)] * 2
    assert {"paint/net_paint/quality", "head/net_head/quality"} <= trainer.callback_metrics.keys()


def test_callbacks_of_the_same_name_are_refused(trainer_options, make_dissection):
    with pytest.raises(RuntimeError, match="state_key"):
        Trainer(**trainer_options, callbacks=[make_dissection(), make_dissection()])


def test_the_callback_works_in_the_standalone_package(trainer_options, make_dissection, writer):
    import pytorch_lightning

    class Module(pytorch_lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.inner = ColourModule()

        def training_step(self, batch, batch_idx):
            return self.inner.training_step(batch, batch_idx)

        def validation_step(self, batch, batch_idx):
            self.inner.net(batch[0])

        def configure_optimizers(self):
            return self.inner.configure_optimizers()

        def train_dataloader(self):
            return self.inner.train_dataloader()

        val_dataloader = train_dataloader

    trainer = pytorch_lightning.Trainer(**trainer_options, callbacks=make_dissection(layers="paint"))
    trainer.fit(Module())
    assert [labels(report) for report in writer.reports] == [["red", "green", "blue", ""]] * 2
    assert "dissection/quality" in trainer.callback_metrics


def test_a_trainer_that_never_validates_is_warned_of(trainer_options, make_dissection):
    with pytest.warns(UserWarning, match="labels neurons during validation"):
        Trainer(**trainer_options, limit_val_batches=0, callbacks=[make_dissection()]).fit(ColourModule())
