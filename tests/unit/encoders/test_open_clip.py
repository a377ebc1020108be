import logging
import pickle
import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch import Tensor

from lightning_dissect.encoders import SIGMOID_TEMPERATURE, EmbeddingCache, OpenClipEncoder, fingerprint_memo
from lightning_dissect.encoders.open_clip import preprocessing_of


@pytest.fixture
def encoder(open_clip_files: tuple[Path, Path]) -> OpenClipEncoder:
    config, weights = open_clip_files
    return OpenClipEncoder(f"tiny-dissect@{weights}", model_config=config, batch_size=2)


def test_embeddings_are_those_of_open_clip(
    encoder: OpenClipEncoder, open_clip_files: tuple[Path, Path], images: Tensor
) -> None:
    ours = encoder.encode_images(images)
    model, preprocess = open_clip.create_model_from_pretrained("tiny-dissect", pretrained=str(open_clip_files[1]))
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
    with torch.no_grad():
        expected = model.eval().encode_image(torch.stack([preprocess(picture) for picture in pictures]), normalize=True)
        texts = model.encode_text(open_clip.get_tokenizer("tiny-dissect")(["a cat", "dogs"]), normalize=True)
    torch.testing.assert_close(ours, expected, atol=5e-4, rtol=0)
    torch.testing.assert_close(encoder.encode_texts(["a cat", "dogs"]), texts)
    assert encoder.temperature == 1.0


def test_a_folder_brings_its_preprocessing(open_clip_folder: Path, encoder: OpenClipEncoder, images: Tensor) -> None:
    local = OpenClipEncoder(f"local-dir:{open_clip_folder}")
    assert torch.equal(local.encode_texts(["a cat"]), encoder.encode_texts(["a cat"]))
    assert local.towers.preprocessing.resize == "squash"
    assert local.towers.preprocessing.std == (0.25,) * 3
    assert not torch.allclose(local.encode_images(images), encoder.encode_images(images), atol=1e-3)
    assert local.temperature == 1.0


def test_the_fingerprint_is_of_content(
    encoder: OpenClipEncoder, open_clip_files: tuple[Path, Path], tmp_path: Path
) -> None:
    config, weights = open_clip_files
    moved = tmp_path / "moved.pt"
    moved.write_bytes(weights.read_bytes())
    key = encoder.fingerprint()
    assert OpenClipEncoder(f"tiny-dissect@{moved}", model_config=config).fingerprint() == key
    assert OpenClipEncoder(f"tiny-dissect@{weights}", model_config=config, quick_gelu=True).fingerprint() != key
    state = torch.load(weights)
    state["text_projection"][0, 0] += 1e-3
    torch.save(state, moved)
    assert OpenClipEncoder(f"tiny-dissect@{moved}", model_config=config).fingerprint() != key


def test_quick_gelu_reaches_the_model(open_clip_files: tuple[Path, Path], images: Tensor) -> None:
    config, weights = open_clip_files
    quick = OpenClipEncoder(f"tiny-dissect@{weights}", model_config=config, quick_gelu=True)
    assert any(isinstance(module, open_clip.transformer.QuickGELU) for module in quick.towers.modules())
    plain = OpenClipEncoder(f"tiny-dissect@{weights}", model_config=config)
    assert not torch.equal(quick.encode_images(images), plain.encode_images(images))


def test_a_tag_decides_on_quick_gelu(monkeypatch: pytest.MonkeyPatch, open_clip_files: tuple[Path, Path]) -> None:
    asked = {}

    def create_model(name: str, **options: object) -> None:
        asked[name, options["pretrained"]] = options["force_quick_gelu"], options["require_pretrained"]
        raise RuntimeError

    monkeypatch.setattr(open_clip, "create_model", create_model)
    for name in ("ViT-B-16/openai", "ViT-B-16/datacomp_xl_s13b_b90k"):
        with pytest.raises(RuntimeError):
            OpenClipEncoder(name).encode_texts(["a"])
    assert asked == {("ViT-B-16", "openai"): (True, True), ("ViT-B-16", "datacomp_xl_s13b_b90k"): (False, True)}


def test_loading_leaves_random_states_logging_and_warnings_alone(encoder: OpenClipEncoder, images: Tensor) -> None:
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    handlers = list(logging.getLogger().handlers)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("error")
        result = encoder.encode_images(images)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert (np.random.get_state()[1] == states[2]).all()  # noqa: NPY002
    assert logging.getLogger().handlers == handlers
    assert not result.is_inference()


