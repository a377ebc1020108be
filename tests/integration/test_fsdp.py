"""Whole and divided models in two processes give what one gives, in a loop of one's own and under the Trainer."""

import os

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.fsdp.wrap import ModuleWrapPolicy
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.utils.data import DataLoader

from lightning_dissect import Dissector
from tests.helpers.colours import COLOURS, MEAN, STD, ColourDataset, ColourEncoder, ColourModule, colour_network
from tests.helpers.planted import CONCEPTS, IMAGES, PlantedDataset, planted_network
from tests.helpers.processes import one_thread, run_in_processes
from tests.helpers.reports import ReportFile, assert_equal_reports, plain

pytestmark = pytest.mark.ddp

NUM_IMAGES = 23
LAYERS = ["paint", "act", "head"]


@pytest.fixture(autouse=True)
def _one_thread():
    """Sums in another order differ in their last bit."""
    with one_thread():
        yield


def alone(model):
    return model


def in_fsdp1(model):
    """Shard the layers that have weights, each in a unit of its own."""
    policy = ModuleWrapPolicy({nn.Conv2d, nn.Linear})
    return FullyShardedDataParallel(model, auto_wrap_policy=policy, device_id=torch.device("cpu"))


def in_fsdp2(model):
    """Shard the first layer by itself and the rest with the model."""
    mesh = init_device_mesh("cpu", (2,))
    fully_shard(model[0], mesh=mesh)
    return fully_shard(model, mesh=mesh)


def num_held(model):
    """Return how many numbers of a model's parameters this process holds."""
    held = [weight.to_local() if isinstance(weight, DTensor) else weight for weight in model.parameters()]
    return sum(weight.numel() for weight in held)


def dissect(indices, wrap):
    """Run a loop of one's own over some of the images, twice; return the model's size here and both reports."""
    data = ColourDataset(NUM_IMAGES)
    torch.manual_seed(0)
    model = wrap(colour_network().eval())
    dissector = Dissector(LAYERS, list(COLOURS), ColourEncoder(), "soft_wpmi", false_discovery_rate=None, cache=False)
    held, reports = num_held(model), []
    for cycle in range(2):
        with torch.no_grad(), dissector.record(model):
            for chosen in torch.split(torch.tensor(indices), 4):
                inputs = torch.stack([data[index][0] for index in chosen.tolist()])
                pixels = inputs * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
                with dissector.batch((255 * pixels).round().to(torch.uint8), chosen):
                    model(inputs)
        reports.append(dissector.report(cycle=cycle))
    return held, [None if report is None else plain(report) for report in reports]


@pytest.mark.parametrize(
    ("wrap", "is_sharded"),
    [(alone, False), (nn.parallel.DistributedDataParallel, False), (in_fsdp1, True), (in_fsdp2, True)],
    ids=["plain", "DDP", "FSDP1", "FSDP2"],
)
def test_a_loop_of_one_s_own(wrap, is_sharded):
    whole, expected = dissect(range(NUM_IMAGES), alone)
    (first, reports), (second, nothing) = run_in_processes(lambda rank: dissect(range(rank, NUM_IMAGES, 2), wrap))
    assert max(first, second) < whole if is_sharded else first == second == whole
    assert nothing == [None, None]
    assert_equal_reports(expected, reports)
    assert [layer for layer, unit, _ in reports[0]["exact"]["neurons"] if unit == 0] == LAYERS


def judge(indices, wrap, **options):
    """Dissect a network whose functions are known; return the report and what its labels are held against."""
    data, model = PlantedDataset(), wrap(planted_network().eval())
    dissector = Dissector(["act"], CONCEPTS, "annotations", cache=False, **options)
    with torch.no_grad(), dissector.record(model):
        for chosen in torch.split(torch.tensor(indices), 20):
            images = data.images[chosen]
            with dissector.batch((255 * images).round().to(torch.uint8), chosen, data.presence[chosen]):
                model(images)
    report = dissector.report()
    return None if report is None else (plain(report), report.settings["false-discovery rate"])


