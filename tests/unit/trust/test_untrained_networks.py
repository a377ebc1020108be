import copy
import gc
import pickle
import weakref
from dataclasses import dataclass

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_dissect.recording import ActivationRecorder, ActivationStorage, select_layers
from lightning_dissect.recording.eager import EAGER_EXECUTION
from lightning_dissect.trust import UntrainedNetworks, calibrating, has_gathered_statistics, untrained_copy

IMAGES = torch.randn(12, 3, 6, 6, generator=torch.Generator().manual_seed(0))
IDS = torch.arange(12) * 3
NAMES = ["body.0", "body.1", "fc"]


class Net(nn.Module):
    """Overwrites its input, normalises, drops out."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(inplace=True), nn.Conv2d(3, 7, 3), nn.BatchNorm2d(7), nn.ReLU(inplace=True), nn.Dropout(0.5)
        )
        self.fc = nn.Linear(7, 5)
        self.fails = False

    def forward(self, x, scale=None):
        if self.fails:
            raise KeyError("of the user")
        x = self.body(x if scale is None else x * scale["by"][0]).mean((2, 3))
        return self.fc(x)


def select(model):
    return select_layers(model, NAMES)


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = Net()
    net(torch.rand(8, 3, 6, 6))
    return net.eval()


def run(model, networks, call=None, batch_size=6):
    outputs = []
    for ids, images in zip(IDS.split(batch_size), IMAGES.split(batch_size), strict=True):
        networks.start_batch(ids)
        outputs.append((call or model)(images.clone()))
        networks.end_batch()
    return outputs


def record(model, call=None, **settings):
    networks = UntrainedNetworks(model, select, **{"copies": 2} | settings)
    networks.attach()
    with torch.no_grad():
        run(model, networks, call)
    networks.detach()
    return networks


def features(networks, layer="fc"):
    return torch.stack([state.compute()[1] for state in networks.features(layer)])


def expected(model, seed, call=lambda network, images: network(images), calibration=IMAGES[:6]):
    network = untrained_copy(model, seed)
    with torch.no_grad():
        if has_gathered_statistics(model):
            with calibrating(network):
                call(network, calibration.clone())
        with ActivationRecorder(select(network)) as recorder:
            for ids, images in zip(IDS.split(6), IMAGES.split(6), strict=True):
                recorder.start_batch(ids)
                call(network, images.clone())
                recorder.end_batch()
    return {layer: state.compute()[1] for layer, state in recorder.activations.items()}


def num_hooks(model):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_features_are_those_of_calibrated_untrained_copies(net):
    networks = record(net, seed=5)
    assert networks.failure is None
    assert networks.layer_failures == {}
    for layer in NAMES:
        assert all(torch.equal(state.compute()[0], IDS) for state in networks.features(layer))
        wanted = torch.stack([expected(net, seed)[layer] for seed in (5, 6)])
        assert torch.equal(features(networks, layer), wanted)


def test_a_model_that_never_trained_is_not_calibrated():
    torch.manual_seed(0)
    net = Net().eval()
    assert torch.equal(features(record(net, copies=1))[0], expected(net, 0)["fc"])


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(net, training):
    net.train(training)
    twin = copy.deepcopy(net)
    torch.manual_seed(1)
    before, state = run(twin, UntrainedNetworks(twin, select)), torch.get_rng_state()
    networks = UntrainedNetworks(net, select)
    torch.manual_seed(1)
    networks.attach()
    during = run(net, networks)
    assert torch.equal(state, torch.get_rng_state())
    networks.close()
    assert networks.failure is None
    assert all(torch.equal(one, other) for one, other in zip(before, during, strict=True))
    assert all(torch.equal(value, twin.state_dict()[name]) for name, value in net.state_dict().items())
    assert all(module.training is training for module in net.modules())
    assert num_hooks(net) == 0
    assert EAGER_EXECUTION.holders == 0


def test_gradients_stay(net):
    networks = UntrainedNetworks(net, select)
    networks.attach()
    images = (IMAGES * torch.ones((), requires_grad=True)).requires_grad_()
    networks.start_batch(IDS)
    net.body[1:](images).sum().backward()
    networks.end_batch()
    assert net.body[1].weight.grad is not None
    assert networks.failure is None


def test_only_open_batches_are_replayed(net):
    networks = UntrainedNetworks(net, select, copies=1)
    networks.start_batch(IDS)
    networks.attach()
    net(IMAGES.clone())
    networks.end_batch()
    assert networks.features("fc")[0].num_rows == 0
    networks.start_batch(IDS)
    net(IMAGES.clone())
    networks.end_batch(keep=IDS > 20)
    assert networks.features("fc")[0].compute()[0].tolist() == [21, 24, 27, 30, 33]


def test_seeds_decide(net):
    first, again, other = (features(record(net, seed=seed)) for seed in (0, 0, 2))
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).any(dim=-1).all()


def test_few_units_are_kept(net):
    storage = ActivationStorage()
    networks = record(net, max_units=3, storage=storage)
    assert torch.equal(features(networks), features(record(net))[..., [0, 1, 3]])
    assert storage.bytes_in_memory == 2 * 3 * len(IDS) * 3 * 4


def test_an_error_of_the_model_passes(net):
    networks = UntrainedNetworks(net, select, copies=1)
    networks.attach()
    net.fails = True
    networks.start_batch(IDS)
    with pytest.raises(KeyError, match="of the user"):
        net(IMAGES.clone())
    net.fails = False
    run(net, networks)
    assert networks.failure is None
    assert len(networks.features("fc")[0]) == len(IDS)


def test_an_error_of_a_copy_is_kept(net):
    networks = UntrainedNetworks(net, select, copies=1)
    net.fails = True
    networks.attach()
    net.fails = False
    outputs = run(net, networks)
    assert len(outputs) == 2
    assert networks.failure == "Untrained copies of the model cannot run along with it. KeyError: 'of the user'"
    assert networks.features("fc") == []
    assert EAGER_EXECUTION.holders == 0
    networks.attach()
    networks.detach()
    assert num_hooks(net) == 0


def test_an_error_between_batches_is_kept(net):
    networks = UntrainedNetworks(net, select, copies=1)
    networks.attach()
    networks.start_batch(IDS.float())
    assert "1-D tensor of integers" in networks.failure
    networks.end_batch()


class Leaking(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body
        self.reference = weakref.ref(body)

    def forward(self, x):
        return self.reference()(x)


def test_a_copy_that_calls_the_model_is_refused(net):
    model = nn.Sequential(Leaking(net.body))
    networks = UntrainedNetworks(model, lambda network: select_layers(network, ["0.body.1"]), copies=1)
    networks.attach()
    networks.start_batch(IDS)
    model(IMAGES.clone())
    networks.end_batch()
    assert "an untrained copy to run by itself but it calls '0.body' of the model" in networks.failure


def test_autocast_is_shared(net):
    def call(network, images):
        with torch.autocast("cpu", torch.bfloat16):
            return network(images)

    networks = record(net, lambda images: call(net, images), copies=1)
    assert torch.equal(features(networks)[0], expected(net, 0, call)["fc"])
    assert not torch.equal(features(networks), features(record(net, copies=1)))


def test_inference_mode_is_shared(net):
    networks = UntrainedNetworks(net, select, copies=1)
    with torch.inference_mode():
        networks.attach()
        run(net, networks)
        networks.detach()
    assert networks.failure is None
    assert torch.equal(features(networks)[0], expected(net, 0)["fc"])


@dataclass
class Scale:
    by: torch.Tensor

    def __getitem__(self, key):
        return getattr(self, key)


@pytest.mark.parametrize("scale", [{"by": [torch.tensor(2.0)]}, Scale(torch.tensor([2.0]))])
def test_nested_keyword_arguments(net, scale):
    def call(network, images):
        return network(x=images, scale=scale)

    networks = record(net, lambda images: call(net, images), copies=1)
    assert torch.equal(features(networks)[0], expected(net, 0, call)["fc"])


def test_parts_of_the_model_are_called(net):
    def call(network, images):
        return network.fc(network.body(images).mean((2, 3)))

    def halves(network, images):
        return network.fc(network.body[2:](network.body[:2](images)).mean((2, 3)))

    networks = record(net, lambda images: call(net, images), copies=1)
    assert networks.failure is None
    assert torch.equal(features(networks, "body.1")[0], expected(net, 0, call)["body.1"])
    # The head is fed what the model itself makes of the images, for nobody but the user knows how to come by it.
    assert len(networks.features("fc")[0]) == len(IDS)
    assert len(record(net, lambda images: halves(net, images)).features("body.1")[0]) == len(IDS)


def test_a_second_view_is_replayed(net):
    def two_views(network, images):
        return network(images.flip(-1)) + network(images)

    networks = record(net, lambda images: two_views(net, images), copies=1)
    network = untrained_copy(net, 0)
    with torch.no_grad():
        with calibrating(network):
            network(IMAGES[:6].flip(-1))
        torch.testing.assert_close(features(networks)[0], network(IMAGES.clone()))


def test_hooks_of_users_do_not_fire_for_copies(net):
    fired = []
    net.register_forward_hook(lambda *_: fired.append(1))
    net.body[1].register_forward_pre_hook(lambda *_: fired.append(2))
    record(net)
    assert fired == [2, 1, 2, 1]


def test_compiled_models(net):
    reference = features(record(net))
    compiled = torch.compile(net, backend="eager")
    networks = UntrainedNetworks(compiled, select, copies=2)
    networks.attach()
    with torch.no_grad():
        run(compiled, networks)
    networks.close()
    assert torch.equal(features(networks), reference)


def test_copies_are_freed(net):
    networks = UntrainedNetworks(net, select, copies=2)
    networks.attach()
    run(net, networks)
    networks.detach()
    before = features(networks)
    networks.close()
    gc.collect()
    assert sum(type(thing) is Net for thing in gc.get_objects()) == 1
    assert torch.equal(features(networks), before)
    networks.close()
    networks.attach()
    assert networks.features("fc")[0].num_rows == 0
    run(net, networks)
    assert torch.equal(features(networks), before)


def test_recording_goes_on_after_a_pause(net):
    networks = UntrainedNetworks(net, select, copies=1)
    for ids, images in zip(IDS.split(6), IMAGES.split(6), strict=True):
        networks.attach()
        networks.start_batch(ids)
        net(images.clone())
        networks.end_batch()
        networks.detach()
    assert torch.equal(features(networks)[0], expected(net, 0)["fc"])


def test_thrown_away_copied_and_pickled(net):
    networks = UntrainedNetworks(net, select, copies=1)
    networks.attach()
    run(net, networks)
    for duplicate in (copy.deepcopy(networks), pickle.loads(pickle.dumps(networks))):  # noqa: S301
        assert torch.equal(features(duplicate), features(networks))
        duplicate.start_batch(IDS)
        duplicate.detach()
    copy.deepcopy(net)(IMAGES.clone())
    del networks, duplicate
    gc.collect()
    assert num_hooks(net) == 0
    assert EAGER_EXECUTION.holders == 0


class Sharded(nn.Parameter):
    device_mesh = "a mesh"


def managed(net):
    net.body._is_fsdp_managed_module = True


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda net: net.register_parameter("part", Sharded(torch.ones(2))), "to be whole but got 'part'"),
        (managed, "to be whole but got 'body'"),
        (lambda net: net.to("meta"), "Models that are sharded over processes"),
        (lambda net: setattr(net, "lazy", nn.LazyLinear(3)), "to be initialised but got 'lazy.weight'"),
        (lambda net: setattr(net, "body", nn.ReLU()), "Expected `layers` to choose modules of Net but 'body.0'"),
    ],
)
def test_models_without_copies(net, change, reason):
    change(net)
    networks = UntrainedNetworks(net, select)
    networks.attach()
    networks.start_batch(IDS)
    networks.end_batch()
    networks.detach()
    assert reason in networks.failure
    assert "\n" not in networks.failure
    assert networks.features("fc") == []


@pytest.mark.parametrize("setting", ["copies", "max_units"])
def test_settings_must_be_positive(net, setting):
    with pytest.raises(ValueError, match=f"Expected `{setting}` to be greater than 0"):
        UntrainedNetworks(net, select, **{setting: 0})


def test_a_layer_that_cannot_be_recorded_fails_alone(net):
    net.fc = nn.Sequential(nn.Linear(7, 5), nn.Unflatten(0, (2, 3)))
    networks = UntrainedNetworks(net, lambda model: select_layers(model, ["body.1", "fc"]), copies=1)
    networks.attach()
    run(net, networks)
    networks.close()
    assert networks.failure is None
    assert list(networks.layer_failures) == ["fc"]
    assert len(networks.features("body.1")[0]) == len(IDS)


class Module(LightningModule):
    """Logs in the step and in the forward."""

    def __init__(self):
        super().__init__()
        self.net = Net()
        self.save_hyperparameters({"scale": 1.0})

    def forward(self, images):
        self.log("mean", images.mean())
        return self.net(images) * self.hparams.scale

    def training_step(self, batch, batch_idx):
        return self(batch[0]).square().mean()

    def validation_step(self, batch, batch_idx):
        self(batch[0])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Recording(Callback):
    def __init__(self):
        self.results = []

    def on_validation_start(self, trainer, module):
        self.networks = UntrainedNetworks(module, lambda model: select_layers(model, ["net.fc"]), copies=2)
        self.networks.attach()

    def on_validation_batch_start(self, trainer, module, batch, batch_idx):
        self.networks.start_batch(batch[1])

    def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.networks.end_batch()

    def on_validation_end(self, trainer, module):
        self.networks.close()
        self.results.append(features(self.networks, "net.fc"))


@pytest.mark.filterwarnings("ignore:You are trying to")
def test_in_a_training(tmp_path):
    torch.manual_seed(0)
    module, recording = Module(), Recording()
    loader = DataLoader(TensorDataset(IMAGES, IDS), batch_size=6)
    trainer = Trainer(
        default_root_dir=tmp_path,
        max_epochs=2,
        num_sanity_val_steps=0,
        callbacks=[recording],
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
    )
    trainer.fit(module, loader, loader)
    assert recording.networks.failure is None
    assert num_hooks(module) == 0
    first, second = recording.results
    assert first.shape == (2, 12, 5)
    assert torch.equal(first, second)
    assert torch.equal(first[0], expected(module.net, 0)["fc"])
    assert "mean" in trainer.callback_metrics
