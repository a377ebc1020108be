"""Products of activations and image factors, summed exactly while images pass by."""

import torch
from torch import Tensor


class CrossProducts:
    """Means, spreads and products of some columns with others, over images that come in batches.

    Everything is summed in float64 about the means, so that little is lost to cancellation where values lie far from
    zero; batches and the states of several processes merge in any order with the same result to rounding.

    Args:
        factors: Number of columns that the values are multiplied with.
        columns: Number of columns of the values.
        device: Where the sums are kept.

    Attributes:
        count: Images so far.
        factor_means: Shape ``(factors,)``.
        means: Shape ``(columns,)``.
        energies: Sums of squared differences of the values from their means, shape ``(columns,)``.
        products: Sums of products of the differences of both from their means, shape ``(factors, columns)``.

    Example:
        >>> values, factors = torch.tensor([[1.0], [2.0], [6.0]]), torch.tensor([[1.0], [0.0], [2.0]])
        >>> sums = CrossProducts.of(values, factors)
        >>> sums.means.item(), sums.energies.item(), sums.products.item(), sums.raw_products().item()
        (3.0, 14.0, 4.0, 13.0)

    References:
        Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979.

    """

    def __init__(self, factors: int, columns: int, device: torch.device | str = "cpu") -> None:
        self.count = 0
        self.factor_means = torch.zeros(factors, dtype=torch.float64, device=device)
        self.means = torch.zeros(columns, dtype=torch.float64, device=device)
        self.energies = torch.zeros_like(self.means)
        self.products = torch.zeros(factors, columns, dtype=torch.float64, device=device)

    @classmethod
    def of(cls, values: Tensor, factors: Tensor, max_bytes: int = 2**24) -> "CrossProducts":
        """Return the sums over all images of two tensors.

        Args:
            values: Shape ``(images, columns)``, any dtype.
            factors: Shape ``(images, factors)``, any dtype.
            max_bytes: Most bytes that the float64 copies of some images may take.

        """
        sums = cls(factors.shape[1], values.shape[1], values.device)
        images = max(1, max_bytes // (8 * max(1, factors.shape[1] + values.shape[1])))
        for batch in zip(torch.split(values, images), torch.split(factors, images), strict=True):
            sums.update(*batch)
        return sums

    def update(self, values: Tensor, factors: Tensor) -> None:
        """Add a batch of images.

        Args:
            values: Shape ``(batch, columns)``, any dtype.
            factors: Shape ``(batch, factors)``, any dtype.

        """
        if not len(values):
            return
        means, factor_means = (part.mean(dim=0, dtype=torch.float64) for part in (values, factors))
        centred, centred_factors = values - means, factors - factor_means
        self.energies += torch.linalg.vector_norm(centred, dim=0).square_()
        self.products.addmm_(centred_factors.T, centred)
        self._shift(len(values), means, factor_means)

    def merge_state(self, other: "CrossProducts") -> None:
        """Add the images of another state, such as that of another process.

        Args:
            other: Sums of the same columns over other images.

        """
        if other.count:
            self.energies += other.energies
            self.products += other.products
            self._shift(other.count, other.means, other.factor_means)

    def raw_energies(self) -> Tensor:
        """Return the sums of squared values, shape ``(columns,)``."""
        return self.energies + self.count * self.means.square()

    def raw_products(self) -> Tensor:
        """Return the sums of products of values and factors, shape ``(factors, columns)``."""
        return torch.addr(self.products, self.factor_means, self.means, alpha=self.count)

    def _shift(self, count: int, means: Tensor, factor_means: Tensor) -> None:
        """Count images whose spreads have been added, and add what their means differ from ours."""
        total = self.count + count
        apart, factors_apart = means - self.means, factor_means - self.factor_means
        self.energies += apart.square() * (self.count * count / total)
        self.products.addr_(factors_apart, apart, alpha=self.count * count / total)
        self.means += apart * (count / total)
        self.factor_means += factors_apart * (count / total)
        self.count = total
