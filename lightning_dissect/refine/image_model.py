"""Image models of diffusers: loaded when needed, drawn from by seeds of one's own, never believed when black."""

import hashlib
import inspect
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dissect.checks import check_positive, require_package
from lightning_dissect.encoders.isolation import isolated_inference, isolated_loading
from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.pretrained_model import quiet_transformers, quieted

ATTEMPTS = 3
"""How often an image is drawn before it is given up."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """One image to be drawn.

    Args:
        prompt: What the model is told.
        key: What the noise depends on, and nothing else.
        image: The image to be edited, RGB, shape ``(3, height, width)``, uint8; ``None`` to begin with noise alone.

    """

    prompt: str
    key: str
    image: Tensor | None = None

    def generator(self, attempt: int) -> torch.Generator:
        """Return the source of the noise, on the CPU so that it is the same for every device.

        Args:
            attempt: From 0.

        """
        digest = hashlib.blake2b(json.dumps([self.key, attempt]).encode(), digest_size=8).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


class ImageModel:
    """A pipeline of diffusers that makes images of texts, or edits images as texts say.

    It is loaded when it is first needed and never touches the random states of the process. A pickled or copied one
    carries no weights.

    Args:
        model: A folder as ``save_pretrained`` writes it, or ``"ORG/REPO"`` of the Hugging Face hub.
        dtype: Name of a dtype of torch, or ``"auto"``: float32 on the CPU and float16 elsewhere.
        device: Where it runs; ``None`` takes the GPU if there is one.
        variant: Which of several sets of weights of a repository, such as ``"fp16"``.
        local_files_only: Whether the hub's local cache must do.

    Raises:
        ValueError:
            If ``dtype`` is none of torch's.

    """

    def __init__(
        self,
        model: str,
        *,
        dtype: str = "auto",
        device: str | None = None,
        variant: str | None = None,
        local_files_only: bool = False,
    ) -> None:
        if dtype != "auto" and not isinstance(getattr(torch, dtype, None), torch.dtype):
            raise ValueError(f"Expected `dtype` to be 'auto' or the name of a dtype of torch but got {dtype!r}.")
        self.model = model
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.dtype = _dtype(dtype, self.device)
        self.variant = variant
        self.local_files_only = local_files_only
        self._pipeline: Any = None
        self._fingerprint = ""

    @property
    def pipeline(self) -> Any:  # noqa: ANN401 - diffusers has no common type of what can be called
        """The pipeline; loaded when this is first read.

        Raises:
            ModuleNotFoundError:
                If diffusers is not installed.
            RuntimeError:
                If the model is neither here nor delivered, or diffusers cannot read it.

        """
        if self._pipeline is None:
            self._pipeline = self._load()
        return self._pipeline

    def release(self) -> None:
        """Give the memory back; the model is loaded again when it is needed."""
        self._pipeline = None
        torch.cuda.empty_cache()

    def fingerprint(self) -> str:
        """Return a key of weights, configurations and dtype, never of names or paths; computed once."""
        if not self._fingerprint:
            parts = self.pipeline.components
            content = (piece for name in sorted(parts) for piece in (name, *_content(parts[name])))
            self._fingerprint = fingerprint(str(self.dtype), *content)
        return self._fingerprint

    @torch.inference_mode(mode=False)
    def draw(self, drawings: Sequence[Drawing], batch_size: int, **settings: float | None) -> list[Tensor | None]:
        """Draw images.

        An image depends on its own drawing and on the settings; in another batch it differs by rounding only. A black
        image, as safety checkers and overflowing decoders leave behind, is drawn again from other noise.

        Args:
            drawings: What to draw.
            batch_size: Images per call of the pipeline.
            settings: What the pipeline is called with beyond them; ``None`` leaves a setting to the pipeline.

        Returns:
            For each drawing an RGB image, shape ``(3, height, width)``, uint8, on the CPU; ``None`` if it was black
            `ATTEMPTS` times.

        Raises:
            ValueError:
                If ``batch_size`` is not positive or the pipeline does not know a setting.

        """
        check_positive("batch_size", batch_size)
        drawn: list[Tensor | None] = [None] * len(drawings)
        for attempt in range(ATTEMPTS):
            missing = [place for place, image in enumerate(drawn) if image is None]
            for start in range(0, len(missing), batch_size):
                places = missing[start : start + batch_size]
                images = self._call([drawings[place] for place in places], attempt, settings)
                for place, image in zip(places, images, strict=True):
                    drawn[place] = image if image.any() else None
        return drawn

    def _call(self, drawings: Sequence[Drawing], attempt: int, settings: dict[str, float | None]) -> Tensor:
        """Return images of one batch, shape ``(images, 3, height, width)``, uint8."""
        given: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
        edited = [drawing.image for drawing in drawings if drawing.image is not None]
        if edited:
            given["image"] = torch.stack(edited).float() / 255
        unknown = sorted(set(given) - set(inspect.signature(self.pipeline.__call__).parameters))
        if unknown:
            raise ValueError(
                f"Expected `model` to be one that takes {', '.join(unknown)} but got {self.model!r}, a "
                f"{type(self.pipeline).__name__}."
            )
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), isolated_inference(self.device):
            images: Tensor = self.pipeline(
                prompt=[drawing.prompt for drawing in drawings],
                generator=[drawing.generator(attempt) for drawing in drawings],
                output_type="pt",
                **given,
            ).images
        return (images.float().nan_to_num(0.0) * 255).round().clamp(0, 255).byte().cpu()

    def _load(self) -> Any:  # noqa: ANN401
        require_package("diffusers", "lightning-dissect[refine]", f"The image model {self.model!r}")
        import diffusers.utils.logging

        loader: Any = diffusers.DiffusionPipeline
        try:
            with isolated_loading(), quiet_transformers(), quieted(diffusers.utils.logging):
                pipeline = loader.from_pretrained(
                    self.model,
                    dtype=self.dtype,
                    variant=self.variant,
                    local_files_only=self.local_files_only,
                )
        except (OSError, ValueError) as error:
            raise RuntimeError(
                f"Expected `model` to be a folder with a pipeline of diffusers {diffusers.__version__}, or one that "
                f"the Hugging Face hub delivers, but got {self.model!r}: {error} Where there is a network run "
                f"`hf download {self.model} --local-dir FOLDER`, then use `model='FOLDER'`."
            ) from error
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to(self.device)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pipeline": None, "_fingerprint": ""}


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.float32 if device.type == "cpu" else torch.float16
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def _content(part: object) -> Iterator[str | Tensor]:
    """Yield what a part of a pipeline does: its class, its configuration without paths and versions, its weights."""
    yield type(part).__qualname__
    config: Any = getattr(part, "config", None)
    if config is not None:
        plain = config if isinstance(config, dict) else config.to_dict()
        kept = {name: value for name, value in plain.items() if name[0] != "_" and name != "transformers_version"}
        yield json.dumps(kept, sort_keys=True, default=str)
    if hasattr(part, "get_vocab"):
        yield json.dumps(part.get_vocab(), sort_keys=True)
    if isinstance(part, nn.Module):
        for name, weights in sorted(part.state_dict().items()):
            yield name
            yield weights
