import copy
import gc
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lightning_dissect.recording import transfer as transfer_module
from lightning_dissect.recording.eager import EAGER_EXECUTION
from lightning_dissect.recording.layers import select_layers
from lightning_dissect.recording.recorder import ActivationRecorder
from lightning_dissect.recording.storage import ActivationStorage

IMAGES = torch.randn(10, 3, 8, 8, generator=torch.Generator().manual_seed(0))
IDS = torch.arange(10) * 3


class Net(nn.Module):
    """A convolution whose outputs are overwritten in place, a module that fires twice, one that never fires."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.unused = nn.Linear(4, 4)
        self.fc = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn(self.conv(x)))
        y = self.conv2(x)
        y += x
        return self.fc(self.relu(y).mean((2, 3)))

    def expected(self, x: Tensor) -> dict[str, Tensor]:
        """Return the pooled activations, computed without hooks."""
        conv = self.conv(x)
        bn = self.bn(conv)
        conv2 = self.conv2(bn.relu())
        relu = (conv2 + bn.relu()).relu()
        pooled = {"conv": conv, "bn": bn, "conv2": conv2, "relu": relu}
        return {name: maps.float().mean((2, 3)) for name, maps in pooled.items()} | {"fc": self.fc(relu.mean((2, 3)))}


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


def hooks_left(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def record(model: nn.Module, recorder: ActivationRecorder, batch_size: int = 4) -> list[Tensor]:
    outputs = []
    with recorder, torch.no_grad():
        for ids, images in zip(IDS.split(batch_size), IMAGES.split(batch_size), strict=True):
            recorder.start_batch(ids)
            outputs.append(model(images))
            recorder.end_batch()
    return outputs


NAMES = ["conv", "bn", "conv2", "relu", "fc"]


def test_records_what_the_layers_return(net: Net) -> None:
    recorder = ActivationRecorder(select_layers(net, NAMES))
    record(net, recorder)
    assert recorder.failures == {}
    assert recorder.silent_layers == []
    for name, expected in net.expected(IMAGES).items():
        sample_ids, activations = recorder.activations[name].compute()
        assert torch.equal(sample_ids, IDS)
        torch.testing.assert_close(activations, expected)
    assert recorder.num_bytes == sum(4 * expected.numel() for expected in net.expected(IMAGES).values())


def test_few_units_are_kept_evenly(net: Net) -> None:
    recorder = ActivationRecorder(select_layers(net, NAMES), max_units=4)
    record(net, recorder)
    expected = net.expected(IMAGES)
    torch.testing.assert_close(recorder.activations["conv"].compute()[1], expected["conv"])
    torch.testing.assert_close(recorder.activations["fc"].compute()[1], expected["fc"][:, [0, 1, 2, 3]])
    few = ActivationRecorder(select_layers(net, NAMES), max_units=2)
    record(net, few)
    torch.testing.assert_close(few.activations["fc"].compute()[1], expected["fc"][:, [0, 2]])


def test_a_paused_recorder_does_not_listen(net: Net) -> None:
    recorder = ActivationRecorder(select_layers(net, NAMES))
    with recorder, torch.no_grad():
        recorder.start_batch(IDS)
        net(IMAGES)
        with recorder.paused():
            net(IMAGES + 1)
        recorder.end_batch()
    torch.testing.assert_close(recorder.activations["conv"].compute()[1], net.expected(IMAGES)["conv"])


def test_outputs_are_bit_identical(net: Net) -> None:
    with torch.no_grad():
        before = [net(images) for images in IMAGES.split(4)]
    during = record(net, ActivationRecorder(select_layers(net, "*")))
    assert all(torch.equal(one, other) for one, other in zip(before, during, strict=True))


def test_gradients_are_bit_identical(net: Net) -> None:
    net(IMAGES).sum().backward()
    expected = net.conv.weight.grad
    net.zero_grad()
    recorder = ActivationRecorder(select_layers(net, "*"))
    with recorder:
        recorder.start_batch(IDS)
        net(IMAGES).sum().backward()
        recorder.end_batch()
    assert expected is not None
    assert torch.equal(expected, net.conv.weight.grad)  # type: ignore[arg-type]
    assert not recorder.activations["conv"].compute()[1].requires_grad


class OnMeta:
    """Pools to a device whose values cannot be had."""

    def pool(self, output: Tensor) -> Tensor:
        return output.mean((2, 3)).to("meta")


def test_a_layer_whose_values_cannot_be_moved_fails_alone(net: Net) -> None:
    recorder = ActivationRecorder(select_layers(net, {"conv": OnMeta(), "bn": "mean"}))
    record(net, recorder)
    assert list(recorder.failures) == ["conv"]
    assert "NotImplementedError" in recorder.failures["conv"]
    assert len(recorder.activations["bn"]) == len(IDS)


class Slow:
    """Stands for an accelerator's stream and events: copies arrive when somebody waits for them."""

    def __init__(self) -> None:
        self.arrived: list[bool] = []

    def record_event(self) -> "Slow":
        self.arrived.append(False)
        return self

    def query(self) -> bool:
        return all(self.arrived)

    def synchronize(self) -> None:
        self.arrived[-1] = True


