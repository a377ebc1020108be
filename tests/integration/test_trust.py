"""Labels that chance or an untrained network explains are withheld, and the training notices nothing of it."""

import gc
import random
import weakref

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader

from lightning_dissect.recording import ActivationStorage
from lightning_dissect.trust import UntrainedNetworks
from tests.helpers.colours import num_hooks
from tests.helpers.planted import (
    CONCEPTS,
    DEAD,
    PATTERNS,
    PLANTED,
    TWIN,
    UNITS,
    PlantedDataset,
    PlantedModule,
    random_network,
)


@pytest.fixture
def make(make_dissection):
    """Return a factory of callbacks that judge, with the annotations for an encoder."""

    def make(**options):
        options = {"false_discovery_rate": 0.05, "layers": ["net.act"], "vocabulary": CONCEPTS, **options}
        return make_dissection(encoder="annotations", target_fn=lambda batch: batch[1], **options)

    return make


@pytest.fixture
def trainer_options(trainer_options):
    return trainer_options | {"num_sanity_val_steps": 0}


def statuses(report):
    return [neuron.status for neuron in report.neurons]


def assert_true_verdicts(report):
    """Planted units have the name of their pattern, or also that of its twin, random ones have none."""
    for neuron in report.neurons[:PLANTED]:
        pattern = PATTERNS[neuron.unit % len(PATTERNS)]
        assert neuron.label == pattern
        assert neuron.status == ("ambiguous" if pattern == PATTERNS[0] else "labelled")
        assert neuron.trust.contenders == ((pattern, TWIN) if pattern == PATTERNS[0] else (pattern,))
        assert neuron.trust.q_chance <= 0.05
        assert neuron.trust.q_untrained <= 0.05
        low, high = neuron.trust.interval
        assert low - 1e-6 <= neuron.quality <= high + 1e-6
    assert statuses(report)[PLANTED:] == ["no_clear_function"] * (DEAD - PLANTED) + ["dead"]
    assert {neuron.label for neuron in report.neurons[PLANTED:]} == {""}
    assert report.settings["false-discovery rate"] == "0.05, against chance and 4 untrained networks"


def test_what_is_known_to_be_true_is_found(trainer_options, make, writer):
    trainer = Trainer(**trainer_options, callbacks=[make()])
    trainer.fit(PlantedModule())
    assert len(writer.reports) == 2
    for report in writer.reports:
        assert_true_verdicts(report)
    for at in ("dissection/", "dissection/net_act/"):
        assert trainer.callback_metrics[at + "no_clear_function_share"] == (DEAD - PLANTED) / UNITS
        assert trainer.callback_metrics[at + "no_clear_function"] == DEAD - PLANTED
        assert trainer.callback_metrics[at + "ambiguous"] == 3


@pytest.mark.parametrize(("copies", "withheld"), [(4, UNITS), (0, 13)])
def test_a_network_that_has_learned_nothing(trainer_options, make, writer, copies, withheld):
    """Against chance alone its units are called after the brightness that any filter tells."""
    Trainer(**trainer_options, callbacks=[make(untrained_networks=copies)]).validate(
        PlantedModule(random_network()), verbose=False
    )
    assert statuses(writer.reports[0]).count("no_clear_function") == pytest.approx(withheld, abs=0 if copies else 4)


class Normalised(PlantedModule):
    """Has statistics, dropout, and a forward that draws from every generator there is."""

    def __init__(self):
        super().__init__(random_network(norm=nn.BatchNorm2d(UNITS), drop=nn.Dropout(0.2)), learning_rate=0.5)

    def forward(self, images):
        noise = torch.rand(()).item() + random.random() + np.random.rand()  # noqa: NPY002, S311
        return self.net(images + 0.01 * noise)


class State(Callback):
    """Sees what a validation has left."""

    def __init__(self):
        self.found = []

    def on_validation_end(self, trainer, module):
        generators = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
        modes = [part.training for part in module.modules()]
        values = {name: value.clone() for name, value in module.state_dict().items()}
        self.found.append((generators, modes, values, num_hooks(module)))


