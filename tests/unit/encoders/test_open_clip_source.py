import json
from pathlib import Path

import open_clip
import pytest

from lightning_dissect.encoders.open_clip_source import OpenClipSource, parse_source, specification_place


def test_tags(open_clip_folder: Path) -> None:
    repository = "timm/vit_base_patch16_clip_224.openai"
    assert parse_source("ViT-B-16/openai") == OpenClipSource("ViT-B-16", "openai", repository, True)
    assert parse_source("ViT-B/16/openai") == parse_source("ViT-B-16/openai")
    assert not parse_source("ViT-B-16/datacomp_xl_s13b_b90k").quick_gelu
    assert parse_source("hf-hub:org/repo") == OpenClipSource("hf-hub:org/repo", repository="org/repo")
    assert parse_source(f"local-dir:{open_clip_folder}") == OpenClipSource(f"local-dir:{open_clip_folder}")


@pytest.mark.parametrize("model", ["ViT-B-16", "ViT-B/16", "ViT-B-16/", "ViT-B-16/opneai"])
def test_a_missing_or_unknown_tag_names_the_tags(model: str) -> None:
    with pytest.raises(ValueError, match=r"'ViT-B-16/TAG' with one of the tags \['openai',.*Untrained weights"):
        parse_source(model)


@pytest.mark.parametrize("model", ["ViT-B-61/openai", "ViT-B-61", "ViT-B-61@weights.pt"])
def test_an_unknown_model_names_the_closest(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights.pt").touch()
    with pytest.raises(ValueError, match="Did you mean 'ViT-B-16'"):
        parse_source(model)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="the weights of `model`"):
        parse_source(f"ViT-B-16@{tmp_path}/weights.pt")
    with pytest.raises(FileNotFoundError, match=r"open_clip_config\.json"):
        parse_source(f"local-dir:{tmp_path}")
    with pytest.raises(FileNotFoundError, match="`model_config`"):
        parse_source("ViT-B-16/openai", tmp_path / "none.json")


def test_a_configuration_of_ones_own_keeps_its_name(open_clip_files: tuple[Path, Path], tmp_path: Path) -> None:
    config, weights = open_clip_files
    source = parse_source(f"tiny-dissect@{weights}", config)
    assert source == OpenClipSource("tiny-dissect", str(weights))
    assert parse_source(f"tiny-dissect@{weights}", str(config)) == source
    other = tmp_path / "ViT-B-16.json"
    other.write_text(config.read_text())
    with pytest.raises(ValueError, match="a name of its own"):
        parse_source(f"ViT-B-16@{weights}", other)
    assert open_clip.get_model_config("ViT-B-16")["embed_dim"] == 512
    other.write_text(json.dumps({"embed_dim": 3}))
    with pytest.raises(ValueError, match="text_cfg"):
        parse_source(f"ViT-B-16@{weights}", other)


@pytest.mark.parametrize("tag", ["openai", "dfn2b", "datacomp_xl_s13b_b90k", "laion2b_s34b_b88k", "metaclip_400m"])
def test_quick_gelu_is_that_of_the_tag(tag: str) -> None:
    assert parse_source(f"ViT-B-16/{tag}").config()["quick_gelu"] == (tag in ("openai", "dfn2b", "metaclip_400m"))
    if tag == "openai":
        assert parse_source(f"ViT-B-16-quickgelu/{tag}").config()["quick_gelu"]


def deliver(hub: Path, repository: str) -> list[Path]:
    """Lay out a repository as the hub does."""
    folder = hub / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    (snapshot / "open_clip_model.safetensors").touch()
    return [folder / "refs" / "main", snapshot, snapshot / "open_clip_model.safetensors"]


def test_files_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    source = parse_source("ViT-B-16/openai")
    assert source.files() is None
    weights = deliver(tmp_path, source.repository)
    assert source.files() == weights
    sigmoid = parse_source("ViT-B-16-SigLIP/webli")
    assert sigmoid.config()["text_cfg"]["hf_tokenizer_name"] == sigmoid.repository == "timm/ViT-B-16-SigLIP"
    assert sigmoid.files() is None
    delivered = deliver(tmp_path, sigmoid.repository)
    assert sigmoid.files() == 2 * delivered


def test_files_of_a_folder_that_refers_to_others(
    open_clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    text_model = tmp_path / "text"
    text_model.mkdir()
    (text_model / "config.json").touch()
    config = json.loads((open_clip_folder / "open_clip_config.json").read_text())
    for name, known in ((str(text_model), True), ("somebody/bert", False)):
        config["model_cfg"]["text_cfg"]["hf_model_name"] = name
        config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "never/asked-for"
        folder = tmp_path / f"model {known}"
        folder.mkdir()
        (folder / "open_clip_config.json").write_text(json.dumps(config))
        files = parse_source(f"local-dir:{folder}").files()
        expected = [text_model, text_model / "config.json", folder, folder / "open_clip_config.json"]
        assert files == (expected if known else None)


def test_files_that_are_not_known(open_clip_files: tuple[Path, Path], tmp_path: Path) -> None:
    config, weights = open_clip_files
    (tmp_path / "tiny-of-ones-own.json").write_text(config.read_text())
    open_clip.add_model_config(tmp_path / "tiny-of-ones-own.json")
    assert parse_source(f"tiny-of-ones-own@{weights}").files() is None
    assert parse_source(f"ViT-B-16@{weights}").files() == [weights]


def test_a_place_does_not_depend_on_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    assert specification_place("local-dir:model") == f"local-dir:{tmp_path}/model"
    assert specification_place("ViT-B-16@model/weights.pt") == f"ViT-B-16@{tmp_path}/model/weights.pt"
    assert specification_place("ViT-B-16/openai").startswith("ViT-B-16/openai")
    assert specification_place("hf-hub:org/repo").startswith("hf-hub:org/repo")
