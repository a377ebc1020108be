"""Images of a concept that need no generator: the best matches among real ones."""

import torch
from torch import Tensor

from lightning_dissect.checks import check_positive
from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.refine.base import GENERATORS, ImagePool, Purpose, Surroundings
from lightning_dissect.refine.embedded_pool import EmbeddedPool


@GENERATORS.register("retrieval")
class RetrievalGenerator:
    """The encoder's best matches for a concept in a pool of real images; an `ImageGenerator`.

    Images for the search come from one half of the pool and those for judging from the other, unchanged, so that what
    is known of them by their content id holds here too. A concept that no image shows gets its nearest neighbours;
    that they do not activate the neuron says as much.

    Matches are ranked by plain cosine. The mean image embedding is the same in all similarities to a concept and thus
    changes a ranking only through the norm that is left; on real photos that moved the share of right first matches by
    less than its standard error, and plain cosine has the virtue that two images compare the same in every pool.

    Args:
        share: Most images as a share of the half. Images far down the ranking do not show the concept: among 295
            photos of all sorts, six, the first six hold 93 % of those that show what a name of a class says.
        least: Images that there may be in any case, since a mean over fewer than three says little.
        pool: Images to take instead of those of the surroundings.

    Raises:
        ValueError:
            If ``share`` is not in ``(0, 1]`` or ``least`` is not positive.

    Example:
        >>> from lightning_dissect.encoders import EmbeddingCache
        >>> from lightning_dissect.probe import ConceptVocabulary, content_ids
        >>> class Colours:
        ...     temperature = 1.0
        ...     def encode_images(self, images):
        ...         return torch.nn.functional.normalize(images.float().mean(dim=(2, 3)), dim=1)
        ...     def encode_texts(self, texts):
        ...         return torch.eye(3)[[["red", "green", "blue"].index(text) for text in texts]]
        ...     def fingerprint(self):
        ...         return "colours"
        >>> images = torch.randint(256, (40, 3, 4, 4), generator=torch.Generator().manual_seed(0)).byte()
        >>> pool = ImagePool(images, content_ids(images))
        >>> generator = RetrievalGenerator()
        >>> generator.enter(Surroundings(ConceptVocabulary(("red",)), pool, EmbeddingCache(Colours())))
        >>> generator.generate("blue", 5, "search").shape
        torch.Size([3, 3, 4, 4])

    """

    def __init__(self, *, share: float = 0.02, least: int = 3, pool: ImagePool | None = None) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"Expected `share` to be greater than 0 and at most 1 but got {share}.")
        check_positive("least", least)
        self.share = share
        self.least = least
        self.pool = pool
        self._embedded: EmbeddedPool | None = None

    def enter(self, surroundings: Surroundings) -> None:
        """Embed the images of the pool; see `NeedsSurroundings.enter`.

        Raises:
            ValueError:
                If there is no encoder.

        """
        self._embedded = EmbeddedPool.of(surroundings, self.pool, "Retrieval of images")

    @torch.inference_mode(mode=False)
    def generate(self, concept: str, count: int, purpose: Purpose) -> Tensor:
        """Return the best matches, best first; see `ImageGenerator.generate`.

        Raises:
            ValueError:
                If ``count`` is not positive or the concept is blank.
            RuntimeError:
                If the generator has not entered any surroundings.

        """
        check_positive("count", count)
        embedded = self._entered()
        most = max(self.least, round(self.share * len(embedded.rows[purpose])))
        return embedded.pool.images[embedded.best(concept, purpose, min(count, most))]

    def fingerprint(self) -> str:
        """Return a key of pool, encoder, prompts and how many images there may be; see `ImageGenerator.fingerprint`.

        Raises:
            RuntimeError:
                If the generator has not entered any surroundings.

        """
        return fingerprint("retrieval", self._entered().fingerprint(), self.share, self.least)

    def _entered(self) -> EmbeddedPool:
        if self._embedded is None:
            raise RuntimeError("Expected `enter` to be called first: retrieval has no images before.")
        return self._embedded
