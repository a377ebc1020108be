"""Runs every benchmark, each in a process of its own: `python -m tests.benchmarks [--size tiny|full] [--json FILE]`."""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

BENCHMARKS = (
    "start",
    "recording",
    "labelling",
    "metrics",
    "dissection",
    "warm_epoch",
    "exchange",
    "evaluators",
    "across_epochs",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, print and write what all of them measured into one file."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=["tiny", "full"], default="full")
    parser.add_argument("--json", type=Path, help="file to write what was measured to")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=BENCHMARKS)
    options = parser.parse_args(arguments)
    found = {}
    with TemporaryDirectory() as folder:
        for name in options.only:
            file = Path(folder) / f"{name}.json"
            command = [sys.executable, "-m", f"tests.benchmarks.{name}", "--size", options.size, "--json", str(file)]
            subprocess.run(command, check=True)
            found[name] = json.loads(file.read_text(encoding="utf-8"))
            if options.json:
                options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