def test_an_accelerator_is_not_waited_for_before_somebody_asks(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Slow()
    monkeypatch.setattr(torch.accelerator, "current_stream", lambda _: stream)
    monkeypatch.setattr(transfer_module, "_WITH_STREAMS", ("cpu",))
    recorder = ActivationRecorder(select_layers(net, ["conv", "bn"]))
    keep = torch.ones(len(IDS), dtype=torch.bool)
    keep[3] = False
    with recorder:
        for sample_ids, kept in ((IDS, keep), (IDS + 100, None)):
            recorder.start_batch(sample_ids)
            net(IMAGES)
            recorder.end_batch(kept)
            assert stream.arrived[-1] is False
    assert stream.arrived == [True, False]
    assert len(recorder.activations["bn"]) == 2 * len(IDS) - 1
    assert stream.arrived == [True, True]
    assert recorder.failures == {}


def test_silent_layers_are_named(net: Net) -> None:
    recorder = ActivationRecorder(select_layers(net, ["unused", "conv"]))
    assert recorder.silent_layers == ["unused", "conv"]
    record(net, recorder)
    assert recorder.silent_layers == ["unused"]
    assert len(recorder.activations["unused"]) == 0
    recorder.reset()
    assert recorder.silent_layers == ["unused", "conv"]
    assert len(recorder.activations["conv"]) == 0


def test_hooks_are_gone_after_the_block_and_after_an_exception(net: Net) -> None:
    recorder = ActivationRecorder(select_layers(net, NAMES))
    with recorder:
        assert hooks_left(net) == len(NAMES)
    assert hooks_left(net) == 0
    with pytest.raises(RuntimeError, match="channels"), recorder:
        net(torch.ones(1, 7, 8, 8))
    assert hooks_left(net) == 0
    assert EAGER_EXECUTION.holders == 0
    record(net, recorder)
    assert len(recorder.activations["fc"]) == len(IDS)


def test_attaching_and_detaching_twice_is_harmless(net: Net) -> None:
    recorder = ActivationRecorder(select_layers(net, NAMES))
    recorder.detach()
    recorder.attach()
    recorder.attach()
    assert hooks_left(net) == len(NAMES)
    assert EAGER_EXECUTION.holders == 1
    recorder.detach()
    recorder.detach()
    assert hooks_left(net) == 0
    assert EAGER_EXECUTION.holders == 0


def test_a_recorder_thrown_away_takes_its_hooks_along(net: Net) -> None:
    recorder = ActivationRecorder(select_layers(net, NAMES))
    recorder.attach()
    recorder.start_batch(IDS)
    del recorder
    gc.collect()
    assert hooks_left(net) == 0
    assert EAGER_EXECUTION.holders == 0


def test_two_recorders_end_in_any_order(net: Net) -> None:
    first, second = ActivationRecorder(select_layers(net, "conv")), ActivationRecorder(select_layers(net, "conv"))
    for recorder in (first, second):
        recorder.attach()
        recorder.start_batch(IDS)
    net(IMAGES)
    first.end_batch()
    first.detach()
    assert EAGER_EXECUTION.holders == 1
    second.end_batch()
    second.detach()
    assert (hooks_left(net), EAGER_EXECUTION.holders) == (0, 0)
    assert torch.equal(first.activations["conv"].compute()[1], second.activations["conv"].compute()[1])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])  # noqa: S301
def test_copies_are_detached_and_work(net: Net, duplicate: Callable[[object], tuple[Net, ActivationRecorder]]) -> None:
    recorder = ActivationRecorder(select_layers(net, NAMES))
    with recorder:
        recorder.start_batch(IDS)
        net(IMAGES)
        other_net, other = duplicate((net, recorder))
        other_net(IMAGES)
        recorder.end_batch()
    assert len(other.activations["conv"]) == 0
    record(other_net, other)
    assert hooks_left(other_net) == 0
    for name in NAMES:
        torch.testing.assert_close(other.activations[name].compute()[1], recorder.activations[name].compute()[1])


def test_a_model_copied_while_recorded_is_not_recorded(net: Net) -> None:
    recorder = ActivationRecorder(select_layers(net, NAMES))
    with recorder:
        clone = copy.deepcopy(net)
        recorder.start_batch(IDS)
        clone(IMAGES)
        recorder.end_batch()
    assert recorder.silent_layers == NAMES


