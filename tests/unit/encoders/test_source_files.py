from pathlib import Path

import pytest

from lightning_dissect.encoders.source_files import folder_files, hub_files, model_files, model_place


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--some--model"
    (repository / "snapshots" / "abc").mkdir(parents=True)
    (repository / "snapshots" / "abc" / "config.json").touch()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc\n")
    return repository


def test_a_folder_and_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "b").touch()
    (tmp_path / "a").touch()
    (tmp_path / "folder").mkdir()
    assert folder_files(tmp_path) == model_files(str(tmp_path)) == [tmp_path, tmp_path / "a", tmp_path / "b"]


def test_the_snapshot_that_is_current(hub: Path) -> None:
    snapshot = hub / "snapshots" / "abc"
    assert model_files("some/model") == [hub / "refs" / "main", snapshot, snapshot / "config.json"]
    (hub / "refs" / "main").write_text("def")
    assert hub_files("some/model") is None
    assert hub_files("other/model") is None


def test_a_folder_has_one_place_and_a_name_one_per_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    assert model_place("model") == model_place("./model") == str(tmp_path / "model")
    names = {model_place("some/model")}
    monkeypatch.setenv("HF_HOME", "elsewhere")
    assert model_place("some/model") not in names
