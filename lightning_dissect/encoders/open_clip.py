"""Dual encoders of open_clip."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

from torch import Tensor, nn

from lightning_dissect.encoders.base import ENCODERS, SIGMOID_TEMPERATURE
from lightning_dissect.encoders.image_preprocessing import ImagePreprocessing
from lightning_dissect.encoders.isolation import quiet_root_logger
from lightning_dissect.encoders.lazy_encoder import LazyEncoder, Towers
from lightning_dissect.encoders.open_clip_source import OpenClipSource, parse_source, specification_place
from lightning_dissect.encoders.tokenizer_content import tokenizer_content


class OpenClipTowers(Towers):
    """A model of open_clip with its own preprocessing and tokeniser.

    Args:
        model: The model; ``model.visual.preprocess_cfg`` says how images are prepared.
        tokenizer: Maps strings to token ids.
        config: The model's configuration.

    """

    def __init__(self, model: nn.Module, tokenizer: Callable[..., Tensor], config: dict[str, Any]) -> None:
        super().__init__()
        self.model: Any = model
        self.tokenizer = tokenizer
        self.config = config
        self.preprocessing = preprocessing_of(cast("Any", model).visual.preprocess_cfg)

    def embed_images(self, images: Tensor) -> Tensor:
        """See `Towers.embed_images`."""
        return cast("Tensor", self.model.encode_image(self.preprocessing(images)))

    def embed_texts(self, texts: list[str]) -> Tensor:
        """See `Towers.embed_texts`."""
        return cast("Tensor", self.model.encode_text(self.tokenizer(texts).to(self.device)))

    def settings(self) -> Iterable[str]:
        """See `Towers.settings`."""
        text = {
            key: value
            for key, value in self.config["text_cfg"].items()
            if key not in ("hf_model_name", "hf_tokenizer_name")
        }
        architecture = {**self.config, "text_cfg": text}
        return [
            json.dumps(architecture, sort_keys=True),
            repr(self.preprocessing),
            *tokenizer_content(self.tokenizer, self.tokenizer),
        ]


@ENCODERS.register("open_clip")
class OpenClipEncoder(LazyEncoder):
    """Any pretrained model that open_clip can load; the weights are real or there is an error.

    The model is read when it is first needed. Preprocessing, tokeniser and context length come from its configuration,
    and the activation is the one that the weights were trained with, which for some tags is not that of the plain
    model name. It runs in float32.

    Args:
        model: ``"MODEL/TAG"`` as open_clip lists them; ``"MODEL@FILE"`` for weights in a ``.pt`` or ``.safetensors``
            file; ``"local-dir:FOLDER"`` for a folder with ``open_clip_config.json``, weights and, where the
            configuration names one, a tokeniser; ``"hf-hub:ORG/REPO"``.
        device: Device of the model; ``None`` takes the GPU if there is one.
        batch_size: Images or texts per forward pass.
        model_config: JSON file with an architecture of one's own, whose name is the file's name without ``.json``.
        quick_gelu: Whether the weights were trained with QuickGELU; ``None`` goes by tag and configuration. For a file
            of OpenAI's weights it must be said, here or by a ``-quickgelu`` model name.
        temperature: See `ImageTextEncoder`; ``None`` means 1, or `SIGMOID_TEMPERATURE` for a model with a logit bias.

    Raises:
        ValueError:
            If ``batch_size`` is not positive; on loading, if model or tag are unknown or missing.
        FileNotFoundError:
            On loading, if a file or folder does not exist.
        RuntimeError:
            On loading, if the hub cannot be reached or the weights do not fit the architecture.

    Example:
        >>> encoder = OpenClipEncoder("ViT-B-16")
        >>> encoder.encode_texts(["a cat"])
        Traceback (most recent call last):
        ValueError: Expected `model` to be 'ViT-B-16/TAG' with one of the tags ['openai', ...

    References:
        Radford et al., Learning transferable visual models from natural language supervision, ICML 2021.
        https://arxiv.org/abs/2103.00020

    """

    family: ClassVar[str] = "CLIP"
    packages: ClassVar[tuple[str, ...]] = ("open_clip_torch", "timm", "tokenizers", "torch", "transformers")

    def __init__(
        self,
        model: str = "ViT-B-16/datacomp_xl_s13b_b90k",
        device: str | None = None,
        batch_size: int = 64,
        *,
        model_config: str | Path | None = None,
        quick_gelu: bool | None = None,
        temperature: float | None = None,
    ) -> None:
        super().__init__(device, batch_size)
        self.model = model
        self.model_config = model_config
        self.quick_gelu = quick_gelu
        self._temperature = temperature

    @property
    def temperature(self) -> float:
        """Factor on the cosines; read from the model's configuration, without its weights."""
        if self._temperature is None:
            source = parse_source(self.model, self.model_config)
            self._temperature = SIGMOID_TEMPERATURE if "init_logit_bias" in config_of(source) else 1.0
        return self._temperature

    def load(self) -> OpenClipTowers:
        """See `LazyEncoder.load`."""
        source = parse_source(self.model, self.model_config)
        config = config_of(source)
        quick_gelu = config["quick_gelu"] if self.quick_gelu is None else self.quick_gelu
        try:
            with quiet_root_logger("open_clip"):
                return load_towers(source, {**config, "quick_gelu": quick_gelu})
        except Exception as error:  # the hub, archives, shapes: each fails with errors of its own
            raise (source.unavailable(error) if source.repository else unloadable(self.model, error)) from error

    def request(self) -> Sequence[str]:
        """See `LazyEncoder.request`."""
        config = "" if self.model_config is None else str(Path(self.model_config).resolve())
        return [specification_place(self.model), config, str(self.quick_gelu)]

    def source_files(self) -> Sequence[Path] | None:
        """See `LazyEncoder.source_files`: weights, configuration, and what the configuration refers to."""
        config = None if self.model_config is None else Path(self.model_config)
        return parse_source(self.model, config).files(config)


def config_of(source: OpenClipSource) -> dict[str, Any]:
    """Return the configuration of a source.

    Args:
        source: Where the model comes from.

    Raises:
        RuntimeError:
            If the hub cannot be reached.

    """
    try:
        return source.config()
    except OSError as error:
        raise source.unavailable(error) from error


def load_towers(source: OpenClipSource, config: dict[str, Any]) -> OpenClipTowers:
    """Build the model of a source and fill in its weights.

    Args:
        source: Where the model comes from.
        config: Its configuration, with the activation to use.

    """
    import open_clip

    model = open_clip.create_model(
        source.architecture,
        pretrained=source.weights,
        device="cpu",
        precision="fp32",
        force_quick_gelu=config["quick_gelu"],
        require_pretrained=True,
    )
    return OpenClipTowers(model, open_clip.get_tokenizer(source.architecture), config)


def unloadable(model: str, error: Exception) -> RuntimeError:
    """Return the error for local weights that do not load.

    Args:
        model: The specification.
        error: What open_clip said.

    """
    return RuntimeError(
        f"Expected `model` to hold weights and a tokeniser that fit its configuration but got {model!r}: {error}"
    )


def preprocessing_of(config: dict[str, Any]) -> ImagePreprocessing:
    """Return the preprocessing that an open_clip ``preprocess_cfg`` describes.

    Args:
        config: Has ``size``, ``mean``, ``std``, ``interpolation``, ``resize_mode`` and ``fill_color``.

    Example:
        >>> config = {"size": 8, "mean": 0.5, "std": 0.5, "interpolation": "bicubic", "resize_mode": "squash"}
        >>> preprocessing_of(config).size
        (8, 8)

    """
    height, width = per_axis(config["size"], 2)
    return ImagePreprocessing(
        size=(int(height), int(width)),
        mean=per_axis(config["mean"], 3),
        std=per_axis(config["std"], 3),
        resize=config["resize_mode"],
        interpolation="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
        fill=config.get("fill_color", 0),
    )


def per_axis(value: float | Iterable[float], count: int) -> tuple[float, ...]:
    """Return one number per axis, from one for all or from one for each.

    Args:
        value: A number or ``count`` of them.
        count: Number of axes.

    """
    return (float(value),) * count if isinstance(value, (int, float)) else tuple(map(float, value))
