"""Ablation by an image editor that is told to remove a concept."""

import hashlib
import json
from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.transforms import v2

from lightning_dissect.checks import check_positive
from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.refine.ablation import ImagePairs, RemovedConcept
from lightning_dissect.refine.base import ImageGenerator, NeedsSurroundings, Surroundings
from lightning_dissect.refine.image_model import Drawing, ImageModel

OTHER_THINGS = ("the background", "the shadows", "the colours of the background", "the ground", "the sky")


class EditRemover:
    """Images of a concept, and what an image editor makes of them when told to remove it; a `ConceptRemover`.

    A control pair is the same image and what the editor makes of it when told to remove something else, one of
    ``other_things`` drawn for each image; both edits begin with the same noise. Editors do not always obey, which is
    what an `EncoderCheck` is for. An image of which one edit comes out black is left out.

    Args:
        model: An editor of diffusers that takes ``image`` and ``prompt``, such as ``"timbrooks/instruct-pix2pix"``: a
            folder as ``save_pretrained`` writes it, or ``"ORG/REPO"`` of the Hugging Face hub.
        images: Where images of the concept come from; those for judging are taken.
        instruction: What the editor is told, with ``{}`` where the concept, or the other thing, goes.
        other_things: What control edits remove.
        steps: Steps of an edit.
        guidance: How closely the editor keeps to the instruction.
        image_guidance: How closely it keeps to the image; ``None`` for editors that do not know this setting.
        size: Height and width of the images that are edited, in pixels; others are scaled and cropped to it.
        batch_size: Images per forward pass.
        seed: Another one makes other edits.
        dtype: Name of a dtype of torch, or ``"auto"``: float32 on the CPU and float16 elsewhere.
        device: Where the model runs; ``None`` takes the GPU if there is one.
        variant: Which of several sets of weights of a repository, such as ``"fp16"``.
        local_files_only: Whether the hub's local cache must do.

    Raises:
        ValueError:
            If ``instruction`` lacks ``{}``, there is no other thing, or a number is out of range.

    Example:
        >>> from lightning_dissect.refine.ablation import ConceptRemover
        >>> from lightning_dissect.refine.retrieval import RetrievalGenerator
        >>> isinstance(EditRemover("timbrooks/instruct-pix2pix", RetrievalGenerator()), ConceptRemover)
        True

    """

    def __init__(
        self,
        model: str,
        images: ImageGenerator,
        *,
        instruction: str = "remove {}",
        other_things: Sequence[str] = OTHER_THINGS,
        steps: int = 25,
        guidance: float = 7.5,
        image_guidance: float | None = 1.5,
        size: int = 512,
        batch_size: int = 1,
        seed: int = 0,
        dtype: str = "auto",
        device: str | None = None,
        variant: str | None = None,
        local_files_only: bool = False,
    ) -> None:
        if "{}" not in instruction:
            raise ValueError(f"Expected `instruction` to hold {{}} where the concept goes but got {instruction!r}.")
        if not other_things or isinstance(other_things, str):
            raise ValueError(f"Expected `other_things` to be one or more texts but got {other_things!r}.")
        for name, value in (("steps", steps), ("size", size), ("batch_size", batch_size)):
            check_positive(name, value)
        self.images = images
        self.instruction = instruction
        self.other_things = tuple(other_things)
        self.steps = steps
        self.guidance = guidance
        self.image_guidance = image_guidance
        self.size = size
        self.batch_size = batch_size
        self.seed = seed
        self.model = ImageModel(model, dtype=dtype, device=device, variant=variant, local_files_only=local_files_only)

    def enter(self, surroundings: Surroundings) -> None:
        """Show the surroundings to what finds images, if it needs them; see `NeedsSurroundings.enter`."""
        if isinstance(self.images, NeedsSurroundings):
            self.images.enter(surroundings)

    @torch.inference_mode(mode=False)
    def remove(self, concept: str, count: int) -> RemovedConcept:
        """Edit images; see `ConceptRemover.remove`.

        Raises:
            ValueError:
                If ``count`` is not positive, or the model is no editor.
            NoImageError:
                If there is no image of the concept.
            ModuleNotFoundError:
                If diffusers is not installed.
            RuntimeError:
                If the model cannot be loaded.

        """
        originals = self._fitted(self.images.generate(concept, count, "judging"))
        keys = [json.dumps([concept, number, self.seed]) for number in range(len(originals))]
        gone = self._edited(originals, [concept] * len(originals), keys)
        other = self._edited(originals, [self._other_thing(key) for key in keys], keys)
        both = [place for place in range(len(originals)) if gone[place] is not None and other[place] is not None]
        kept = originals[both]
        return RemovedConcept(
            ImagePairs(kept, _stacked(gone, both, kept)), ImagePairs(kept, _stacked(other, both, kept))
        )

    def release(self) -> None:
        """Give the model's memory back; it is loaded again when it is needed."""
        self.model.release()

    def fingerprint(self) -> str:
        """Return a key of editor, images and settings; it loads the model. See `ConceptRemover.fingerprint`."""
        settings = [self.instruction, self.other_things, self.steps, self.guidance, self.image_guidance]
        settings += [self.size, self.seed]
        return fingerprint("edit", self.model.fingerprint(), self.images.fingerprint(), json.dumps(settings))

    def _edited(self, originals: Tensor, things: list[str], keys: list[str]) -> list[Tensor | None]:
        drawings = [
            Drawing(self.instruction.replace("{}", thing), key, original)
            for thing, key, original in zip(things, keys, originals, strict=True)
        ]
        return self.model.draw(
            drawings,
            self.batch_size,
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
            image_guidance_scale=self.image_guidance,
        )

    def _fitted(self, images: Tensor) -> Tensor:
        """Return square images of the editor's size."""
        scaled: Tensor = v2.functional.resize(images, [self.size], antialias=True)
        cropped: Tensor = v2.functional.center_crop(scaled, [self.size])
        return cropped

    def _other_thing(self, key: str) -> str:
        digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
        return self.other_things[int.from_bytes(digest, "little") % len(self.other_things)]


def _stacked(images: list[Tensor | None], places: list[int], like: Tensor) -> Tensor:
    chosen = [images[place] for place in places]
    return torch.stack([image for image in chosen if image is not None]) if chosen else like.clone()