def test_nothing_is_recorded_outside_a_batch(net: Net) -> None:
    recorder = ActivationRecorder(select_layers(net, "conv"))
    with recorder:
        net(IMAGES)
        recorder.start_batch(IDS[:4])
        net(IMAGES[:4])
        recorder.end_batch()
        net(IMAGES)
    assert len(recorder.activations["conv"]) == 4


def test_images_to_keep(net: Net) -> None:
    recorder = ActivationRecorder(select_layers(net, "fc"))
    keep = torch.arange(10) % 3 == 0
    with recorder:
        recorder.start_batch(IDS)
        net(IMAGES)
        recorder.end_batch(keep)
    sample_ids, activations = recorder.activations["fc"].compute()
    assert torch.equal(sample_ids, IDS[keep])
    torch.testing.assert_close(activations, net(IMAGES[keep]))


def test_an_open_batch_is_dropped(net: Net) -> None:
    recorder = ActivationRecorder(select_layers(net, "fc"))
    with recorder:
        recorder.start_batch(IDS)
        net(IMAGES)
        recorder.start_batch(IDS[:2])
        net(IMAGES[:2])
        recorder.end_batch()
        recorder.start_batch(IDS)
        recorder.reset()
        with pytest.raises(RuntimeError, match="open batch but there is none"):
            recorder.end_batch()
    assert len(recorder.activations["fc"]) == 0


@pytest.mark.parametrize("sample_ids", [torch.zeros(2), torch.zeros(2, 1, dtype=torch.int64)])
def test_rejects_bad_sample_ids(net: Net, sample_ids: Tensor) -> None:
    with ActivationRecorder(select_layers(net, "fc")) as recorder, pytest.raises(ValueError, match="1-D tensor of int"):
        recorder.start_batch(sample_ids)


@pytest.mark.parametrize("keep", [torch.ones(10), torch.ones(3, dtype=torch.bool)])
def test_rejects_bad_keep(net: Net, keep: Tensor) -> None:
    with ActivationRecorder(select_layers(net, "fc")) as recorder:
        recorder.start_batch(IDS)
        with pytest.raises(ValueError, match="`keep` to hold 10 booleans, one per image of the batch"):
            recorder.end_batch(keep)


def test_must_be_attached(net: Net) -> None:
    with pytest.raises(RuntimeError, match="recorder to be attached but it is not"):
        ActivationRecorder(select_layers(net, "fc")).start_batch(IDS)


class Folded(nn.Module):
    """Folds images with crops, and changes its number of neurons from batch to batch."""

    def __init__(self) -> None:
        super().__init__()
        self.crop = nn.Linear(8, 4)
        self.grow = nn.Identity()
        self.fine = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        self.crop(x.flatten(0, 2))
        self.grow(torch.ones(len(x), len(x)))
        return self.fine(x)


def test_layers_that_cannot_be_recorded_are_explained_and_harm_nobody() -> None:
    model = Folded()
    recorder = ActivationRecorder(select_layers(model, ["crop", "grow", "fine"]))
    record(model, recorder)
    assert set(recorder.failures) == {"crop", "grow"}
    assert "'crop' cannot be recorded: expected its output to have 4 rows, one per image" in recorder.failures["crop"]
    assert "[96]" in recorder.failures["crop"]
    assert "4 neurons as before but got 2" in recorder.failures["grow"]
    assert len(recorder.activations["fine"]) == len(IDS)
    recorder.reset()
    assert recorder.failures == {}


def test_a_shared_module_under_two_names() -> None:
    shared = nn.Linear(8, 4)
    model = nn.ModuleDict({"a": shared, "b": shared})
    recorder = ActivationRecorder(select_layers(model, {"a": "mean", "b": "max"}))
    with recorder:
        recorder.start_batch(IDS)
        output = shared(IMAGES)
        recorder.end_batch()
    torch.testing.assert_close(recorder.activations["a"].compute()[1], output.mean((1, 2)))
    assert torch.equal(recorder.activations["b"].compute()[1], output.amax((1, 2)))


