"""What the first seconds of a run cost: `python -m tests.benchmarks.start [--size tiny|full]`.

Everything is measured in processes of its own, after Lightning has been imported. A start is cold where the cache
folder is empty and warm where it is not.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from tests.benchmarks.table import BenchmarkTable, environment, in_subprocess, write_tables

MODULE = "tests.benchmarks.start"
CLIP = "ViT-B-32"
CASES = {
    "tiny": [("annotations", "list:cat,dog")],
    "full": [("assembled", "list:cat,dog"), ("assembled", "imagenet"), (f"open_clip:{CLIP}", "list:cat,dog")],
}
REPEATS = {"tiny": 1, "full": 3}
IMPORT = (
    "import time, lightning; start = time.perf_counter(); import lightning_dissect; print(time.perf_counter() - start)"
)


def imports(size: str) -> BenchmarkTable:
    """Measure how much longer the import of Lightning takes with ours."""
    table = BenchmarkTable("Importing, after Lightning", environment())
    commands = [[sys.executable, "-c", IMPORT]] * REPEATS[size]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for command in commands]
    table.add(package="lightning_dissect", seconds=min(float(run.stdout) for run in runs))
    return table


def starts(size: str) -> BenchmarkTable:
    """Measure what the callback does in `setup`: make a dissector and check its encoder."""
    table = BenchmarkTable("Making a dissector and checking its encoder", environment())
    for encoder, vocabulary in CASES[size]:
        with TemporaryDirectory() as folder:
            prepared = with_weights(encoder, Path(folder))
            alone = partial(in_subprocess, MODULE, "--start", prepared, vocabulary, f"{folder}/cache")
            cold, *warm = (alone() for _ in range(1 + REPEATS[size]))
        row: dict[str, object] = {"encoder": encoder, "vocabulary": vocabulary}
        table.add(**row, **{"cold s": cold, "warm s": min(warm), "cold / warm": cold / min(warm)})
    return table


def with_weights(encoder: str, folder: Path) -> str:
    """Return an encoder that can be loaded without a network: open_clip's with random weights, in a folder."""
    if not encoder.startswith("open_clip"):
        return encoder
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(0)
    name = encoder.partition(":")[2]
    model = open_clip.create_model(name)
    weights = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    config = {"model_cfg": open_clip.get_model_config(name), "preprocess_cfg": model.visual.preprocess_cfg}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    time.sleep(3)  # a file that has only just been written is not trusted to stay as it is
    return f"open_clip:local-dir:{folder}"


def start(encoder: str, vocabulary: str, folder: str) -> float:
    """Return the seconds that a start takes; call it in a process of its own."""
    import lightning

    from lightning_dissect.dissector import Dissector

    lightning.seed_everything(0, verbose=False)
    concepts = vocabulary.removeprefix("list:").split(",") if vocabulary.startswith("list:") else vocabulary
    started = time.perf_counter()
    Dissector(["layer"], concepts, encoder, cache=folder).check_encoder()
    return time.perf_counter() - started


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=list(CASES), default="full")
    parser.add_argument("--json", type=Path, help="file to write what was measured to")
    parser.add_argument("--start", nargs=3, metavar=("ENCODER", "VOCABULARY", "FOLDER"), help="only measure one start")
    options = parser.parse_args(arguments)
    if options.start:
        print(start(*options.start))  # noqa: T201
        return
    tables = []
    for measure in (imports, starts):
        tables.append(measure(options.size))
        print(tables[-1], end="\n\n", flush=True)  # noqa: T201
    if options.json:
        write_tables(options.json, tables)


if __name__ == "__main__":
    main()
