"""Dual encoders of Hugging Face transformers: CLIP, SigLIP and their kin."""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from lightning_dissect.encoders.base import ENCODERS, SIGMOID_TEMPERATURE
from lightning_dissect.encoders.lazy_encoder import LazyEncoder, Towers
from lightning_dissect.encoders.source_files import model_files, model_place
from lightning_dissect.encoders.tokenizer_content import tokenizer_content

PROVENANCE = ("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version")
"""Entries of a configuration that say where a model comes from, not what it computes."""


class HFTowers(Towers):
    """A dual encoder of transformers with its own image processor and tokeniser.

    Args:
        model: Has ``get_image_features`` and ``get_text_features``.
        image_processor: Prepares images; it is given uint8 tensors.
        tokenizer: Maps strings to token ids.

    """

    def __init__(self, model: nn.Module, image_processor: Callable[..., Any], tokenizer: Callable[..., Any]) -> None:
        super().__init__()
        self.model: Any = model
        self.image_processor: Any = image_processor
        self.tokenizer: Any = tokenizer

    def embed_images(self, images: Tensor) -> Tensor:
        """See `Towers.embed_images`; the image processor works on the CPU, where every version of it can."""
        inputs = self.image_processor(
            images=list(images.cpu()), return_tensors="pt", input_data_format="channels_first"
        )
        return pooled(self.model.get_image_features(**inputs.to(self.device)))

    def embed_texts(self, texts: list[str]) -> Tensor:
        """See `Towers.embed_texts`."""
        accepted = inspect.signature(self.model.get_text_features).parameters
        inputs = {name: value.to(self.device) for name, value in self.tokenize(texts).items() if name in accepted}
        return pooled(self.model.get_text_features(**inputs))

    def tokenize(self, texts: Sequence[str]) -> Mapping[str, Tensor]:
        """Return the inputs of the text tower.

        The SigLIP family was trained on texts padded to the full context and sees another text without; for the others
        padding makes no difference.

        Args:
            texts: Any strings.

        """
        config = self.model.config
        context = min(self.tokenizer.model_max_length, config.text_config.max_position_embeddings)
        padding = "max_length" if is_sigmoid(config.model_type) else True
        inputs = self.tokenizer(list(texts), padding=padding, truncation=True, max_length=context, return_tensors="pt")
        return cast("Mapping[str, Tensor]", inputs)

    def settings(self) -> Iterable[str]:
        """See `Towers.settings`."""
        config = without_provenance(self.model.config.to_dict())
        return [
            json.dumps(config, sort_keys=True, default=str),
            self.image_processor.to_json_string(),
            *tokenizer_content(self.tokenizer, lambda texts: self.tokenize(texts)["input_ids"]),
        ]