def test_a_training_is_the_same_to_the_last_bit(trainer_options, make):
    found = []
    for callbacks in ([], [make()]):
        torch.manual_seed(1), random.seed(1), np.random.seed(1)  # noqa: NPY002
        module, state = Normalised(), State()
        Trainer(**trainer_options, callbacks=[*callbacks, state]).fit(module)
        assert num_hooks(module) == 0
        found.append(state.found)
    assert len(found[0]) == 2
    for without, having in zip(*found, strict=True):
        assert torch.equal(without[0][0], having[0][0])
        assert without[0][1:] == having[0][1:]
        assert without[1] == having[1]
        assert all(torch.equal(value, having[2][name]) for name, value in without[2].items())
        assert without[3] == having[3] == 0


class Copies(Callback):
    """Follows the untrained copies of every dissection."""

    def __init__(self, dissection):
        self.dissection, self.references, self.alive = dissection, [], []

    def on_validation_batch_end(self, *args):
        networks = self.dissection._dissector._trust._networks
        if networks is not None and len(networks._networks) and not args[4]:
            self.references.append([weakref.ref(network.parts[""]) for network in networks._networks])

    def on_validation_end(self, trainer, module):
        gc.collect()
        self.alive.append(sum(reference() is not None for run in self.references for reference in run))


def test_copies_live_for_one_validation(trainer_options, make):
    dissection = make(every_n_validations=2)
    copies = Copies(dissection)
    Trainer(**trainer_options | {"max_epochs": 4, "num_sanity_val_steps": 2}, callbacks=[dissection, copies]).fit(
        PlantedModule()
    )
    assert [len(run) for run in copies.references] == [4]
    assert copies.alive == [0] * len(copies.alive)


def test_a_trial_run_leaves_no_copies(trainer_options, make, writer):
    dissection = make()
    copies = Copies(dissection)
    module = PlantedModule()
    del trainer_options["max_epochs"]
    Trainer(**trainer_options, fast_dev_run=True, callbacks=[dissection, copies]).fit(module)
    assert [len(run) for run in copies.references] == [4]
    assert copies.alive == [0]
    assert num_hooks(module) == 0
    assert writer.reports == []


def test_checkpoints_and_early_stopping_can_monitor_what_is_withheld(trainer_options, make, tmp_path):
    monitored = {"monitor": "dissection/no_clear_function_share", "mode": "min"}
    checkpoint, stopping = ModelCheckpoint(dirpath=tmp_path, **monitored), EarlyStopping(patience=1, **monitored)
    options = trainer_options | {"max_epochs": 5, "enable_checkpointing": True}
    trainer = Trainer(**options, callbacks=[make(), checkpoint, stopping])
    trainer.fit(PlantedModule())
    assert trainer.current_epoch == 2
    assert checkpoint.best_model_score == (DEAD - PLANTED) / UNITS