@pytest.mark.parametrize("wrap", [in_fsdp1, in_fsdp2], ids=["FSDP1", "FSDP2"])
def test_labels_of_a_divided_model_are_held_against_chance(wrap):
    """No process has all weights, so there are no untrained copies."""
    expected, _ = judge(range(IMAGES), alone, untrained_networks=0)
    (report, against), nothing = run_in_processes(lambda rank: judge(range(rank, IMAGES, 2), wrap))
    assert nothing is None
    assert_equal_reports([expected], [report])
    assert against.startswith("0.05, against chance alone: Untrained copies of the model cannot run along with it.")
    assert "Models that are sharded over processes (FSDP, DTensor, DeepSpeed) cannot be copied." in against


def test_labels_of_a_wrapped_whole_model_are_held_against_untrained_networks():
    expected, basis = judge(range(IMAGES), alone)
    (report, against), _ = run_in_processes(
        lambda rank: judge(range(rank, IMAGES, 2), nn.parallel.DistributedDataParallel)
    )
    assert_equal_reports([expected], [report])
    assert against == basis == "0.05, against chance and 4 untrained networks"


class Sharded(ColourModule):
    """Shards its network as soon as it knows the processes."""

    def configure_model(self):
        whole = num_held(self.net)
        fully_shard(self.net.paint, mesh=self.device_mesh["data_parallel"])
        fully_shard(self.net, mesh=self.device_mesh["data_parallel"])
        assert num_held(self.net) < whole


class Perceptron(ColourModule):
    """Sees the mean colour."""

    def __init__(self, num_images):
        super().__init__(num_images=num_images)
        self.net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 4))


class TensorParallel(Perceptron):
    """Has half of the hidden units in each process."""

    def configure_model(self):
        halves = {"2": ColwiseParallel(), "4": RowwiseParallel()}
        parallelize_module(self.net, self.device_mesh["tensor_parallel"], halves)


@pytest.fixture
def reports_of(trainer_options, make_dissection, tmp_path):
    """Return a function that trains a whole model in one process and a divided one in two, and returns both reports."""

    def fit(module, folder, options, **trainer):
        torch.manual_seed(0)
        written = ReportFile(tmp_path / folder)
        dissection = make_dissection(writers=[written], **options)
        Trainer(**trainer_options | trainer, callbacks=[dissection]).fit(module(num_images=NUM_IMAGES))
        return written

    def reports_of(whole, divided, data_parallel_size, **options):
        def fit_as_under_torchrun(rank):
            os.environ |= {"TORCHELASTIC_RUN_ID": "0", "WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)}
            strategy = ModelParallelStrategy(data_parallel_size, tensor_parallel_size=2 // data_parallel_size)
            fit(divided, "two", options, devices=2, strategy=strategy)

        one = fit(whole, "one", options).read()
        run_in_processes(fit_as_under_torchrun)
        return one, ReportFile(tmp_path / "two").read()

    return reports_of


PROBES = {"validation": None, "own probe": DataLoader(ColourDataset(NUM_IMAGES), batch_size=4)}


@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES.keys())
def test_a_trainer_that_shards_the_model(reports_of, probe):
    layers = [f"net.{layer}" for layer in LAYERS]
    assert_equal_reports(*reports_of(ColourModule, Sharded, 2, layers=layers, probe=probe))


@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES.keys())
def test_processes_that_share_a_model_run_the_same_images(reports_of, probe):
    """Each image then is seen by both; sums of parts are rounded differently from sums of the whole."""
    for one, two in zip(*reports_of(Perceptron, TensorParallel, 1, layers=["net.4"], probe=probe), strict=True):
        assert one["exact"]["candidates"] == two["exact"]["candidates"]
        assert one["exact"]["counts"] == two["exact"]["counts"]
        assert one["rounded"]["qualities"] == pytest.approx(two["rounded"]["qualities"], abs=1e-5)
