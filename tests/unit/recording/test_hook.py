import copy
import pickle
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from lightning_dissect.recording.hook import LayerHook, drop_stale_hooks
from lightning_dissect.recording.layers import SelectedLayer
from lightning_dissect.recording.pooling import AutoPooling, MeanPooling, Pooling


class Returns(nn.Module):
    """Returns what it is given."""

    def forward(self, output: object) -> object:
        return output


def hook_on(module: nn.Module, pooling: Pooling | None = None) -> LayerHook:
    hook = LayerHook(SelectedLayer("layer", module, pooling or AutoPooling()))
    module.register_forward_hook(hook)
    hook.active = True
    return hook


def recorded(outputs: list[object], rows: int, pooling: Pooling | None = None) -> Tensor | None:
    module = Returns()
    hook = hook_on(module, pooling)
    hook.start_batch(rows)
    for output in outputs:
        module(output)
    values = hook.take()
    assert hook.failure is None, hook.failure
    return values


def failure(output: object, rows: int = 4, pooling: Pooling | None = None) -> str:
    module = Returns()
    hook = hook_on(module, pooling)
    hook.start_batch(rows)
    assert module(output) is output
    assert hook.take() is None
    assert hook.failure is not None
    return hook.failure


MAPS = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))


def test_one_call_is_the_batch() -> None:
    values = recorded([MAPS], rows=4)
    assert values is not None
    assert torch.equal(values, MAPS.mean((2, 3)))


def test_calls_that_add_up_to_the_batch_are_joined() -> None:
    values = recorded([MAPS[:1], MAPS[1:3], MAPS[3:]], rows=4)
    assert values is not None
    torch.testing.assert_close(values, MAPS.mean((2, 3)))


def test_of_calls_with_the_whole_batch_the_last_counts() -> None:
    values = recorded([MAPS * 2, MAPS * 3, MAPS], rows=4)
    assert values is not None
    assert torch.equal(values, MAPS.mean((2, 3)))


@pytest.mark.parametrize(
    ("outputs", "counts"), [([MAPS[:3]], r"\[3\]"), ([MAPS, MAPS[:2]], r"\[4, 2\]"), ([torch.ones(16, 3)], r"\[16\]")]
)
def test_other_numbers_of_rows_are_an_error(outputs: list[Tensor], counts: str) -> None:
    with pytest.raises(ValueError, match=f"to have 4 rows, one per image, but its calls gave {counts}"):
        recorded(list(outputs), rows=4)


def test_no_call_gives_nothing() -> None:
    assert recorded([], rows=4) is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.bool])
