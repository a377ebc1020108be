"""Bad input gets a clear error at setup; a failure of ours neither kills nor changes a training."""

import math
import warnings

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_dissect import NeuronDissection
from lightning_dissect.dissector import DissectionError
from tests.helpers.colours import ColourEncoder, ColourModule, num_hooks

BAD_ARGUMENTS = {
    "layers": ({"layers": ["net.pain"]}, r"net\.pain.*Did you mean 'net\.paint'"),
    "no layers": ({"layers": []}, "layers"),
    "encoder": ({"encoder": "open_clap"}, "Expected an encoder or one of .*'open_clip'.* but got 'open_clap'"),
    "vocabulary": ({"vocabulary": "imagnet"}, "'imagenet'.* but got 'imagnet'"),
    "empty vocabulary": ({"vocabulary": []}, "vocabulary"),
    "similarity": ({"similarity": "soft_wpni"}, "Expected a similarity or one of .*'soft_wpmi'.* but got 'soft_wpni'"),
    "pooling": ({"pooling": "avg"}, "Expected a pooling or one of .*'mean'.* but got 'avg'"),
    "writer": ({"writers": ["excel"]}, "Expected a writer or one of .*'html'.* but got 'excel'"),
    "num_top_images": ({"num_top_images": 0}, "num_top_images"),
    "num_candidates": ({"num_candidates": 0}, "candidates"),
    "false_discovery_rate": (
        {"false_discovery_rate": 1.5},
        r"`false_discovery_rate` to be between 0 and 1, or None .* but got 1\.5",
    ),
    "untrained_networks": (
        {"false_discovery_rate": 0.05, "untrained_networks": 1},
        "`untrained_networks` to be 0 or at least 2, .* but got 1",
    ),
    "negative untrained_networks": ({"false_discovery_rate": 0.05, "untrained_networks": -2}, "but got -2"),
}


@pytest.mark.parametrize(("options", "message"), BAD_ARGUMENTS.values(), ids=BAD_ARGUMENTS.keys())
def test_bad_arguments_are_named_before_the_first_batch(trainer_options, make_dissection, options, message):
    class Untouched(ColourModule):
        def train_dataloader(self):
            raise AssertionError("training began")

        val_dataloader = train_dataloader

    with pytest.raises(ValueError, match=message):
        Trainer(**trainer_options, callbacks=[make_dissection(**options, strict=False)]).fit(Untouched())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every_n_validations": 0}, "every_n_validations"),
        ({"mean": (0.5, 0.5, 0.5)}, "`mean` and `std` to be given together"),
        ({"mean": (0.5,), "std": (0.5,), "denormalize": abs}, "but got both"),
    ],
)
def test_contradictions_are_refused_at_construction(make_dissection, options, message):
    with pytest.raises(ValueError, match=message):
        make_dissection(**options)


def test_a_missing_extra_says_what_to_install(trainer_options, make_dissection, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"lightning-dissect\[offline\]"):
        Trainer(**trainer_options, callbacks=[make_dissection(encoder="assembled")]).fit(ColourModule())


class Lazy(ColourModule):
    """Builds its network after the callbacks were set up."""

    def __init__(self):
        super().__init__()
        del self.net

    def configure_model(self):
        self.net = ColourModule().net


def test_layers_built_later_are_checked_when_they_exist(trainer_options, make_dissection, writer):
    Trainer(**trainer_options, callbacks=[make_dissection()]).fit(Lazy())
    assert [neuron.label for neuron in writer.reports[0].neurons] == ["red", "green", "blue", ""]
    with pytest.raises(ValueError, match="Did you mean"):
        Trainer(**trainer_options, callbacks=[make_dissection(layers="net.pain")]).fit(Lazy())


class Broken(ColourEncoder):
    """An encoder that fails at the second validation."""

    def __init__(self, fail_from=0):
        super().__init__()
        self.calls, self.fail_from = 0, fail_from

    def encode_texts(self, texts):
        self.calls += 1
        if self.calls > self.fail_from:
            raise RuntimeError("out of paint")
        return super().encode_texts(texts)


def test_a_failure_is_a_warning_and_training_goes_on(trainer_options, make_dissection, writer, tmp_path):
    trainer_options["enable_checkpointing"] = True
    checkpoint = ModelCheckpoint(dirpath=tmp_path, monitor="dissection/quality")
    module = ColourModule()
    trainer = Trainer(**trainer_options, callbacks=[make_dissection(encoder=Broken(), strict=False), checkpoint])
    with pytest.warns(UserWarning, match="out of paint"):
        trainer.fit(module)
    assert trainer.current_epoch == 2
    assert math.isnan(trainer.callback_metrics["dissection/net_paint/quality"])
    assert writer.reports == []
    assert num_hooks(module) == 0


def test_a_failure_stops_the_run_where_strict(trainer_options, make_dissection):
    module = ColourModule()
    with pytest.raises(DissectionError, match="out of paint"):
        Trainer(**trainer_options, callbacks=[make_dissection(encoder=Broken())]).fit(module)
    assert num_hooks(module) == 0


