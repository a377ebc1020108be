"""What recording costs a validation: `python -m tests.benchmarks.recording [--size tiny|full] [--device cuda]`.

Every batch goes through the networks twice, without and with everything the callback does while embeddings are known;
which of the two comes first alternates. Overheads are medians over these pairs, of seconds of the clock and, as what
else runs on the machine hits these less, of seconds of the processor. Rows are printed as they come.
"""

import argparse
import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_dissect import dissector as dissector_module
from lightning_dissect.dissector import Dissector
from lightning_dissect.labelling.concept_source import EncodedConcepts
from lightning_dissect.probe import probe as probe_module
from lightning_dissect.probe.normalisation import Normalisation
from lightning_dissect.probe.probe import ProbeSet
from lightning_dissect.recording import ActivationRecorder, PooledActivations, top_images
from lightning_dissect.recording.hook import LayerHook
from tests.benchmarks.table import BenchmarkTable, environment, in_subprocess, peak_bytes, stopwatches, write_tables

MODULE = "tests.benchmarks.recording"
IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PARTS = {
    "to_uint8": (probe_module, "to_uint8"),
    "content ids": (dissector_module, "content_ids"),
    "embeddings": (EncodedConcepts, "update"),
    "hooks": (LayerHook, "__call__"),
    "store": (ActivationRecorder, "end_batch"),
}


@dataclass(frozen=True)
class Case:
    """A network and the layers that are recorded."""

    network: str
    build: Callable[[], nn.Module]
    side: int
    layers: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Spent:
    """Seconds of the clock, and of the processor on all its cores."""

    seconds: float
    processor: float


class KnownEncoder:
    """Stands for an encoder whose embeddings are all in the cache."""

    temperature = 100.0

    def encode_images(self, images: Tensor) -> Tensor:
        return torch.nn.functional.normalize(torch.ones(len(images), 512), dim=1)

    def encode_texts(self, texts: list[str]) -> Tensor:
        return torch.nn.functional.normalize(torch.ones(len(texts), 512), dim=1)

    def fingerprint(self) -> str:
        return "known"


class Validation:
    """A validation of one network on random images, plain or recorded."""

    def __init__(self, case: Case, layers: tuple[str, ...], batch_size: int, num_batches: int, device: str) -> None:
        torch.manual_seed(0)
        self.model = case.build().eval().to(device)
        self.plain_model = _twin(self.model)
        self.batches = torch.randn(num_batches, batch_size, 3, case.side, case.side).to(device)
        loader = DataLoader(range(num_batches * batch_size), batch_size=batch_size)
        self.probe = ProbeSet([loader], denormalize=IMAGENET)
        self.dissector = Dissector(list(layers), ["a", "b"], KnownEncoder(), false_discovery_rate=None, cache=False)
        self.num_layers = len(self.dissector.layer_names(self.model))
        self._synchronise = torch.cuda.synchronize if device.startswith("cuda") else lambda: None

    def plain(self, batch_idx: int) -> Spent:
        """Return what one batch takes."""
        with self._measured() as spent:
            self.plain_model(self.batches[batch_idx])
        return spent[0]

    def recorded(self, batch_idx: int) -> Spent:
        """Return what one batch takes with everything that the callback does."""
        with self._measured() as spent:
            seen = self.probe.read_batch(self.batches[batch_idx], batch_idx, 0)
            self.dissector.start_batch(seen.images, seen.sample_ids, seen.targets, seen.keep)
            self.model(self.batches[batch_idx])
            self.dissector.end_batch()
        return spent[0]

    def pairs(self) -> list[tuple[Spent, Spent]]:
        """Return what every batch takes without and with recording, warm, alternating which comes first."""
        pairs = []
        with self._recording():
            for batch_idx in range(len(self.batches)):
                if batch_idx % 2:
                    recorded, plain = self.recorded(batch_idx), self.plain(batch_idx)
                else:
                    plain, recorded = self.plain(batch_idx), self.recorded(batch_idx)
                pairs.append((plain, recorded))
        return pairs

    def parts(self) -> dict[str, float]:
        """Return the seconds per batch that each part takes."""
        spent: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        with self._recording(), stopwatches(PARTS, spent, self._synchronise):
            for batch_idx in range(len(self.batches)):
                self.recorded(batch_idx)
        return {name: seconds / len(self.batches) for name, seconds in spent.items()}

    @contextmanager
    def _measured(self) -> Iterator[list[Spent]]:
        spent: list[Spent] = []
        self._synchronise()
        seconds, processor = time.perf_counter(), time.process_time()
        yield spent
        self._synchronise()
        spent.append(Spent(time.perf_counter() - seconds, time.process_time() - processor))

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """Attach, and let networks, threads and blocks of activations get going."""
        with torch.inference_mode():
            self._warm_up()
            with self.dissector.record(self.model, image_reader=lambda _: None):
                self.plain(0)
                self.recorded(0)
                yield

    def _warm_up(self) -> None:
        """Let the cache know all images."""
        with self.dissector.record(self.model):
            for batch_idx, batch in enumerate(self.batches):
                seen = self.probe.read_batch(batch, batch_idx, 0)
                self.dissector.start_batch(seen.images, seen.sample_ids)


