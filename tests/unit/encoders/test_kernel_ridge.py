import numpy as np
import torch
from sklearn import kernel_ridge

from lightning_dissect.encoders.kernel_ridge import KernelRidge, gaussian_kernel


def test_agrees_with_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    anchors, targets, points = (torch.randn(size, generator=generator) for size in ((30, 5), (30, 4), (7, 5)))
    reference = kernel_ridge.KernelRidge(alpha=0.1, kernel="rbf", gamma=0.3).fit(anchors.numpy(), targets.numpy())
    ours = KernelRidge(anchors, targets, gamma=0.3, ridge=0.1)(points)
    np.testing.assert_allclose(ours.numpy(), reference.predict(points.numpy()), atol=1e-4)


def test_kernel_by_definition() -> None:
    left, right = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    torch.testing.assert_close(
        gaussian_kernel(left, right, 0.5), torch.tensor([[1.0, np.exp(-2.5)]], dtype=torch.float32)
    )


def test_what_is_derived_is_no_state() -> None:
    assert not KernelRidge(torch.eye(2), torch.eye(2), 1.0, 0.1).state_dict()