@ENCODERS.register("hf_clip")
class HFClipEncoder(LazyEncoder):
    """Any CLIP, SigLIP, SigLIP 2 or similar dual encoder of transformers, from the hub or a folder.

    The model is read when it is first needed, in float32. Images go through the model's own image processor as tensors,
    texts through its own tokeniser.

    Args:
        model: Name on the hub, or a folder with model, image processor and tokeniser as ``save_pretrained`` writes
            them.
        device: Device of the model; ``None`` takes the GPU if there is one.
        batch_size: Images or texts per forward pass.
        temperature: See `ImageTextEncoder`; ``None`` means 1, or `SIGMOID_TEMPERATURE` for the SigLIP family.

    Raises:
        ValueError:
            If ``batch_size`` is not positive; on loading, if weights are missing or the model is no dual encoder.
        RuntimeError:
            On loading, if there is no such folder and the hub does not deliver.

    Example:
        >>> encoder = HFClipEncoder("google/siglip-base-patch16-224", temperature=1.15)
        >>> encoder.encode_texts("a cat")
        Traceback (most recent call last):
        ValueError: Expected `texts` to be a non-empty sequence of strings but got 'a cat'.

    References:
        Zhai et al., Sigmoid loss for language image pre-training, ICCV 2023. https://arxiv.org/abs/2303.15343

    """

    family: ClassVar[str] = "CLIP"
    packages: ClassVar[tuple[str, ...]] = ("sentencepiece", "tokenizers", "torch", "torchvision", "transformers")

    def __init__(
        self,
        model: str = "openai/clip-vit-base-patch16",
        device: str | None = None,
        batch_size: int = 64,
        temperature: float | None = None,
    ) -> None:
        super().__init__(device, batch_size)
        self.model = model
        self._temperature = temperature

    @property
    def temperature(self) -> float:
        """Factor on the cosines; read from the model's configuration, without its weights."""
        if self._temperature is None:
            from transformers import AutoConfig

            try:
                config = AutoConfig.from_pretrained(self.model)
            except OSError as error:
                raise unavailable(self.model, error) from error
            self._temperature = SIGMOID_TEMPERATURE if is_sigmoid(config.model_type) else 1.0
        return self._temperature

    def load(self) -> HFTowers:
        """See `LazyEncoder.load`."""
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

        try:
            model, report = AutoModel.from_pretrained(self.model, output_loading_info=True)
            check_dual_encoder(self.model, model, sorted(report["missing_keys"]))
            image_processor: Any = AutoImageProcessor.from_pretrained(self.model)  # type: ignore[no-untyped-call]
            tokenizer = AutoTokenizer.from_pretrained(self.model)
        except OSError as error:
            raise unavailable(self.model, error) from error
        return HFTowers(model.float(), image_processor, tokenizer)

    def request(self) -> Sequence[str]:
        """See `LazyEncoder.request`."""
        return [model_place(self.model)]

    def source_files(self) -> Sequence[Path] | None:
        """See `LazyEncoder.source_files`: those of the folder, or of the hub's current snapshot."""
        return model_files(self.model)


def check_dual_encoder(name: str, model: nn.Module, missing: list[str]) -> None:
    """Check that a model embeds images and texts with weights that were all trained.

    Args:
        name: Name or folder.
        model: The model.
        missing: Names of weights that were not in the checkpoint.

    Raises:
        ValueError:
            If it has one tower only or lacks a weight.

    """
    if not hasattr(model, "get_image_features") or not hasattr(model, "get_text_features"):
        raise ValueError(
            f"Expected `model` to be a dual encoder of images and texts but got {name!r}, a {type(model).__name__}."
        )
    if missing:
        raise ValueError(
            f"Expected `model` to hold all its weights but {name!r} lacks {missing}. Untrained weights are never used."
        )


def is_sigmoid(model_type: str) -> bool:
    """Return whether a model belongs to the SigLIP family.

    Args:
        model_type: What its configuration calls it.

    """
    return model_type.startswith("siglip")


def pooled(features: object) -> Tensor:
    """Return one embedding per item from what ``get_*_features`` gives: a tensor, or since version 5 an output.

    Args:
        features: Tensor or output with ``pooler_output``.

    """
    return cast("Tensor", getattr(features, "pooler_output", features))


def without_provenance(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration without the entries that say where the model comes from, at all depths.

    Args:
        config: A configuration as nested dictionaries.

    Example:
        >>> without_provenance({"width": 8, "_name_or_path": "somewhere", "text": {"dtype": "float16", "depth": 2}})
        {'width': 8, 'text': {'depth': 2}}

    """
    return {
        key: without_provenance(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if key not in PROVENANCE
    }


def unavailable(model: str, error: OSError) -> RuntimeError:
    """Return the error for a folder that lacks something, or for a model that the hub did not deliver.

    Args:
        model: Name or folder.
        error: What transformers said.

    """
    if Path(model).is_dir():
        return RuntimeError(f"Expected `model` to hold a dual encoder with its processor but got {model!r}: {error}")
    return RuntimeError(
        f"Expected `model` to be a folder or a model that the Hugging Face hub delivers but got {model!r}, which is "
        f"neither. Where there is a network run `hf download {model} --local-dir FOLDER`, then use `model='FOLDER'`."
    )