def _twin(model: nn.Module) -> nn.Module:
    """Return a copy of a network that shares its weights, but no hooks."""
    return copy.deepcopy(model, {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())})


def _resnet50() -> nn.Module:
    from torchvision.models import resnet50

    return resnet50(weights=None)


def _resnet18() -> nn.Module:
    from torchvision.models import resnet18

    return resnet18(weights=None)


def _vit_b() -> nn.Module:
    import timm

    return timm.create_model("vit_base_patch16_224", pretrained=False)


def _small_vit() -> nn.Module:
    import timm

    return timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=64, depth=2)


STAGES = ("layer1", "layer2", "layer3", "layer4")
STAGES_AND_BLOCKS = (*STAGES, "layer?.?")
SIZES = {
    "tiny": (
        Case("ResNet-18", _resnet18, 64, {"stages and blocks": STAGES_AND_BLOCKS}),
        Case("ViT of 2 blocks", _small_vit, 64, {"blocks": ("blocks.?",)}),
    ),
    "full": (
        Case("ResNet-50", _resnet50, 224, {"stages": STAGES, "stages and blocks": STAGES_AND_BLOCKS}),
        Case("ViT-B/16", _vit_b, 224, {"blocks": ("blocks.?", "blocks.??")}),
    ),
}
BATCHES = {"tiny": ((2, 2),), "full": ((4, 25), (16, 9))}
HELD = {"tiny": ((500, 40),), "full": ((12_500, 4000), (50_000, 4000))}


def overheads(size: str, device: str = "cpu") -> Iterator[dict[str, object]]:
    """Measure overhead, and what each part takes, in percent of the network's own time."""
    for case in SIZES[size]:
        for choice, layers in case.layers.items():
            for batch_size, num_batches in BATCHES[size]:
                validation = Validation(case, layers, batch_size, num_batches, device)
                pairs, parts = validation.pairs(), validation.parts()
                base = median(plain.seconds for plain, _ in pairs)
                clock = median(recorded.seconds / plain.seconds for plain, recorded in pairs) - 1
                processor = median(recorded.processor / plain.processor for plain, recorded in pairs) - 1
                yield {
                    "network": case.network,
                    "layers": f"{validation.num_layers} {choice}",
                    "batch": batch_size,
                    "ms per image": 1e3 * base / batch_size,
                    "overhead %": 100 * clock,
                    "of processor %": 100 * processor,
                    "all parts %": 100 * sum(parts.values()) / base,
                    **{f"{name} %": 100 * seconds / base for name, seconds in parts.items()},
                }


def holding(size: str) -> Iterator[dict[str, object]]:
    """Measure what pooled activations cost while they grow, and the peak of their memory over their final size."""
    for images, neurons in HELD[size]:
        state = PooledActivations()
        start = time.perf_counter()
        collect(state, images, neurons)
        collected = time.perf_counter()
        sample_ids, activations = state.compute()
        computed = time.perf_counter()
        top_images(activations, sample_ids, 10)
        ranked = time.perf_counter()
        state.reset()
        del activations
        alone = partial(in_subprocess, MODULE, "--peak")
        held = peak(images, neurons) if size == "tiny" else alone(str(images), str(neurons))
        yield {
            "images": images,
            "neurons": neurons,
            "update s": collected - start,
            "compute s": computed - collected,
            "top 10 s": ranked - computed,
            "peak / final size": held / (images * neurons * 4),
        }


def collect(state: PooledActivations, images: int, neurons: int) -> None:
    """Record random activations batch by batch."""
    values = torch.randn(32, neurons)
    for sample_ids in torch.arange(images).split(32):
        state.update(sample_ids, values[: len(sample_ids)])


def peak(images: int, neurons: int) -> int:
    """Return the bytes that collecting and computing hold at most; call it in a process of its own."""
    collect(PooledActivations(), 32, neurons)
    before = peak_bytes()
    state = PooledActivations()
    collect(state, images, neurons)
    state.compute()
    return peak_bytes() - before


def _line(row: dict[str, object]) -> str:
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items()
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=list(SIZES), default="full")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="file to write what was measured to")
    parser.add_argument("--peak", nargs=2, type=int, metavar=("IMAGES", "NEURONS"), help="only measure memory")
    options = parser.parse_args(arguments)
    if options.peak:
        print(peak(*options.peak))  # noqa: T201
        return
    measures = {
        f"Recording a warm validation, {options.device}": overheads(options.size, options.device),
        "Holding pooled activations, 32 images at a time": holding(options.size),
    }
    tables = []
    for title, rows in measures.items():
        tables.append(BenchmarkTable(title, environment()))
        for row in rows:
            tables[-1].add(**row)
            print(_line(row), flush=True)  # noqa: T201
        print(f"\n{tables[-1]}\n", flush=True)  # noqa: T201
    if options.json:
        write_tables(options.json, tables)


if __name__ == "__main__":
    main()