def test_a_resumed_run_learns_its_floors_anew(trainer_options, make, writer, tmp_path):
    trainer = Trainer(**trainer_options, callbacks=[make()])
    trainer.fit(PlantedModule())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed = Trainer(**trainer_options | {"max_epochs": 3}, callbacks=[make()])
    resumed.fit(PlantedModule(random_network()), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert [report.epoch for report in writer.reports] == [0, 1, 2]
    for report in writer.reports:
        assert_true_verdicts(report)
    assert repr(writer.reports[0].layers) == repr(writer.reports[2].layers)


class Parts(PlantedModule):
    """Calls its network by parts."""

    def validation_step(self, batch, batch_idx):
        self.net.head(self.net.flat(self.net.pool(self.net.act(self.net.conv(batch[0])))))


class Halves(nn.Module):
    """A network of two parts."""

    def __init__(self, network):
        super().__init__()
        self.act, self.rest = network[:2], network[2:]

    def forward(self, images):
        return self.rest(self.act(images))


class CalledByHalves(PlantedModule):
    """Calls the parts of its network, so that the entry is not the model."""

    def __init__(self):
        super().__init__()
        self.net = Halves(self.net)

    def validation_step(self, batch, batch_idx):
        self.net.rest(self.net.act(batch[0]))


class Compiled(PlantedModule):
    """Trains and validates its network compiled."""

    def __init__(self):
        super().__init__()
        self.net = torch.compile(self.net, backend="eager")


WAYS = {
    "validate": {},
    "own probe": {"options": {"probe": PlantedDataset()}},
    "own probe in a loader": {"options": {"probe": DataLoader(PlantedDataset(), batch_size=50)}},
    "bfloat16": {"trainer": {"precision": "bf16-mixed"}},
    "called by halves": {"module": CalledByHalves},
    "compiled": {"module": Compiled},
    "little memory": {"options": {"max_bytes": 2**14}},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_ways_to_validate(trainer_options, make, writer, way):
    module = way.get("module", PlantedModule)()
    trainer = Trainer(**trainer_options | way.get("trainer", {}), callbacks=[make(**way.get("options", {}))])
    trainer.validate(module, verbose=False)
    assert_true_verdicts(writer.reports[0])
    assert num_hooks(module) == 0


def test_parts_that_see_the_model_s_own_features_are_held_against_them(trainer_options, make, writer):
    """Where the user calls a layer itself, copies of the layer get what the model makes of the images."""
    Trainer(**trainer_options, callbacks=[make(layers=["net.head"])]).validate(Parts(), verbose=False)
    [report] = writer.reports
    assert {neuron.status for neuron in report.neurons} <= {"labelled", "ambiguous", "no_clear_function"}


def test_two_dissections_of_one_trainer_do_not_mix(trainer_options, make, writer):
    callbacks = [make(name="first"), make(name="second")]
    module = PlantedModule()
    Trainer(**trainer_options, callbacks=callbacks).validate(module, verbose=False)
    first, second = writer.reports
    assert_true_verdicts(first)
    assert repr(first.layers) == repr(second.layers)
    assert num_hooks(module) == 0


class Shy(nn.ReLU):
    """Fails in untrained copies, whose parameters need no gradient."""

    def __init__(self, conv):
        super().__init__()
        self.conv = conv

    def forward(self, values):
        if not self.conv.weight.requires_grad:
            raise ZeroDivisionError("no copies of me")
        return super().forward(values)


def test_copies_that_fail_cost_nothing_but_the_floor(trainer_options, make, writer, recwarn):
    module = PlantedModule()
    module.net.act = Shy(module.net.conv)
    Trainer(**trainer_options, callbacks=[make()]).fit(module)
    assert len(writer.reports) == 2
    for report in writer.reports:
        assert {*statuses(report)[:PLANTED]} == {"labelled", "ambiguous"}
        assert "ZeroDivisionError: no copies of me" in report.settings["false-discovery rate"]
    assert sum("against chance, not against untrained" in str(warning.message) for warning in recwarn.list) == 1
    assert num_hooks(module) == 0


def test_one_copy_that_fails_takes_the_floor_along(trainer_options, make, writer, monkeypatch):
    run, calls = UntrainedNetworks._replay, []

    def replay(networks, *args):
        calls.append(networks)
        if len(calls) == 3:
            networks._networks[2].parts["net.act"].forward = None
        run(networks, *args)

    monkeypatch.setattr(UntrainedNetworks, "_replay", replay)
    with pytest.warns(UserWarning, match="cannot run along with it. TypeError"):
        Trainer(**trainer_options, callbacks=[make()]).validate(PlantedModule(), verbose=False)
    assert {*statuses(writer.reports[0])[:PLANTED]} == {"labelled", "ambiguous"}


def test_a_full_disk_costs_nothing_but_the_floor(trainer_options, make, writer, monkeypatch):
    mapped = ActivationStorage._mapped

    def full(storage, rows, columns):
        if storage.max_bytes == 2**14 // 10:
            raise OSError(28, "No space left on device")
        return mapped(storage, rows, columns)

    monkeypatch.setattr(ActivationStorage, "_mapped", full)
    with pytest.warns(UserWarning, match=r"'net\.act' are held against chance.* No space left on device"):
        Trainer(**trainer_options, callbacks=[make(max_bytes=2**14)]).validate(PlantedModule(), verbose=False)
    assert {*statuses(writer.reports[0])[:PLANTED]} == {"labelled", "ambiguous"}


@pytest.mark.parametrize("where", ["validation_step", "forward"])
def test_an_exception_in_a_validation_leaves_neither_hooks_nor_copies(trainer_options, make, where):
    class Broken(PlantedModule):
        count = 0

        def fail(self, *args):
            self.count += 1
            if self.count % 3 == 0:
                raise ZeroDivisionError
            self.net(args[0] if where == "forward" else args[0][0])

    setattr(Broken, where, Broken.fail)
    module, dissection = Broken(), make()
    copies = Copies(dissection)
    with pytest.raises(ZeroDivisionError):
        Trainer(**trainer_options, callbacks=[dissection, copies]).validate(module)
    gc.collect()
    assert num_hooks(module) == 0
    assert [len(run) for run in copies.references] == [4]
    assert not any(reference() for reference in copies.references[0])
