"""What recording costs a validation: `python -m tests.benchmarks.recording [--size tiny|full] [--device cuda]`.

Every batch goes through the networks twice, without and with everything the callback does while embeddings are known;
which of the two comes first alternates. Overheads are medians over these pairs.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

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
from tests.benchmarks.table import BenchmarkTable, environment, in_subprocess, peak_bytes

MODULE = "tests.benchmarks.recording"
IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PARTS = {
    "to_uint8": (probe_module, "to_uint8"),
    "content ids": (dissector_module, "content_ids"),
    "embeddings": (EncodedConcepts, "rows"),
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
        self.batches = torch.randn(num_batches, batch_size, 3, case.side, case.side).to(device)
        loader = DataLoader(range(num_batches * batch_size), batch_size=batch_size)
        self.probe = ProbeSet([loader], denormalize=IMAGENET)
        self.dissector = Dissector(list(layers), ["a", "b"], KnownEncoder(), cache=False)
        self.num_layers = len(self.dissector.layer_names(self.model))
        self._synchronise = torch.cuda.synchronize if device.startswith("cuda") else lambda: None

    def plain(self, batch_idx: int) -> float:
        """Return the seconds that one batch takes."""
        self._synchronise()
        start = time.perf_counter()
        self.model(self.batches[batch_idx])
        self._synchronise()
        return time.perf_counter() - start

    def recorded(self, batch_idx: int) -> float:
        """Return the seconds that one batch takes with everything that the callback does."""
        self._synchronise()
        start = time.perf_counter()
        seen = self.probe.read_batch(self.batches[batch_idx], batch_idx, 0)
        self.dissector.start_batch(seen.images, seen.sample_ids, seen.targets, seen.keep)
        self.model(self.batches[batch_idx])
        self.dissector.end_batch()
        self._synchronise()
        return time.perf_counter() - start

    def pairs(self) -> list[tuple[float, float]]:
        """Return seconds without and with recording of every batch, warm, alternating which comes first."""
        pairs = []
        with torch.inference_mode():
            self._warm_up()
            for batch_idx in range(len(self.batches)):
                if batch_idx % 2:
                    recorded, plain = self._hooked(batch_idx), self.plain(batch_idx)
                else:
                    plain, recorded = self.plain(batch_idx), self._hooked(batch_idx)
                pairs.append((plain, recorded))
        return pairs

    def parts(self) -> dict[str, float]:
        """Return the seconds per batch that each part takes."""
        spent: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        with torch.inference_mode(), _stopwatches(spent, self._synchronise):
            for batch_idx in range(len(self.batches)):
                self._hooked(batch_idx)
        return {name: seconds / len(self.batches) for name, seconds in spent.items()}

    def _hooked(self, batch_idx: int) -> float:
        with self.dissector.record(self.model, image_reader=lambda _: None):
            return self.recorded(batch_idx)

    def _warm_up(self) -> None:
        """Let the cache know all images and let the network and its threads get going."""
        with self.dissector.record(self.model):
            for batch_idx, batch in enumerate(self.batches):
                seen = self.probe.read_batch(batch, batch_idx, 0)
                self.dissector.start_batch(seen.images, seen.sample_ids)
        self._hooked(0)


@contextmanager
def _stopwatches(spent: dict[str, float], synchronise: Callable[[], None]) -> Iterator[None]:
    with ExitStack() as stack:
        for name, (owner, attribute) in PARTS.items():
            stack.enter_context(
                patch.object(owner, attribute, _timed(getattr(owner, attribute), name, spent, synchronise))
            )
        yield


def _timed(
    function: Callable[..., Any], name: str, spent: dict[str, float], synchronise: Callable[[], None]
) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        synchronise()
        start = time.perf_counter()
        result = function(*args, **kwargs)
        synchronise()
        spent[name] += time.perf_counter() - start
        return result

    return timed


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
BATCHES = {"tiny": ((2, 2),), "full": ((4, 7), (16, 3))}
HELD = {"tiny": ((500, 40),), "full": ((12_500, 4000), (50_000, 4000))}


def overheads(size: str, device: str = "cpu") -> BenchmarkTable:
    """Measure overhead, and what each part takes, in percent of the network's own time."""
    table = BenchmarkTable(f"Recording a warm validation, {device}", environment())
    for case in SIZES[size]:
        for choice, layers in case.layers.items():
            for batch_size, num_batches in BATCHES[size]:
                validation = Validation(case, layers, batch_size, num_batches, device)
                pairs, parts = validation.pairs(), validation.parts()
                base = median(plain for plain, _ in pairs)
                overhead = median(recorded / plain for plain, recorded in pairs) - 1
                row: dict[str, object] = {"network": case.network, "layers": f"{validation.num_layers} {choice}"}
                row |= {"batch": batch_size, "ms per image": 1e3 * base / batch_size, "overhead %": 100 * overhead}
                row |= {"all parts %": 100 * sum(parts.values()) / base}
                table.add(**row, **{f"{name} %": 100 * seconds / base for name, seconds in parts.items()})
    return table


def holding(size: str) -> BenchmarkTable:
    """Measure what pooled activations cost while they grow, and the peak of their memory over their final size."""
    table = BenchmarkTable("Holding pooled activations, 32 images at a time", environment())
    for images, neurons in HELD[size]:
        state = PooledActivations()
        start = time.perf_counter()
        collect(state, images, neurons)
        collected = time.perf_counter()
        sample_ids, activations = state.compute()
        computed = time.perf_counter()
        top_images(activations, sample_ids, 10)
        ranked = time.perf_counter()
        alone = partial(in_subprocess, MODULE, "--peak")
        held = peak(images, neurons) if size == "tiny" else alone(str(images), str(neurons))
        table.add(
            images=images,
            neurons=neurons,
            **{"update s": collected - start, "compute s": computed - collected, "top 10 s": ranked - computed},
            **{"peak / final size": held / (images * neurons * 4)},
        )
    return table


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
    tables = []
    for measure in (partial(overheads, options.size, options.device), partial(holding, options.size)):
        tables.append(measure())
        print(tables[-1], end="\n\n", flush=True)  # noqa: T201
    if options.json:
        found = {"tables": [table.as_json() for table in tables]}
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
