"""The image x concept matrix, made in parts from its factors where it is too large to be whole."""

from functools import cached_property

from torch import Tensor


class ConceptMatrix:
    """Image-text similarities of many images and concepts, which need not be whole in memory.

    An encoder's matrix is the product of one vector per image and one per concept. Parts are multiplied when they are
    asked for, unless the whole fits ``max_bytes``: then it is made once, at the first use, and parts are views of it.

    Args:
        image_factors: One vector per image, shape ``(images, dimensions)``, floating.
        concept_factors: One vector per concept, shape ``(concepts, dimensions)``, of the same dtype and device.
        max_bytes: Most bytes that the whole matrix may take; 0 never makes it.

    Raises:
        ValueError:
            If the factors do not fit each other.

    Example:
        >>> import torch
        >>> matrix = ConceptMatrix(torch.eye(3), torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
        >>> matrix.shape, matrix.columns(slice(1, 2), torch.tensor([2, 0]))
        ((3, 2), tensor([[6.],
                [4.]]))

    """

    def __init__(self, image_factors: Tensor, concept_factors: Tensor, max_bytes: int = 0) -> None:
        if image_factors.ndim != 2 or concept_factors.ndim != 2 or image_factors.shape[1] != concept_factors.shape[1]:
            raise ValueError(
                "Expected `image_factors` and `concept_factors` of shapes (images, dimensions) and "
                f"(concepts, dimensions) but got {tuple(image_factors.shape)} and {tuple(concept_factors.shape)}."
            )
        self.image_factors = image_factors
        self.concept_factors = concept_factors
        self.shape = (len(image_factors), len(concept_factors))
        self.device = image_factors.device
        self.is_kept = self.shape[0] * self.shape[1] * image_factors.element_size() <= max_bytes

    @classmethod
    def of(cls, values: "Tensor | ConceptMatrix") -> "ConceptMatrix":
        """Return a matrix that holds given values, or the matrix itself.

        Args:
            values: Shape ``(images, concepts)``.

        """
        return values if isinstance(values, ConceptMatrix) else WholeConceptMatrix(values)

    @property
    def is_factored(self) -> bool:
        """Whether ``image_factors`` and ``concept_factors`` say all there is, in few dimensions."""
        return True

    def columns(self, concepts: slice | Tensor, images: slice | Tensor = slice(None)) -> Tensor:
        """Return the similarities of some concepts.

        Args:
            concepts: Which concepts, as a slice or as indices of shape ``(chosen,)``.
            images: Which images, in the same way; all of them by default.

        Returns:
            Shape ``(images, chosen)``; do not write to it. Chosen by indices, the columns lie one after the other in
            memory, so that what is done to each of them is fast.

        """
        if self.is_factored and isinstance(concepts, Tensor):
            return (self.concept_factors[concepts] @ self.image_factors[images].T).T
        if self.is_kept:
            return self.whole[:, concepts][images]
        return self.image_factors[images] @ self.concept_factors[concepts].T

    def rows(self, images: slice | Tensor) -> Tensor:
        """Return the similarities of some images with all concepts.

        Args:
            images: Which images, as a slice or as indices of shape ``(chosen,)``.

        Returns:
            Shape ``(chosen, concepts)``; do not write to it.

        """
        return self.columns(slice(None), images)

    def of_images(self, images: Tensor) -> "ConceptMatrix":
        """Return the matrix of some images.

        Args:
            images: Indices of shape ``(chosen,)``.

        """
        if not self.is_factored:
            return WholeConceptMatrix(self.whole[images])
        return ConceptMatrix(self.image_factors[images], self.concept_factors)

    @cached_property
    def whole(self) -> Tensor:
        """All similarities, shape ``(images, concepts)``; once made they stay, whatever they take."""
        self.is_kept = True
        return self.image_factors @ self.concept_factors.T


class WholeConceptMatrix(ConceptMatrix):
    """Similarities that are there already, such as a dataset's annotations.

    Args:
        values: Shape ``(images, concepts)``, floating.

    Example:
        >>> import torch
        >>> WholeConceptMatrix(torch.eye(2)).rows(slice(0, 1))
        tensor([[1., 0.]])

    """

    def __init__(self, values: Tensor) -> None:
        self.image_factors = self.concept_factors = values.new_empty(0, 0)
        self.shape = (values.shape[0], values.shape[1])
        self.device = values.device
        self.is_kept = True
        self.whole = values

    @property
    def is_factored(self) -> bool:
        """Nothing is known of factors."""
        return False
