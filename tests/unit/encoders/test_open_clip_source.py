import json
from pathlib import Path

import open_clip
import pytest

from lightning_dissect.encoders.open_clip_source import OpenClipSource, parse_source


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