def test_a_later_failure_leaves_the_last_value_for_those_who_monitor_it(trainer_options, make_dissection):
    class Whimsical(ColourModule):
        def validation_step(self, batch, batch_idx):
            images, _ = batch
            self(images if self.current_epoch == 0 else images[:3])

    stopping = EarlyStopping(monitor="dissection/quality", mode="max", patience=5)
    trainer_options["max_epochs"] = 3
    trainer = Trainer(**trainer_options, callbacks=[make_dissection(strict=False), stopping])
    with pytest.warns(UserWarning, match=r"rows"):
        trainer.fit(Whimsical())
    assert trainer.current_epoch == 3
    assert trainer.callback_metrics["dissection/quality"] > 0.8


class Rebuilt(ColourModule):
    """Renames its layers after the fit has begun."""

    def on_train_start(self):
        self.net = nn.Sequential(*self.net)


def test_layers_that_vanish_do_not_stop_the_training(trainer_options, make_dissection):
    trainer = Trainer(**trainer_options, callbacks=[make_dissection(strict=False)])
    with pytest.warns(UserWarning, match=r"net\.paint.*Did you mean"):
        trainer.fit(Rebuilt())
    assert trainer.current_epoch == 2
    assert math.isnan(trainer.callback_metrics["dissection/net_paint/quality"])
    with pytest.raises(DissectionError, match=r"net\.paint"):
        Trainer(**trainer_options, callbacks=[make_dissection()]).fit(Rebuilt())


def test_a_layer_that_is_missing_is_named_before_a_validation(trainer_options, make_dissection):
    with pytest.raises(ValueError, match="Did you mean"):
        Trainer(**trainer_options, callbacks=[make_dissection(layers="net.pain", strict=False)]).validate(Lazy())


