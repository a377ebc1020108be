import numpy as np
import torch

from lightning_dissect.similarity.cubed_columns import cube, cubed_columns


def test_loop_and_function_cube(activations, dtype):
    columns = activations.to(dtype)
    centred = columns.double() - columns.double().mean(dim=0)
    expected = (centred**3 / (centred**3).norm(dim=0).clamp(min=500.0)).float()
    torch.testing.assert_close(cubed_columns(columns, 500.0), expected, rtol=1e-6, atol=1e-9)
    cubed = np.empty((120, 7), np.float32)
    cube(columns.double().numpy(), 500.0, cubed)
    torch.testing.assert_close(torch.from_numpy(cubed), expected, rtol=1e-6, atol=1e-9)
