"""Tiny models with weights of their own, in the formats of open_clip and transformers."""

import json
from pathlib import Path

import open_clip
import pytest
import torch
from torch import Tensor, nn

from lightning_dissect.encoders import AssembledEncoder

TINY_CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="session")
def open_clip_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A configuration and weights that fit it."""
    folder = tmp_path_factory.mktemp("open_clip")
    config = folder / "tiny-dissect.json"
    config.write_text(json.dumps(TINY_CONFIG))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = open_clip.CLIP(**TINY_CONFIG)
    torch.save(model.state_dict(), folder / "weights.pt")
    return config, folder / "weights.pt"


@pytest.fixture(scope="session")
def open_clip_folder(tmp_path_factory: pytest.TempPathFactory, open_clip_files: tuple[Path, Path]) -> Path:
    """The same model as a `local-dir:` folder, with a preprocessing of its own."""
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("local_dir")
    preprocessing = {"mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bilinear", "resize_mode": "squash"}
    text = json.dumps({"model_cfg": TINY_CONFIG, "preprocess_cfg": preprocessing})
    (folder / "open_clip_config.json").write_text(text)
    save_file(torch.load(open_clip_files[1]), folder / "open_clip_model.safetensors")
    return folder


def save_tokenizer(folder: Path, context: int) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<bos>", "eos_token": "<eos>"}
    words = [*special.values(), "a", "photo", "of", "cat", "dog", "red"]
    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=special["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 2), ("<eos>", 3)]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=context, **special)
    fast.save_pretrained(folder)


def save_hf_model(folder: Path, family: str) -> None:
    import transformers

    text = {"vocab_size": 10, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    text |= {
        "num_attention_heads": 2,
        "max_position_embeddings": 8,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
    }
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": 16, "patch_size": 8}
    prefix = {"clip": "CLIP", "siglip": "Siglip"}[family]
    more = {"projection_dim": 16} if family == "clip" else {}
    config = getattr(transformers, f"{prefix}Config")(text_config=text, vision_config=vision, **more)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        getattr(transformers, f"{prefix}Model")(config).save_pretrained(folder)
    size = {"shortest_edge": 16} if family == "clip" else {"height": 16, "width": 16}
    crop = {"crop_size": {"height": 16, "width": 16}} if family == "clip" else {}
    save_tokenizer(folder, 8)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    images = getattr(transformers, f"{prefix}ImageProcessor")(size=size, **crop)
    getattr(transformers, f"{prefix}Processor")(images, tokenizer).save_pretrained(folder)


@pytest.fixture(scope="session", params=["clip", "siglip"])
def hf_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the CLIP or the SigLIP family as `save_pretrained` writes it."""
    folder = tmp_path_factory.mktemp(request.param)
    save_hf_model(folder, request.param)
    return folder


@pytest.fixture
def images() -> Tensor:
    """Noise that is not square."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (5, 3, 20, 31), generator=generator, dtype=torch.uint8)


@pytest.fixture(scope="session")
def assembled() -> AssembledEncoder:
    """The smallest assembled encoder; loaded once for all tests that carry the mark `offline_weights`."""
    return AssembledEncoder("lite0", definitions=False)


class CountingEncoder:
    """An encoder that says how much it was asked to do."""

    temperature = 1.0

    def __init__(self, key: str = "counting") -> None:
        self.key = key
        self.num_images = 0
        self.texts: list[str] = []

    def encode_images(self, images: Tensor) -> Tensor:
        self.num_images += len(images)
        return nn.functional.normalize(images.float().mean(dim=(2, 3)) + 1, dim=1)

    def encode_texts(self, texts: list[str]) -> Tensor:
        self.texts += texts
        return nn.functional.normalize(torch.tensor([[len(text), sum(map(ord, text)), 1.0] for text in texts]), dim=1)

    def fingerprint(self) -> str:
        return self.key


@pytest.fixture
def counting_encoder() -> type[CountingEncoder]:
    """The class, so that a test can make several."""
    return CountingEncoder
