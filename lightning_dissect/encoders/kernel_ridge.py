"""Kernel ridge regression in closed form."""

import torch
from torch import Tensor, nn


class KernelRidge(nn.Module):
    r"""Maps points to targets by ridge regression with a Gaussian kernel.

    .. math:: f(x) = \sum_i k(x, x_i) \, a_i, \quad k(x, y) = \exp(-\gamma \|x - y\|^2), \quad
              A = (K + \lambda I)^{-1} Y

    The coefficients are solved for in float64, once; nothing is trained.

    Args:
        anchors: The points that are known, shape ``(anchors, inputs)``.
        targets: What they map to, shape ``(anchors, outputs)``.
        gamma: Inverse width of the kernel.
        ridge: Weight of the penalty, λ.

    Example:
        >>> anchors = torch.eye(3)
        >>> KernelRidge(anchors, anchors, gamma=1.0, ridge=1e-6)(anchors).round(decimals=3)
        tensor([[1., 0., 0.],
                [0., 1., 0.],
                [0., 0., 1.]])

    References:
        Saunders, Gammerman and Vovk, Ridge regression learning algorithm in dual variables, ICML 1998.

    """

    anchors: Tensor
    coefficients: Tensor

    def __init__(self, anchors: Tensor, targets: Tensor, gamma: float, ridge: float) -> None:
        super().__init__()
        self.gamma = gamma
        kernel = gaussian_kernel(anchors.double(), anchors.double(), gamma)
        factor = torch.linalg.cholesky(kernel + ridge * torch.eye(len(anchors), dtype=torch.float64))
        coefficients = torch.cholesky_solve(targets.double(), factor)
        # Derived from the other weights, and to the last digit from the number of threads: no part of the state.
        self.register_buffer("anchors", anchors, persistent=False)
        self.register_buffer("coefficients", coefficients.to(targets.dtype), persistent=False)

    def forward(self, points: Tensor) -> Tensor:
        """Map points.

        Args:
            points: Shape ``(points, inputs)``.

        Returns:
            Shape ``(points, outputs)``.

        """
        return gaussian_kernel(points, self.anchors, self.gamma) @ self.coefficients


def gaussian_kernel(left: Tensor, right: Tensor, gamma: float) -> Tensor:
    """Return ``exp(-gamma * distance ** 2)`` for all pairs.

    Args:
        left: Shape ``(left, inputs)``.
        right: Shape ``(right, inputs)``.
        gamma: Inverse width of the kernel.

    Returns:
        Shape ``(left, right)``.

    """
    norms = left.square().sum(dim=1, keepdim=True) + right.square().sum(dim=1)
    return torch.exp(-gamma * (norms - 2 * left @ right.T).clamp(min=0))
