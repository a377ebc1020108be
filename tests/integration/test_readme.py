"""The README's code runs and its commands can be found by whoever wants to run them."""

import re
from pathlib import Path

import pytest

from lightning_dissect.metrics import METRICS, chosen_metrics, describe_metric
from lightning_dissect.similarity import SIMILARITIES

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=lambda code: code.splitlines()[0])
def test_code_runs(code, monkeypatch):
    monkeypatch.setattr(SIMILARITIES, "_factories", dict(SIMILARITIES._factories))
    monkeypatch.setenv("WANDB_MODE", "offline")
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})  # noqa: S102


def test_the_table_of_metrics_tells_the_traits():
    def verdict(passes):
        return "passes" if passes else "fails"

    rows = re.findall(r"^\| `(\w+)` \| (\S+) to (\S+) \| (passes|fails) \| (passes|fails) \|", README, re.MULTILINE)
    assert {name: tuple(row) for name, *row in rows} == {
        metric.name: (
            *(f"{end:g}".replace("inf", "∞") for end in metric.score_range),
            verdict(metric.passes_missing_labels),
            verdict(metric.passes_extra_labels),
        )
        for metric in map(describe_metric, chosen_metrics(list(METRICS)))
    }


@pytest.mark.parametrize("heading", ["Quickstart", "Tests"])
def test_each_command_is_one_line_that_makes_its_own_environment(heading):
    section = README.split(f"\n## {heading}\n")[1]
    (command,) = re.search(r"```\n(.*?)\n```", section, re.DOTALL)[1].splitlines()
    assert command.startswith("python3 -m venv .venv && .venv/bin/pip install")
