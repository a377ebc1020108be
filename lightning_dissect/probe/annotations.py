"""A dataset's own annotations in the place of an encoder: the image x concept matrix without a text or image tower."""

import torch
from torch import Tensor

from lightning_dissect.probe.vocabulary import ConceptVocabulary

_REMEDY = "Pass `target_fn`, a function from the batch to such a tensor, or a vocabulary with one name per class."


def annotation_matrix(targets: Tensor, vocabulary: ConceptVocabulary) -> Tensor:
    """Return targets as the matrix that otherwise comes from an image-text encoder.

    Args:
        targets: Class indices, shape ``(images,)``, any integer dtype, or memberships in ``[0, 1]``, shape
            ``(images, concepts)``, any dtype.
        vocabulary: The names of the classes, in the order of the indices.

    Returns:
        Shape ``(images, concepts)``, float32, on the device of ``targets``: one-hot rows or the memberships.

    Raises:
        ValueError:
            If ``targets`` has another shape or dtype, a value out of range, or the vocabulary has lost the order of the
            classes because duplicates were dropped.

    Example:
        >>> annotation_matrix(torch.tensor([1, 0]), ConceptVocabulary(("cat", "dog")))
        tensor([[0., 1.],
                [1., 0.]])

    """
    count = len(vocabulary)
    if any(vocabulary.dropped.get(reason, 0) for reason in ("blank", "duplicate")):
        raise ValueError(
            f"Expected `vocabulary` to name the dataset's classes one by one but got {vocabulary.name!r}, which had "
            f"blank or repeated entries ({dict(vocabulary.dropped)}): pass one distinct name per class, in class order."
        )
    if targets.ndim == 1 and not (targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool):
        _check_range(targets, count - 1, "class indices below the number of concepts", vocabulary)
        return torch.nn.functional.one_hot(targets.long(), count).to(torch.float32)
    if targets.ndim == 2 and targets.shape[1] == count and not targets.is_complex():
        _check_range(targets, 1, "memberships between 0 and 1", vocabulary)
        return targets.to(torch.float32)
    raise ValueError(
        f"Expected `targets` to be class indices of shape (images,) or memberships of shape (images, {count}), one "
        f"column per concept of the vocabulary {vocabulary.name!r}, but got {targets.dtype} with shape "
        f"{tuple(targets.shape)}. {_REMEDY}"
    )


def _check_range(targets: Tensor, largest: int, meaning: str, vocabulary: ConceptVocabulary) -> None:
    if not bool(((targets >= 0) & (targets <= largest)).all()):
        raise ValueError(
            f"Expected `targets` to hold {meaning} ({len(vocabulary)} in the vocabulary {vocabulary.name!r}) but got "
            f"values from {targets.min().item()} to {targets.max().item()}. {_REMEDY}"
        )