@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_the_split_into_batches_does_not_matter(net: Net, batch_size: int) -> None:
    recorder = ActivationRecorder(select_layers(net, NAMES))
    record(net, recorder, batch_size)
    for name, expected in net.expected(IMAGES).items():
        torch.testing.assert_close(recorder.activations[name].compute()[1], expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_precision_of_the_model(net: Net, dtype: torch.dtype) -> None:
    net.to(dtype)
    recorder = ActivationRecorder(select_layers(net, ["conv", "bn"]))
    with recorder, torch.no_grad():
        recorder.start_batch(IDS)
        net(IMAGES.to(dtype))
        recorder.end_batch()
    for name in ("conv", "bn"):
        activations = recorder.activations[name].compute()[1]
        assert activations.dtype == torch.float32
        torch.testing.assert_close(activations, net.expected(IMAGES.to(dtype))[name].float())


def test_autocast(net: Net) -> None:
    recorder = ActivationRecorder(select_layers(net, NAMES))
    with torch.autocast("cpu", torch.bfloat16):
        record(net, recorder)
    assert recorder.failures == {}
    for name, expected in net.expected(IMAGES).items():
        torch.testing.assert_close(recorder.activations[name].compute()[1], expected, rtol=0.1, atol=0.05)


def test_channels_last(net: Net) -> None:
    net.to(memory_format=torch.channels_last)
    recorder = ActivationRecorder(select_layers(net, NAMES))
    record(net, recorder)
    for name, expected in net.expected(IMAGES).items():
        torch.testing.assert_close(recorder.activations[name].compute()[1], expected)


def test_inference_mode(net: Net) -> None:
    recorder = ActivationRecorder(select_layers(net, NAMES))
    with torch.inference_mode():
        record(net, recorder)
    for name, expected in net.expected(IMAGES).items():
        activations = recorder.activations[name].compute()[1]
        assert not activations.is_inference()
        torch.testing.assert_close(activations, expected)


class Checkpointed(Net):
    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(super().forward, x, use_reentrant=False)


@pytest.mark.parametrize("backward", [False, True])
def test_gradient_checkpointing(backward: bool) -> None:
    torch.manual_seed(0)
    model = Checkpointed().eval()
    recorder = ActivationRecorder(select_layers(model, NAMES))
    with recorder:
        recorder.start_batch(IDS)
        output = model(IMAGES)
        if backward:
            output.sum().backward()
        recorder.end_batch()
    assert recorder.failures == {}
    for name, expected in model.expected(IMAGES).items():
        torch.testing.assert_close(recorder.activations[name].compute()[1], expected)


class Task(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def compiled_in_place(net: nn.Module, backend: Callable[..., object]) -> nn.Module:
    net.compile(backend=backend)
    return Task(net)


@pytest.mark.parametrize(
    "compiled",
    [
        lambda net, backend: torch.compile(Task(net), backend=backend),
        lambda net, backend: Task(torch.compile(net, backend=backend)),
        compiled_in_place,
        lambda net, backend: nn.DataParallel(torch.compile(Task(net), backend=backend)),
    ],
    ids=["whole", "inside", "in place", "wrapped"],
)
def test_compiled_models_lose_nothing_and_keep_their_graphs(
    net: Net, compiled: Callable[[nn.Module, Callable[..., object]], nn.Module]
) -> None:
    torch._dynamo.reset()
    graphs = []

    def backend(graph: torch.fx.GraphModule, example_inputs: list[Tensor]) -> object:
        graphs.append(graph)
        return graph

    model = compiled(net, backend)
    recorder = ActivationRecorder(select_layers(model, ["net.conv", "relu", "net.fc", "net"]))
    assert list(recorder.layers) == ["net.conv", "net.relu", "net.fc", "net"]
    with torch.no_grad():
        before = model(IMAGES[:5])
        assert len(graphs) == 1
        record(model, recorder, batch_size=5)
        after = model(IMAGES[:5])
    assert len(graphs) == 1
    assert torch.equal(before, after)
    assert recorder.silent_layers == []
    expected = net.expected(IMAGES)
    for name in ("conv", "relu", "fc"):
        torch.testing.assert_close(recorder.activations[f"net.{name}"].compute()[1], expected[name])
    torch.testing.assert_close(recorder.activations["net"].compute()[1], expected["fc"])


def test_all_layers_share_a_storage_and_a_full_disk_ends_one_layer_only(net: Net, tmp_path: Path) -> None:
    storage = ActivationStorage(max_bytes=len(IDS) * 4 * 4, dirpath=tmp_path / "missing")
    recorder = ActivationRecorder(select_layers(net, ["conv", "bn"]), storage)
    record(net, recorder, batch_size=len(IDS))
    assert list(recorder.failures) == ["bn"]
    assert "Choose another folder or raise `max_bytes`" in recorder.failures["bn"]
    assert len(recorder.activations["conv"]) == len(IDS)
    storage.dirpath = tmp_path
    recorder.reset()
    record(net, recorder, batch_size=len(IDS))
    assert recorder.failures == {}
    assert storage.bytes_in_files > 0
    expected = net.expected(IMAGES)
    for name in ("conv", "bn"):
        order = IDS.argsort()
        torch.testing.assert_close(recorder.activations[name].compute()[1], expected[name][order])
    copied = pickle.loads(pickle.dumps(recorder))  # noqa: S301
    assert copied.activations["conv"].storage is copied.activations["bn"].storage
