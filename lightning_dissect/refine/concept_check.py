"""Whether a concept is gone from an image, as an encoder sees it."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lightning_dissect.checks import check_positive
from lightning_dissect.encoders import EmbeddingCache, prompted_embeddings
from lightning_dissect.probe import ConceptVocabulary, content_ids
from lightning_dissect.refine.ablation import ImagePairs


class EncoderCheck:
    """Says that a concept is gone where an image has become less like it, and no more like it than most images are.

    What "no more like it" means is calibrated for each concept: by the similarities of images of all sorts, most of
    which do not show it. Of pairs of retrieved photos that it lets pass, four in five show the concept in the first
    image and one in twenty in the second. An encoder other than the one by which images were found is the better
    witness.

    Args:
        cache: Embeddings of images and texts.
        reference: RGB images of all sorts, shape ``(images, 3, height, width)``, uint8.
        templates: Prompts with ``{}`` where the concept goes.
        quantile: Share of the reference images that look less like the concept than what is left of it may.
        fall: By how much the similarity has to fall, in standard deviations of the reference images. It also sorts out
            pairs whose first image did not show the concept to begin with.

    Raises:
        ValueError:
            If there are fewer than two reference images or an argument is out of range.

    Example:
        >>> class Colours:
        ...     temperature = 1.0
        ...     def encode_images(self, images):
        ...         return normalize(images.float().mean(dim=(2, 3)), dim=1)
        ...     def encode_texts(self, texts):
        ...         return torch.eye(3)[[["red", "green", "blue"].index(text) for text in texts]]
        ...     def fingerprint(self):
        ...         return "colours"
        >>> images = torch.randint(256, (40, 3, 4, 4), generator=torch.Generator().manual_seed(0)).byte()
        >>> check = EncoderCheck(EmbeddingCache(Colours()), images)
        >>> red = torch.tensor([250, 20, 20], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 4, 4)
        >>> check("red", ImagePairs(red, red.flip(1))), check("red", ImagePairs(red, red))
        (tensor([True]), tensor([False]))

    """

    @torch.inference_mode(mode=False)
    def __init__(
        self,
        cache: EmbeddingCache,
        reference: Tensor,
        *,
        templates: tuple[str, ...] = ("{}",),
        quantile: float = 0.9,
        fall: float = 3.0,
    ) -> None:
        if len(reference) < 2:
            raise ValueError(f"Expected `reference` to hold two images or more but got {len(reference)}.")
        if not 0 < quantile < 1:
            raise ValueError(f"Expected `quantile` to be between 0 and 1 but got {quantile}.")
        check_positive("fall", fall)
        self.cache = cache
        self.templates = templates
        self.quantile = quantile
        self.fall = fall
        self._reference = self._embeddings(reference)

    @torch.inference_mode(mode=False)
    def __call__(self, concept: str, pairs: ImagePairs) -> Tensor:
        """Return of which pairs the concept is gone, shape ``(pairs,)``, bool.

        Args:
            concept: Any text but white space alone.
            pairs: With the concept and, one hopes, without it.

        """
        prompts = ConceptVocabulary.of([concept], templates=self.templates).prompts
        direction = prompted_embeddings(self.cache, prompts)[0]
        usual = (self._reference @ direction).double()
        before, after = (self._embeddings(images) @ direction for images in (pairs.with_, pairs.without))
        return (after <= usual.quantile(self.quantile)) & (before - after >= self.fall * usual.std())

    def _embeddings(self, images: Tensor) -> Tensor:
        ids = content_ids(images).cpu()
        self.cache.update_images(images, ids)
        return normalize(self.cache.image_embeddings(ids), dim=-1)
