"""A user's own presence in the place of an encoder's, found for the images of a dissection."""

from pathlib import Path

import torch
from torch import Tensor

from lightning_dissect.presence import GivenPresence, SigmoidConstants, read_presence
from lightning_dissect.probe import ConceptVocabulary, locate

_FILES = (".csv", ".npy")


class OwnPresence:
    """Presence by sample id: ``(dataloader_idx << 40) | index``, so that one dataset's ids are its indices.

    Args:
        given: The presence. Without names its columns are the concepts of the vocabulary in their order.
        vocabulary: The concepts that labels are chosen from; presence of others is left out.

    Raises:
        ValueError:
            If the presence of a concept is missing.

    Example:
        >>> given = GivenPresence(torch.tensor([[0.0, 1.0], [0.75, 0.25]]), ["dog", "cat"])
        >>> own = OwnPresence(given, ConceptVocabulary(("cat", "dog")))
        >>> own.of_images(torch.tensor([1])).columns(slice(None))
        tensor([[0.2500, 0.7500]], dtype=torch.float64)

    """

    def __init__(self, given: GivenPresence, vocabulary: ConceptVocabulary) -> None:
        if given.concepts is None and given.shape[1] == len(vocabulary):
            given = GivenPresence(given.values, vocabulary.concepts, given.sample_ids)
        given.aligned(vocabulary.concepts, given.sample_ids[:1])
        self.given = given
        self.vocabulary = vocabulary

    @classmethod
    def resolve(
        cls, presence: str | Path | SigmoidConstants | GivenPresence, vocabulary: ConceptVocabulary
    ) -> "OwnPresence | None":
        """Return the presence that an argument stands for, ``None`` if it is to come from an encoder.

        Args:
            presence: The presence itself or the file that holds it, see `read_presence`; anything else is ``None``.
            vocabulary: The concepts that labels are chosen from.

        Raises:
            FileNotFoundError:
                If there is no such file.
            ValueError:
                If the file is damaged or the presence of a concept is missing.

        """
        if isinstance(presence, Path) or (isinstance(presence, str) and presence.endswith(_FILES)):
            presence = read_presence(presence)
        return cls(presence, vocabulary) if isinstance(presence, GivenPresence) else None

    def check(self, sample_ids: Tensor) -> None:
        """Check that the presence in some images is there.

        Args:
            sample_ids: Sample id of each image, shape ``(images,)``.

        Raises:
            ValueError:
                If it is not; the message says what to do.

        """
        missing = sample_ids[~torch.isin(sample_ids, self.given.sample_ids)]
        if not len(missing):
            return
        place = locate(int(missing[0]))
        if place is None:
            raise ValueError(
                "Expected `presence` to be matched with images by their place in the dataset but got images in an "
                "order that is not known. Pass `probe=`, the dataset whose images the presence is of, or sample ids."
            )
        raise ValueError(
            f"Expected `presence` to hold every image but got none for {len(missing)} of {len(sample_ids)} images at "
            f"hand, such as image {place[1]} of dataloader {place[0]} (sample id {int(missing[0])}). Give a row for "
            "each image of the validation, or pass the dataset that it is of as `probe=`."
        )

    def of_images(self, sample_ids: Tensor) -> GivenPresence:
        """Return the presence of the vocabulary's concepts in some images.

        Args:
            sample_ids: Sample id of each image, shape ``(images,)``.

        Raises:
            ValueError:
                If an image is missing.

        """
        self.check(sample_ids)
        return self.given.aligned(self.vocabulary.concepts, sample_ids)
