import json
from pathlib import Path

import pytest

from tests.benchmarks import recording


def test_the_command_measures_every_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("timm")
    file = tmp_path / "recording.json"
    recording.main(["--size", "tiny", "--json", str(file)])
    assert "ResNet-18" in capsys.readouterr().out
    overheads, holding = (table["rows"] for table in json.loads(file.read_text(encoding="utf-8"))["tables"])
    assert len(overheads) == 2
    assert all(row[f"{part} %"] > 0 for row in overheads for part in recording.PARTS)
    assert holding[0]["images"] == 500
