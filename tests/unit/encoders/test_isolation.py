import logging

import pytest
import torch

from lightning_dissect.encoders.isolation import isolated_inference, isolated_loading, quiet_root_logger


def test_loading_ignores_and_restores_the_callers_defaults() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        state = torch.get_rng_state()
        with torch.inference_mode(), torch.device("meta"), torch.autocast("cpu"), isolated_loading():
            layer = torch.nn.Linear(3, 3)
            assert layer(torch.ones(3)).dtype == torch.float32
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert layer.weight.device.type == "cpu"
    assert not layer.weight.is_inference()
    assert torch.equal(torch.get_rng_state(), state)


def test_loading_restores_the_dtype_after_a_fault() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(KeyError), isolated_loading():
            raise KeyError
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_inference_is_free_of_autocast_and_gradients() -> None:
    layer = torch.nn.Linear(2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        with isolated_inference(torch.device("cpu")):
            output = layer(torch.ones(1, 2))
        assert layer(torch.ones(1, 2)).dtype == torch.bfloat16
    assert output.dtype == torch.float32
    assert not output.is_inference()
    assert not output.requires_grad


def test_only_errors_of_the_package_are_dropped(
    capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    root = logging.getLogger()
    before = list(root.handlers), list(root.filters)
    with quiet_root_logger("encoders"):
        logging.error("from here")
        logging.warning("warned")
    with quiet_root_logger("elsewhere"):
        logging.error("from another package")
    assert caplog.messages == ["warned", "from another package"]
    assert (root.handlers, root.filters) == before