def test_pickles_without_weights(encoder: OpenClipEncoder, images: Tensor) -> None:
    expected = encoder.encode_images(images)
    data = pickle.dumps(encoder)
    assert len(data) < 2000
    assert torch.equal(pickle.loads(data).encode_images(images), expected)  # noqa: S301


@pytest.mark.parametrize("model", ["ViT-B-16/openai", "hf-hub:nobody/nothing"])
def test_without_a_network_the_error_says_what_to_do(
    model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"hf download .* --local-dir FOLDER.*local-dir:FOLDER"):
        OpenClipEncoder(model).encode_texts(["a cat"])
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_weights_that_do_not_fit_are_an_error(open_clip_files: tuple[Path, Path], tmp_path: Path) -> None:
    torch.save({"positional_embedding": torch.zeros(2)}, tmp_path / "other.pt")
    encoder = OpenClipEncoder(f"tiny-dissect@{tmp_path}/other.pt", model_config=open_clip_files[0])
    with pytest.raises(RuntimeError, match=r"fit its configuration but got .*other\.pt"):
        encoder.encode_texts(["a cat"])


def test_a_folder_without_weights_is_an_error(open_clip_folder: Path, tmp_path: Path) -> None:
    config = open_clip_folder / "open_clip_config.json"
    (tmp_path / config.name).write_text(config.read_text())
    with pytest.raises(RuntimeError, match="fit its configuration"):
        OpenClipEncoder(f"local-dir:{tmp_path}").encode_texts(["a cat"])


def test_sigmoid_models_have_their_own_temperature() -> None:
    assert OpenClipEncoder("ViT-B-16-SigLIP/webli").temperature == SIGMOID_TEMPERATURE
    assert OpenClipEncoder("ViT-B-16/openai", temperature=0.7).temperature == 0.7


def test_one_number_may_stand_for_all_channels() -> None:
    config = {"size": (8, 9), "mean": 0.5, "std": [0.1, 0.2, 0.3], "interpolation": "random", "resize_mode": "longest"}
    preprocessing = preprocessing_of({**config, "fill_color": 7})
    assert (preprocessing.size, preprocessing.mean, preprocessing.std) == ((8, 9), (0.5,) * 3, (0.1, 0.2, 0.3))
    assert (preprocessing.interpolation, preprocessing.fill) == ("bicubic", 7)


def test_it_is_not_loaded_to_know_its_fingerprint(
    open_clip_files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint_memo, "SETTLED_SECONDS", -60.0)
    config, weights = (Path(shutil.copy(file, tmp_path)) for file in open_clip_files)

    def checked() -> tuple[str, bool]:
        encoder = OpenClipEncoder(f"tiny-dissect@{weights}", model_config=config)
        cache = EmbeddingCache(encoder, tmp_path / "cache")
        cache.check()
        return cache.origin, encoder._towers is not None

    key, loaded = checked()
    assert loaded
    assert checked() == (key, False)
    state = torch.load(weights)
    state["text_projection"][0, 0] += 1e-3
    torch.save(state, weights)
    other, loaded = checked()
    assert loaded
    assert other != key
    assert checked() == (other, False)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match="the weights of `model`"):
        checked()


def test_it_names_its_files(open_clip_files: tuple[Path, Path], open_clip_folder: Path) -> None:
    config, weights = open_clip_files
    assert OpenClipEncoder(f"tiny-dissect@{weights}", model_config=config).source_files() == [config, weights]
    files = OpenClipEncoder(f"local-dir:{open_clip_folder}").source_files()
    assert files == [open_clip_folder, *sorted(open_clip_folder.iterdir())]


def test_its_recipe_is_that_of_the_arguments(open_clip_files: tuple[Path, Path]) -> None:
    config, weights = open_clip_files
    plain = OpenClipEncoder(f"tiny-dissect@{weights}", model_config=config)
    assert OpenClipEncoder(f"tiny-dissect@{weights}", "cpu", 3, model_config=config).recipe() == plain.recipe()
    assert OpenClipEncoder(f"tiny-dissect@{weights}", model_config=config, quick_gelu=True).recipe() != plain.recipe()
    assert OpenClipEncoder("ViT-B-16/openai").recipe() != OpenClipEncoder("ViT-B-16/laion400m_e32").recipe()
