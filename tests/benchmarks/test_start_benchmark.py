import json
from pathlib import Path

import pytest

from tests.benchmarks import start


def test_the_command_measures_imports_and_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "in_subprocess", lambda module, option, *arguments: start.start(*arguments))
    file = tmp_path / "start.json"
    start.main(["--size", "tiny", "--json", str(file)])
    assert "cold s" in capsys.readouterr().out
    imports, starts = (table["rows"] for table in json.loads(file.read_text(encoding="utf-8"))["tables"])
    assert imports[0]["seconds"] > 0
    assert starts[0]["cold s"] > 0
    start.main(["--start", "annotations", "list:cat,dog", str(tmp_path / "cache")])
    assert float(capsys.readouterr().out) > 0


def test_open_clip_gets_weights_to_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_clip = pytest.importorskip("open_clip")
    text = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    vision = {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8}
    architecture = tmp_path / "tiny-start.json"
    architecture.write_text(json.dumps({"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}), encoding="utf-8")
    open_clip.add_model_config(architecture)
    monkeypatch.setattr(start.time, "sleep", lambda seconds: None)
    encoder = start.with_weights("open_clip:tiny-start", tmp_path)
    assert start.start(encoder, "list:cat,dog", str(tmp_path / "cache")) > 0
