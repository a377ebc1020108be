import pickle
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoModel, AutoProcessor, AutoTokenizer, BertConfig, BertModel

from lightning_dissect.encoders import SIGMOID_TEMPERATURE, EmbeddingCache, HFClipEncoder, fingerprint_memo
from lightning_dissect.encoders.hf_clip import pooled


def test_embeddings_are_those_of_the_model(hf_folder: Path, images: Tensor) -> None:
    encoder = HFClipEncoder(str(hf_folder), batch_size=2)
    model, processor = AutoModel.from_pretrained(hf_folder).eval(), AutoProcessor.from_pretrained(hf_folder)
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
    texts = ["a photo of a cat", "red", "dog " * 20]
    ids = processor.tokenizer(texts, padding="max_length", truncation=True, max_length=8, return_tensors="pt")
    with torch.no_grad():
        expected = pooled(model.get_image_features(**processor.image_processor(pictures, return_tensors="pt")))
        words = pooled(model.get_text_features(ids.input_ids, attention_mask=ids.attention_mask))
    result = encoder.encode_images(images)
    torch.testing.assert_close(result, torch.nn.functional.normalize(expected, dim=1), atol=5e-3, rtol=0)
    torch.testing.assert_close(
        encoder.encode_texts(texts), torch.nn.functional.normalize(words, dim=1), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(encoder.encode_texts(texts[1:2]), encoder.encode_texts(texts)[1:2], atol=1e-5, rtol=0)


def test_the_family_decides_on_padding_and_temperature(hf_folder: Path) -> None:
    encoder = HFClipEncoder(str(hf_folder))
    sigmoid = "siglip" in hf_folder.name
    assert encoder.temperature == (SIGMOID_TEMPERATURE if sigmoid else 1.0)
    assert encoder.towers.tokenize(["red"])["input_ids"].shape[1] == (8 if sigmoid else 3)


def test_guarantees(hf_folder: Path, images: Tensor) -> None:
    state = torch.get_rng_state()
    encoder = HFClipEncoder(str(hf_folder))
    with torch.inference_mode():
        result = encoder.encode_images(images)
    assert torch.equal(torch.get_rng_state(), state)
    assert not result.is_inference()
    assert result.dtype == torch.float32
    data = pickle.dumps(encoder)
    assert len(data) < 2000
    assert torch.equal(pickle.loads(data).encode_images(images), result)  # noqa: S301


def test_the_fingerprint_is_of_content(hf_folder: Path, tmp_path: Path) -> None:
    key = HFClipEncoder(str(hf_folder)).fingerprint()
    for file in hf_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert HFClipEncoder(str(tmp_path)).fingerprint() == key
    model = AutoModel.from_pretrained(tmp_path)
    model.logit_scale.data += 1
    model.save_pretrained(tmp_path)
    assert HFClipEncoder(str(tmp_path)).fingerprint() != key


def test_missing_weights_are_an_error(hf_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for file in hf_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    del weights["logit_scale"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks \['logit_scale'\]"):
        HFClipEncoder(str(tmp_path)).encode_texts(["a"])


def test_a_folder_without_a_processor_is_an_error(hf_folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((hf_folder / name).read_bytes())
    with pytest.raises(RuntimeError, match="dual encoder with its processor"):
        HFClipEncoder(str(tmp_path)).encode_texts(["a"])


def test_a_text_model_is_no_dual_encoder(hf_folder: Path, tmp_path: Path) -> None:
    for file in hf_folder.glob("*token*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = BertConfig(vocab_size=10, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    BertModel(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(hf_folder).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="dual encoder of images and texts"):
        HFClipEncoder(str(tmp_path)).encode_texts(["a"])


def test_without_a_network_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    encoder = HFClipEncoder("nobody/nothing")
    with pytest.raises(RuntimeError, match="hf download nobody/nothing --local-dir FOLDER"):
        encoder.encode_texts(["a cat"])
    with pytest.raises(RuntimeError, match="hf download nobody/nothing --local-dir FOLDER"):
        _ = encoder.temperature
    assert HFClipEncoder("nobody/nothing", temperature=2.0).temperature == 2.0


def test_it_is_not_loaded_to_know_its_fingerprint(
    hf_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint_memo, "SETTLED_SECONDS", -60.0)
    model = Path(shutil.copytree(hf_folder, tmp_path / "model"))
    cold, warm = (EmbeddingCache(HFClipEncoder(str(model)), tmp_path / "cache") for _ in range(2))
    cold.check()
    warm.check()
    assert warm.origin == cold.origin == HFClipEncoder(str(hf_folder)).fingerprint()
    assert warm.encoder._towers is None
    (model / "tokenizer.json").unlink()
    later = EmbeddingCache(HFClipEncoder(str(model)), tmp_path / "cache")
    with pytest.raises((RuntimeError, ValueError)):
        later.check()
