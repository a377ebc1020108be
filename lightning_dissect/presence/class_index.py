"""Presence by annotation: images of one class each, and what is true of each class."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_dissect.presence.base import ALL_IMAGES


class ClassPresence:
    """Presence of concepts that go with the class of an image: the classes themselves, superclasses, attributes.

    Only the class of each image is kept, so that many images and concepts take little memory.

    Args:
        class_ids: Class of each image, shape ``(images,)``, any integer dtype.
        num_classes: Number of classes.
        members: Classes that each concept is present in, such as `ConceptHierarchy.members`; by default the concepts
            are the classes.

    Raises:
        ValueError:
            If a class of ``class_ids`` or ``members`` is none of ``num_classes``.

    Example:
        >>> beagle, husky, tabby = range(3)
        >>> dogs = ClassPresence(torch.tensor([tabby, husky, beagle]), 3, members=[[beagle, husky]])
        >>> dogs.columns(slice(None))
        tensor([[0.],
                [1.],
                [1.]], dtype=torch.float64)

    """

    def __init__(self, class_ids: Tensor, num_classes: int, members: Sequence[Sequence[int]] | None = None) -> None:
        if class_ids.ndim != 1 or class_ids.is_floating_point() or class_ids.dtype == torch.bool:
            raise ValueError(
                "Expected `class_ids` to hold one whole number per image "
                f"but got {class_ids.dtype} with shape {tuple(class_ids.shape)}."
            )
        self.members = [[index] for index in range(num_classes)] if members is None else members
        extremes = [int(end) for end in torch.aminmax(class_ids)] if len(class_ids) else []
        _check_classes("class_ids", extremes, num_classes)
        _check_classes("members", [index for classes in self.members for index in classes], num_classes)
        self.class_ids = class_ids.long()
        self.num_classes = num_classes
        self.shape = (len(class_ids), len(self.members))

    def columns(self, concepts: slice | Tensor, images: slice | Tensor = ALL_IMAGES) -> Tensor:
        """Return the presence of some concepts, 0 or 1; see `PresenceSource.columns`."""
        chosen = torch.arange(self.shape[1])[concepts if isinstance(concepts, slice) else concepts.cpu()].tolist()
        has_class = torch.zeros(len(chosen), self.num_classes, dtype=torch.float64)
        for row, concept in zip(has_class, chosen, strict=True):
            row[list(self.members[concept])] = 1
        return has_class.to(self.class_ids.device)[:, self.class_ids[images]].T


def _check_classes(name: str, classes: Sequence[int], num_classes: int) -> None:
    if classes and not 0 <= min(classes) <= max(classes) < num_classes:
        raise ValueError(
            f"Expected `{name}` to hold classes from 0 to {num_classes - 1} "
            f"but got values from {min(classes)} to {max(classes)}."
        )
