"""Ablation without an editor: real images that show a concept, matched with like ones that do not."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lightning_dissect.checks import check_positive
from lightning_dissect.encoders import prompted_embeddings
from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.refine.ablation import ImagePairs, RemovedConcept
from lightning_dissect.refine.base import ImagePool, Surroundings
from lightning_dissect.refine.embedded_pool import DECIMALS, EmbeddedPool

_IMAGES_AT_ONCE = 64
"""Images whose best concept is looked for at once."""


class RetrievalRemover:
    r"""Pairs of real images that differ in a concept and in little else; a `ConceptRemover`.

    Of each image that shows the concept, the partner is the one most like it among those that look least like the
    concept, where likeness leaves the concept out: with embeddings :math:`e` less their mean and the direction
    :math:`c` of the concept, the cosine of :math:`e - (e \cdot c)\, c`. No image is the partner of two.

    Control pairs are made likewise for other concepts, those of the vocabulary that images drawn at random show most,
    among images that do not show the concept. Images that match a text best are not like others, and their partners not
    like them, in more than what was removed; control pairs share that. As any one of these concepts may have to do with
    the neuron, most pairs have one of their own; a vocabulary of few concepts is too small for that.

    All images are of the half that judges, so that the search has not seen them.

    Args:
        share: Most pairs as a share of the half; images further down the ranking hardly show the concept.
        absent: Share of the half that counts as not showing a concept: the images least like it. With fewer, partners
            are less like what they are partners of: those of a tool are no longer tools.
        seed: Seed of the concepts of control pairs.
        pool: Images to take instead of those of the surroundings.

    Raises:
        ValueError:
            If ``share`` or ``absent`` is not between 0 and 1.

    Example:
        >>> from lightning_dissect.refine.ablation import ConceptRemover
        >>> isinstance(RetrievalRemover(), ConceptRemover)
        True

    """

    def __init__(
        self, *, share: float = 0.1, absent: float = 0.8, seed: int = 0, pool: ImagePool | None = None
    ) -> None:
        for name, value in (("share", share), ("absent", absent)):
            if not 0 < value < 1:
                raise ValueError(f"Expected `{name}` to be between 0 and 1 but got {value}.")
        self.share = share
        self.absent = absent
        self.seed = seed
        self.pool = pool
        self._embedded: EmbeddedPool | None = None

    @torch.inference_mode(mode=False)
    def enter(self, surroundings: Surroundings) -> None:
        """Embed images and vocabulary; see `NeedsSurroundings.enter`.

        Raises:
            ValueError:
                If there is no encoder.

        """
        self._embedded = EmbeddedPool.of(surroundings, self.pool, "Ablation by retrieval")
        self._concepts = prompted_embeddings(self._embedded.cache, surroundings.vocabulary.prompts)
        images = self._embedded.embeddings["judging"]
        self._centred = images - images.mean(dim=0)

    @torch.inference_mode(mode=False)
    def remove(self, concept: str, count: int) -> RemovedConcept:
        """Return pairs, those whose first image shows the concept most first; see `ConceptRemover.remove`.

        Raises:
            ValueError:
                If ``count`` is not positive or the concept is blank.
            RuntimeError:
                If the remover has not entered any surroundings.

        """
        check_positive("count", count)
        embedded = self._entered()
        direction = embedded.concept(concept)
        similarities = embedded.similarities(direction, "judging")
        most = min(count, round(self.share * len(similarities)))
        shown = similarities.argsort(descending=True, stable=True)[:most].tolist()
        pairs = self._pairs(shown, direction, torch.ones(len(similarities), dtype=torch.bool))
        control = self._control_pairs(concept, self._lacks(similarities), most=len(pairs))
        both = min(len(pairs), len(control))
        return RemovedConcept(self._images(pairs[:both]), self._images(control[:both]))

    def fingerprint(self) -> str:
        """Return a key of pool, encoder, vocabulary and settings; see `ConceptRemover.fingerprint`.

        Raises:
            RuntimeError:
                If the remover has not entered any surroundings.

        """
        embedded = self._entered()
        vocabulary = embedded.vocabulary.fingerprint()
        return fingerprint("retrieval", embedded.fingerprint(), vocabulary, self.share, self.absent, self.seed)

    def _control_pairs(self, concept: str, lacks: Tensor, most: int) -> list[tuple[int, int]]:
        """Return at most so many pairs of images that lack a concept, each without a concept that one of them shows."""
        found: list[tuple[int, int]] = []
        embedded, free = self._entered(), lacks.clone()
        for other in self._other_concepts(concept, lacks):
            if len(found) == most:
                break
            match = embedded.similarities(other, "judging").masked_fill(~free, -torch.inf).argmax()
            found += self._pairs([int(match)], other, free)
        return found

    def _other_concepts(self, concept: str, lacks: Tensor) -> Iterator[Tensor]:
        """Yield the concepts that images without a concept show most, images in random order."""
        generator = torch.Generator().manual_seed(int(fingerprint(concept, self.seed)[:15], 16))
        order = torch.randperm(len(lacks), generator=generator)
        images = self._entered().embeddings["judging"][order[lacks[order]]]
        for part in torch.split(images, _IMAGES_AT_ONCE):
            yield from self._concepts[(part @ self._concepts.T).argmax(dim=1)]

    def _lacks(self, similarities: Tensor) -> Tensor:
        """Return which images do not show a concept, shape ``(images,)``, bool."""
        return similarities <= similarities.double().quantile(self.absent)

    def _pairs(self, images: list[int], concept: Tensor, free: Tensor) -> list[tuple[int, int]]:
        """Return pairs of free images, of which the second lacks the concept, and take them from those free."""
        found = []
        for image in images:
            partner = self._partner(image, concept, free) if free[image] else None
            if partner is not None:
                found.append((image, partner))
                free[[image, partner]] = False
        return found

    def _partner(self, image: int, concept: Tensor, free: Tensor) -> int | None:
        """Return the free image that lacks the concept and is most like a given one otherwise, if there is any."""
        direction = normalize(concept, dim=0)
        along = self._centred @ direction
        rest = normalize(self._centred - along[:, None] * direction, dim=-1)
        likeness = (rest @ rest[image]).round(decimals=DECIMALS)
        fits = self._lacks(along) & free & (torch.arange(len(along)) != image)
        return int(likeness.masked_fill(~fits, -torch.inf).argmax()) if fits.any() else None

    def _images(self, pairs: list[tuple[int, int]]) -> ImagePairs:
        embedded = self._entered()
        rows = embedded.rows["judging"][torch.tensor(pairs, dtype=torch.long).view(-1, 2)]
        return ImagePairs(embedded.pool.images[rows[:, 0]], embedded.pool.images[rows[:, 1]])

    def _entered(self) -> EmbeddedPool:
        if self._embedded is None:
            raise RuntimeError("Expected `enter` to be called first: the remover has no images before.")
        return self._embedded
