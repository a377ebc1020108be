"""A dataset's own annotations in the place of an encoder: the image x concept matrix without a text or image tower."""

import torch
from torch import Tensor

from lightning_dissect.presence import ClassPresence, GivenPresence, PresenceSource, UnionPresence
from lightning_dissect.probe.hierarchy import ConceptHierarchy
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
    if _are_classes(targets, vocabulary):
        return torch.nn.functional.one_hot(targets.long(), len(vocabulary)).to(torch.float32)
    return targets.to(torch.float32)


def annotation_presence(
    targets: Tensor, vocabulary: ConceptVocabulary, hierarchy: ConceptHierarchy | None = None
) -> PresenceSource:
    """Return presence by annotation, of the concepts of a vocabulary and, with a hierarchy, of all superclasses.

    A superclass is in an image if a concept that it takes in is: with memberships it is as likely as the likeliest of
    them.

    Args:
        targets: Class indices or memberships, see `annotation_matrix`.
        vocabulary: The names of the classes or attributes, in the order of the annotations.
        hierarchy: What is above them: the columns are then ``hierarchy.names``, the concepts before all else.

    Raises:
        ValueError:
            If ``targets`` is not what `annotation_matrix` takes or ``hierarchy`` is one of other concepts.

    Example:
        >>> vocabulary = ConceptVocabulary(("beagle", "husky", "tabby"))
        >>> hierarchy = ConceptHierarchy.of(vocabulary, {"beagle": "dog", "husky": "dog"})
        >>> presence = annotation_presence(torch.tensor([1, 2]), vocabulary, hierarchy)
        >>> hierarchy.names[3], presence.columns(slice(3, 4))
        ('dog', tensor([[1.],
                [0.]], dtype=torch.float64))

    """
    if hierarchy is not None and hierarchy.names[: hierarchy.num_concepts] != vocabulary.concepts:
        raise ValueError(
            f"Expected `hierarchy` to be one of the {len(vocabulary)} concepts of {vocabulary.name!r} "
            f"but got one of {hierarchy.num_concepts} others. Make it with `ConceptHierarchy.of(vocabulary)`."
        )
    if _are_classes(targets, vocabulary):
        return ClassPresence(targets, len(vocabulary), None if hierarchy is None else hierarchy.members)
    attributes = GivenPresence(targets, vocabulary.concepts)
    return attributes if hierarchy is None else UnionPresence(attributes, hierarchy.members, "maximum")


def _are_classes(targets: Tensor, vocabulary: ConceptVocabulary) -> bool:
    """Return whether annotations are class indices, not memberships, once it is sure that they are one of the two."""
    count = len(vocabulary)
    if any(vocabulary.dropped.get(reason, 0) for reason in ("blank", "duplicate")):
        raise ValueError(
            f"Expected `vocabulary` to name the dataset's classes one by one but got {vocabulary.name!r}, which had "
            f"blank or repeated entries ({dict(vocabulary.dropped)}): pass one distinct name per class, in class order."
        )
    if targets.ndim == 1 and not (targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool):
        _check_range(targets, count - 1, "class indices below the number of concepts", vocabulary)
        return True
    if targets.ndim == 2 and targets.shape[1] == count and not targets.is_complex():
        _check_range(targets, 1, "memberships between 0 and 1", vocabulary)
        return False
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
