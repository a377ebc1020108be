"""Images of a concept that a diffusion model makes."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.refine.base import GENERATORS, NoImageError, Purpose
from lightning_dissect.refine.image_model import ATTEMPTS, Drawing, ImageModel

ANGLES = ("close up", "seen from a distance", "seen from above", "seen from below", "seen from the side")
LIGHTS = ("in daylight", "under a cloudy sky", "at dusk", "in warm indoor light", "on a plain background")
VIEWS = (ANGLES, LIGHTS)


@dataclass(frozen=True)
class Sampling:
    """How a diffusion model is sampled.

    Args:
        steps: Steps from noise to image.
        guidance: Scale of classifier-free guidance; 0 for models that were distilled to need none.

    """

    steps: int
    guidance: float


_SAMPLINGS = (
    ("turbo", Sampling(4, 0.0)),
    ("schnell", Sampling(4, 0.0)),
    ("xl", Sampling(25, 5.0)),
    ("", Sampling(25, 7.5)),
)


def usual_sampling(model: str) -> Sampling:
    """Return how the authors of a model sample it, by what its name holds.

    Args:
        model: Folder or repository.

    Example:
        >>> usual_sampling("stabilityai/sdxl-turbo")
        Sampling(steps=4, guidance=0.0)
        >>> usual_sampling("stabilityai/stable-diffusion-xl-base-1.0")
        Sampling(steps=25, guidance=5.0)

    """
    name = model.rstrip("/").rpartition("/")[2].lower()
    return next(sampling for part, sampling in _SAMPLINGS if part in name)


@GENERATORS.register("diffusion")
class DiffusionGenerator:
    """Images made by a diffusion model; an `ImageGenerator`.

    Every image has noise and a view of its own, drawn from concept, purpose, number and ``seed``: the first five of
    ten images are the same as five, and one view never decides the score of a concept. Images that come out black are
    made again, then left out.

    Args:
        model: A folder as ``save_pretrained`` of diffusers writes it, or ``"ORG/REPO"`` of the Hugging Face hub.
        template: Prompt with ``{}`` where the concept goes. Nothing else is done to the concept.
        views: For each aspect of a view the phrases of which one is added to each prompt; empty to add none.
        steps: Steps from noise to image; `usual_sampling` if not given.
        guidance: Scale of classifier-free guidance; likewise.
        size: Height and width in pixels; the model's own if not given.
        batch_size: Images per forward pass. An image depends on it by rounding only.
        seed: Another one makes other images.
        dtype: Name of a dtype of torch, or ``"auto"``: float32 on the CPU and float16 elsewhere.
        device: Where the model runs; ``None`` takes the GPU if there is one.
        variant: Which of several sets of weights of a repository, such as ``"fp16"``.
        local_files_only: Whether the hub's local cache must do.

    Raises:
        ValueError:
            If no model is named, ``template`` lacks ``{}``, an aspect has no phrase, or a number is out of range.

    Example:
        >>> generator = DiffusionGenerator("stabilityai/sd-turbo")
        >>> generator.sampling
        Sampling(steps=4, guidance=0.0)
        >>> generator.prompt("red/green, STRIPED", 0, "search")
        'a photo of red/green, STRIPED, close up, on a plain background'

    """

    def __init__(
        self,
        model: str = "",
        *,
        template: str = "a photo of {}",
        views: Sequence[Sequence[str]] = VIEWS,
        steps: int | None = None,
        guidance: float | None = None,
        size: int | None = None,
        batch_size: int = 1,
        seed: int = 0,
        dtype: str = "auto",
        device: str | None = None,
        variant: str | None = None,
        local_files_only: bool = False,
    ) -> None:
        if not model:
            raise ValueError("Expected `model` to be a folder or 'ORG/REPO', as in 'diffusion:ORG/REPO', but got none.")
        usual = usual_sampling(model)
        self.sampling = Sampling(
            usual.steps if steps is None else steps, usual.guidance if guidance is None else guidance
        )
        _check(template, views, self.sampling)
        check_positive("batch_size", batch_size)
        if size is not None:
            check_positive("size", size)
        self.template = template
        self.views = tuple(tuple(phrases) for phrases in views)
        self.size = size
        self.batch_size = batch_size
        self.seed = seed
        self.model = ImageModel(model, dtype=dtype, device=device, variant=variant, local_files_only=local_files_only)

    def prompt(self, concept: str, number: int, purpose: Purpose) -> str:
        """Return what the model is told for one image.

        Args:
            concept: Any text.
            number: Of the image, from 0.
            purpose: What it is for.

        """
        chosen = [
            phrases[_number(self._key(concept, number, purpose), aspect) % len(phrases)]
            for aspect, phrases in enumerate(self.views)
        ]
        return ", ".join([self.template.replace("{}", concept), *chosen])

    @torch.inference_mode(mode=False)
    def generate(self, concept: str, count: int, purpose: Purpose) -> Tensor:
        """Make images; see `ImageGenerator.generate`.

        Raises:
            ValueError:
                If ``count`` is not positive.
            NoImageError:
                If all images come out black.
            ModuleNotFoundError:
                If diffusers is not installed.
            RuntimeError:
                If the model cannot be loaded.

        """
        check_positive("count", count)
        drawings = [
            Drawing(self.prompt(concept, number, purpose), self._key(concept, number, purpose))
            for number in range(count)
        ]
        made = self.model.draw(
            drawings,
            self.batch_size,
            num_inference_steps=self.sampling.steps,
            guidance_scale=self.sampling.guidance,
            height=self.size,
            width=self.size,
        )
        images = [image for image in made if image is not None]
        if not images:
            raise NoImageError(
                f"Expected {self.model.model!r} to make an image of {concept!r} but {count} came out black "
                f"{ATTEMPTS} times, which is what a safety checker or an overflow of float16 does."
            )
        return torch.stack(images)

    def release(self) -> None:
        """Give the model's memory back; it is loaded again when it is needed."""
        self.model.release()

    def fingerprint(self) -> str:
        """Return a key of model, prompts, sampling, size and seed; it loads the model. See `ImageGenerator`."""
        settings = [self.template, self.views, self.sampling.steps, self.sampling.guidance, self.size, self.seed]
        return fingerprint("diffusion", self.model.fingerprint(), json.dumps(settings))

    def _key(self, concept: str, number: int, purpose: Purpose) -> str:
        return json.dumps([concept, purpose, number, self.seed])


def _number(key: str, aspect: int) -> int:
    return int.from_bytes(hashlib.blake2b(json.dumps([key, aspect, "view"]).encode(), digest_size=8).digest(), "little")


def _check(template: str, views: Sequence[Sequence[str]], sampling: Sampling) -> None:
    if "{}" not in template:
        raise ValueError(f"Expected `template` to hold {{}} where the concept goes but got {template!r}.")
    if not all(phrases and not isinstance(phrases, str) for phrases in views):
        raise ValueError(f"Expected `views` to hold, for each aspect, one or more phrases but got {views!r}.")
    check_positive("steps", sampling.steps)
    if not sampling.guidance >= 0:
        raise ValueError(f"Expected `guidance` to be 0 or more but got {sampling.guidance}.")
