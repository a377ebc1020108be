"""Where concept presence comes from, whatever it is made of."""

from typing import Protocol, runtime_checkable

from torch import Tensor

ALL_IMAGES = slice(None)


@runtime_checkable
class PresenceSource(Protocol):
    """The probability that each concept is in each image, a few concepts at a time.

    The matrix of all images and concepts need not be whole anywhere. `ConceptPresence` and `SigmoidPresence` make it
    of an encoder's similarities, `ClassPresence` of class indices, `GivenPresence` holds a matrix that is there
    already, and `UnionPresence` makes the presence of superclasses of any of these.

    Example:
        >>> import torch
        >>> class Everywhere:
        ...     shape = (2, 3)
        ...     def columns(self, concepts: slice | Tensor, images: slice | Tensor = ALL_IMAGES) -> Tensor:
        ...         return torch.ones(self.shape, dtype=torch.float64)[images][:, concepts]
        >>> isinstance(Everywhere(), PresenceSource)
        True

    """

    @property
    def shape(self) -> tuple[int, int]:
        """Number of images and of concepts. A plain attribute will do."""
        ...

    def columns(self, concepts: slice | Tensor, images: slice | Tensor = ALL_IMAGES) -> Tensor:
        """Return the presence of some concepts.

        Args:
            concepts: Which concepts, as a slice or as indices of shape ``(chosen,)``.
            images: Which images, in the same way; all of them by default.

        Returns:
            Probabilities in ``[0, 1]``, float64, shape ``(images, chosen)``. The caller may write to them.

        """
        ...