@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5, 5), (4,)])
def test_every_real_dtype_becomes_float32(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    values = recorded([torch.ones(shape, dtype=dtype)], rows=4)
    assert values is not None
    assert torch.equal(values, torch.ones(4, 1 if len(shape) == 1 else 3))


def test_reduction_is_exact_where_half_precision_is_not() -> None:
    maps = torch.full((1, 1, 64, 64), 1000.0, dtype=torch.float16)
    values = recorded([maps], rows=1)
    assert values is not None
    assert values.item() == 1000.0
    assert maps.sum().isinf()


def test_autocast_is_off_in_the_pooling() -> None:
    seen = []

    class Product:
        def pool(self, output: Tensor) -> Tensor:
            seen.append((torch.is_autocast_enabled("cpu"), torch.is_grad_enabled()))
            return (output.flatten(2) @ torch.ones(25, 1)).squeeze(2)

    with torch.autocast("cpu", torch.bfloat16):
        values = recorded([MAPS.bfloat16()], rows=4, pooling=Product())
    assert values is not None
    assert values.dtype == torch.float32
    assert seen == [(False, False)]


def test_values_are_copied() -> None:
    output = torch.ones(4, 3)
    module = Returns()
    hook = hook_on(module)
    hook.start_batch(4)
    module(output).mul_(0)
    values = hook.take()
    assert values is not None
    assert torch.equal(values, torch.ones(4, 3))


class InPlace:
    def pool(self, output: Tensor) -> Tensor:
        return output.zero_().flatten(2).sum(dim=2)


def test_a_pooling_cannot_change_the_output() -> None:
    output = MAPS.clone()
    recorded([output], rows=4, pooling=InPlace())
    assert torch.equal(output, MAPS)


def test_a_pooling_is_told_what_was_found() -> None:
    found: list[object] = []

    @dataclass(frozen=True)
    class Curious:
        special_tokens: int | None = None
        class_token: bool | None = None

        def pool(self, output: Tensor) -> Tensor:
            found.append((self.special_tokens, self.class_token, tuple(output.shape)))
            return output[:, :, 0]

    recorded([torch.ones(4, 17, 7)], rows=4, pooling=Curious())
    assert found == [(1, True, (4, 7, 17))]


def test_the_channel_axis_of_the_user_counts() -> None:
    values = recorded([MAPS], rows=4, pooling=MeanPooling(channel_axis=-1))
    assert values is not None
    torch.testing.assert_close(values, MAPS.mean((1, 2)))


class Raises:
    def pool(self, output: Tensor) -> Tensor:
        raise KeyError("oh")


class Forgets:
    def pool(self, output: Tensor) -> Tensor:
        return output


class Nothing:
    def pool(self, output: Tensor) -> None:
        return None


@pytest.mark.parametrize(
    ("output", "pooling", "message"),
    [
        (torch.ones(4, 3, dtype=torch.complex64), None, "expected a real output but got torch.complex64"),
        (None, None, "hold a tensor with a dimension for the images but got NoneType"),
        ("text", None, "got str"),
        (MAPS, Raises(), "KeyError: 'oh'"),
        (MAPS, Forgets(), r"`pool` to return a tensor of shape \(4, neurons\) but got shape \(4, 3, 5, 5\)"),
        (MAPS, Nothing(), "but got NoneType"),
        (MAPS, MeanPooling(channel_axis=7), "`channel_axis` to be a dimension after the images"),
    ],
)
def test_failures_do_not_reach_the_forward(output: object, pooling: Pooling | None, message: str) -> None:
    told = failure(output, pooling=pooling)
    assert told.startswith("Layer 'layer' cannot be recorded: ")
    with pytest.raises(ValueError, match=message):
        raise ValueError(told)


def test_the_first_failure_stays_and_ends_the_recording() -> None:
    module = Returns()
    hook = hook_on(module)
    hook.start_batch(4)
    module(None)
    module(MAPS)
    assert hook.take() is None
    hook.fail(ValueError("later"))
    assert hook.failure is not None
    assert "NoneType" in hook.failure
    hook.reset()
    assert hook.failure is None
    assert not hook.fired


def test_hooks_are_inert_outside_a_batch_and_when_retired() -> None:
    module = Returns()
    hook = hook_on(module)
    module(MAPS)
    assert not hook.fired
    hook.start_batch(4)
    hook.retire()
    module(MAPS)
    assert not hook.fired
    assert hook.take() is None


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda hook: pickle.loads(pickle.dumps(hook))])  # noqa: S301
def test_copies_are_retired(copied: object) -> None:
    hook = hook_on(Returns())
    hook.start_batch(4)
    hook(nn.Identity(), (), MAPS)
    clone = copied(hook)  # type: ignore[operator]
    assert not clone.active
    assert clone.take() is None
    assert clone.pooling == hook.pooling
    assert hook.take() is not None


def test_only_stale_hooks_are_dropped() -> None:
    module = Returns()
    active, stale, foreign = hook_on(module), hook_on(module), module.register_forward_hook(lambda *_: None)
    stale.retire()
    drop_stale_hooks(module)
    assert next(iter(module._forward_hooks.values())) is active
    assert len(module._forward_hooks) == 2
    assert foreign.id in module._forward_hooks


def test_devices_without_autocast() -> None:
    values = recorded([torch.ones(4, 3, 5, 5, device="meta")], rows=4)
    assert values is not None
    assert (values.device.type, values.shape) == ("meta", (4, 3))


def test_every_shape_has_a_layout_of_its_own() -> None:
    module = Returns()
    hook = hook_on(module)
    for shape in ((4, 3), (4, 3, 5, 5), (2, 3, 5, 5), (2, 3, 8, 8), (4, 3)):
        hook.start_batch(shape[0])
        module(torch.ones(shape))
        values = hook.take()
        assert values is not None
        assert torch.equal(values, torch.ones(shape[:2]))