def test_embeddings_that_cannot_be_kept_cost_no_report(trainer_options, make_dissection, writer, monkeypatch, tmp_path):
    def full(*args, **kwargs):
        raise RuntimeError("No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.warns(UserWarning, match="could not be kept on disk. No space left"):
        Trainer(**trainer_options, callbacks=[make_dissection(cache=tmp_path)]).fit(ColourModule())
    assert len(writer.reports) == 2


def test_whatever_goes_wrong_in_a_report_is_a_warning(trainer_options, make_dissection, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr("lightning_dissect.probe.probe.read_image", broken)
    trainer = Trainer(**trainer_options, callbacks=[make_dissection(strict=False)])
    with pytest.warns(UserWarning, match="ZeroDivisionError"):
        trainer.fit(ColourModule())
    assert trainer.current_epoch == 2


@pytest.mark.parametrize("encoder", [5, nn.Linear(2, 2)])
def test_an_object_that_is_no_encoder_is_refused(trainer_options, make_dissection, encoder):
    with pytest.raises(TypeError, match=r"`encode_images`.* but got (int|Linear)"):
        Trainer(**trainer_options, callbacks=[make_dissection(encoder=encoder)]).fit(ColourModule())


def test_a_failing_writer_does_not_stop_the_others(trainer_options, make_dissection, writer):
    class Clumsy:
        def write(self, report, loggers):
            raise OSError("disk full")

    with pytest.warns(UserWarning, match="Clumsy failed"):
        Trainer(**trainer_options, callbacks=[make_dissection(writers=[Clumsy(), writer], strict=False)]).fit(
            ColourModule()
        )
    assert len(writer.reports) == 2
    with pytest.raises(DissectionError, match="disk full"):
        Trainer(**trainer_options, callbacks=[make_dissection(writers=[Clumsy()])]).fit(ColourModule())


def test_batches_without_images_are_explained(trainer_options, make_dissection):
    class Flat(ColourModule):
        def validation_step(self, batch, batch_idx):
            self.net(batch.reshape(-1, 3, 1, 1))

    loader = DataLoader(torch.rand(8, 3), batch_size=4)
    with pytest.raises(DissectionError, match="image_fn"):
        Trainer(**trainer_options, callbacks=[make_dissection()]).validate(Flat(), loader)


def test_non_finite_activations_are_counted_and_not_labelled(trainer_options, make_dissection, writer):
    module = ColourModule()
    with torch.no_grad():
        module.net.paint.weight[0] = torch.nan
    trainer = Trainer(**trainer_options, callbacks=[make_dissection()])
    trainer.validate(module, verbose=False)
    assert [neuron.status for neuron in writer.reports[0].neurons] == ["non_finite", "labelled", "labelled", "dead"]
    assert [neuron.label for neuron in writer.reports[0].neurons] == ["", "green", "blue", ""]
    assert trainer.callback_metrics["dissection/non_finite"] == 1


class Detours(ColourModule):
    """Has a layer that is never called."""

    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(3, 3)


def test_a_silent_layer_is_named_and_the_others_are_dissected(trainer_options, make_dissection, writer):
    with pytest.warns(UserWarning, match=r"'spare' is left out.*never called"):
        Trainer(**trainer_options, callbacks=[make_dissection(layers=["spare", "net.paint"])]).validate(Detours())
    assert [layer.layer for layer in writer.reports[0].layers] == ["net.paint"]


def test_nothing_but_silent_layers_is_an_error(trainer_options, make_dissection):
    with pytest.raises(DissectionError, match="None of the layers could be recorded"):
        Trainer(**trainer_options, callbacks=[make_dissection(layers=["spare"])]).validate(Detours())


def test_fewer_images_than_a_similarity_needs_is_an_error(trainer_options, make_dissection):
    with pytest.raises(DissectionError, match="images"):
        Trainer(**trainer_options, callbacks=[make_dissection(similarity="soft_wpmi")]).validate(
            ColourModule(num_images=1)
        )


class TwoLoaders(LightningDataModule):
    def val_dataloader(self):
        return [DataLoader(ColourModule().data)] * 2


@pytest.mark.parametrize(
    ("probe", "error", "message"),
    [(5, TypeError, "Expected `probe` .* but got int"), (TwoLoaders(), ValueError, "one validation loader but got 2")],
)
def test_a_probe_that_cannot_be_used_is_refused(trainer_options, make_dissection, probe, error, message):
    with pytest.raises(error, match=message):
        Trainer(**trainer_options, callbacks=[make_dissection(probe=probe, strict=False)]).fit(ColourModule())


def test_a_probe_needs_a_forward(trainer_options, make_dissection):
    class Stepper(ColourModule):
        forward = LightningModule.forward

        def validation_step(self, batch, batch_idx):
            self.net(batch[0])

    with pytest.raises(ValueError, match="forward_fn"):
        Trainer(**trainer_options, callbacks=[make_dissection(probe=ColourModule().data)]).validate(Stepper())


def test_a_folder_that_cannot_be_looked_into_is_a_failure_like_any_other(trainer_options, make_dissection, monkeypatch):
    def forbidden(folder):
        raise PermissionError(folder)

    monkeypatch.setattr("lightning_dissect.callback.unused_folder", forbidden)
    with pytest.warns(UserWarning, match="PermissionError"):
        Trainer(**trainer_options, callbacks=[make_dissection(strict=False)]).fit(ColourModule())


def test_a_failure_leaves_random_states_alone(trainer_options, make_dissection):
    class Random(Broken):
        def encode_texts(self, texts):
            torch.rand(3)
            return super().encode_texts(texts)

    weights = []
    for callbacks in ([], [make_dissection(encoder=Random(), strict=False)]):
        torch.manual_seed(1)
        module = ColourModule(learning_rate=0.5)
        Trainer(**trainer_options, callbacks=callbacks).fit(module)
        weights.append(torch.cat([parameter.flatten() for parameter in module.parameters()]).detach())
    assert torch.equal(*weights)


def test_unknown_colours_are_warned_of_once(trainer_options, make_dissection):
    loader = DataLoader(TensorDataset(4 * torch.randn(24, 3, 8, 8), torch.arange(24) % 4), batch_size=8)
    trainer = Trainer(**trainer_options, callbacks=[make_dissection()])
    with pytest.warns(UserWarning, match="Pass `mean` and `std` or `denormalize`") as caught:
        trainer.fit(ColourModule(), val_dataloaders=loader, train_dataloaders=ColourModule().train_dataloader())
    assert sum("`denormalize`" in str(warning.message) for warning in caught) == 1


def test_testing_is_none_of_our_business(trainer_options, make_dissection, writer):
    class Tested(ColourModule):
        def test_step(self, batch, batch_idx):
            self(batch[0])

    Trainer(**trainer_options, callbacks=[make_dissection()]).test(Tested(), ColourModule().val_dataloader())
    assert writer.reports == []


def test_a_callback_without_a_trainer_says_so(make_dissection):
    with pytest.raises(RuntimeError, match="setup"):
        make_dissection().on_fit_start(None, ColourModule())


def test_a_good_run_gives_no_warning_of_ours(trainer_options, make_dissection):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Trainer(**trainer_options, callbacks=[make_dissection()]).fit(ColourModule())
    assert not [str(warning.message) for warning in caught if "issection" in str(warning.message)]


def test_hostile_labels_travel_unharmed(trainer_options, make_dissection, tmp_path):
    class Any(ColourEncoder):
        def encode_texts(self, texts):
            return torch.nn.functional.normalize(torch.eye(len(texts), 3) + 1e-3, dim=-1)

    hostile = ["\"red\", 'crimson'", "<script>alert(1)</script>", "=1+1;\tblue"]
    dissection = make_dissection(vocabulary=hostile, encoder=Any(), writers=["json", "csv", "html"])
    Trainer(**trainer_options, callbacks=[dissection]).validate(ColourModule(), verbose=False)
    page = (tmp_path / "dissection" / "report.html").read_text()
    assert "<script>alert(1)" not in page
    assert dissection.last_report.neurons[1].label == "<script>alert(1)</script>"


def test_arguments_have_plain_defaults():
    assert NeuronDissection(layers="x").state_key == "NeuronDissection{'name': 'dissection'}"
