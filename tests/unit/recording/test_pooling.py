from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from lightning_dissect.recording import pooling as module
from lightning_dissect.recording.pooling import (
    POOLINGS,
    AutoPooling,
    ClsPooling,
    MaxPooling,
    MeanPooling,
    Pooling,
    fitted,
    is_built_in,
)

MAPS = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0))
VIDEO = torch.randn(4, 3, 2, 5, 6, generator=torch.Generator().manual_seed(1))
TOKENS = torch.randn(4, 3, 7, generator=torch.Generator().manual_seed(2))
FLAT = torch.randn(4, 3, generator=torch.Generator().manual_seed(3))


def test_the_registry_holds_the_built_ins() -> None:
    built_in = {"auto": AutoPooling(), "cls": ClsPooling(), "max": MaxPooling(), "mean": MeanPooling()}
    assert set(built_in) <= set(POOLINGS)
    for name, pooling in built_in.items():
        assert POOLINGS.resolve(name) == pooling
        assert isinstance(pooling, Pooling)
        assert is_built_in(pooling)


@pytest.mark.parametrize(
    ("pooling", "output", "expected"),
    [
        (MeanPooling(), MAPS, MAPS.mean(dim=(2, 3))),
        (MeanPooling(special_tokens=2), MAPS, MAPS.mean(dim=(2, 3))),
        (MeanPooling(), VIDEO, VIDEO.mean(dim=(2, 3, 4))),
        (MeanPooling(), TOKENS, TOKENS.mean(dim=2)),
        (MeanPooling(special_tokens=2), TOKENS, TOKENS[:, :, 2:].mean(dim=2)),
        (MaxPooling(), MAPS, MAPS.amax(dim=(2, 3))),
        (MaxPooling(), VIDEO, VIDEO.amax(dim=(2, 3, 4))),
        (MaxPooling(special_tokens=2), TOKENS, TOKENS[:, :, 2:].amax(dim=2)),
        (ClsPooling(), TOKENS, TOKENS[:, :, 0]),
        (AutoPooling(), MAPS, MAPS.mean(dim=(2, 3))),
        (AutoPooling(special_tokens=1), MAPS, MAPS.mean(dim=(2, 3))),
        (AutoPooling(), TOKENS, TOKENS.mean(dim=2)),
        (AutoPooling(special_tokens=1), TOKENS, TOKENS[:, :, 0]),
        (AutoPooling(special_tokens=5, class_token=True), TOKENS, TOKENS[:, :, 0]),
        (AutoPooling(special_tokens=4, class_token=False), TOKENS, TOKENS[:, :, 4:].mean(dim=2)),
        (AutoPooling(special_tokens=0), TOKENS, TOKENS.mean(dim=2)),
    ],
)
def test_values(pooling: Pooling, output: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(pooling.pool(output), expected)


@pytest.mark.parametrize("name", ["auto", "cls", "max", "mean"])
def test_outputs_without_positions_are_unchanged(name: str) -> None:
    assert torch.equal(POOLINGS.resolve(name).pool(FLAT), FLAT)


@pytest.mark.parametrize("pooling", [MeanPooling(), MaxPooling()])
def test_nan_is_seen(pooling: Pooling) -> None:
    output = MAPS.clone()
    output[1, 2, 0, 0] = torch.nan
    assert pooling.pool(output).isnan().nonzero().tolist() == [[1, 2]]


@pytest.mark.parametrize("pooling", [MeanPooling(), MaxPooling(), AutoPooling()])
def test_memory_layout_does_not_matter(pooling: Pooling) -> None:
    torch.testing.assert_close(
        pooling.pool(MAPS.to(memory_format=torch.channels_last)), pooling.pool(MAPS), rtol=1e-6, atol=1e-7
    )


def test_maps_have_no_class_token() -> None:
    with pytest.raises(ValueError, match=r"sequence of tokens for pooling 'cls' but got a map of shape \(4, 3, 5, 6\)"):
        ClsPooling().pool(MAPS)


@pytest.mark.parametrize("pooling", [MeanPooling(special_tokens=7), MaxPooling(special_tokens=9)])
def test_something_must_be_left(pooling: Pooling) -> None:
    with pytest.raises(ValueError, match=r"more than `special_tokens` = \d tokens but got 7"):
        pooling.pool(TOKENS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channel_axis": 0}, "`channel_axis` to be a dimension other than 0"),
        ({"channel_axis": "2"}, "`channel_axis` to be a dimension other than 0 or None but got '2'"),
        ({"special_tokens": -1}, "`special_tokens` to be a number from 0"),
        ({"special_tokens": 1.5}, "`special_tokens` to be a number from 0 or None but got 1.5"),
    ],
)
@pytest.mark.parametrize("name", ["mean", "max", "cls", "auto"])
def test_rejects_bad_arguments(name: str, arguments: dict[str, int], message: str) -> None:
    kind = type(POOLINGS.resolve(name))
    with pytest.raises(ValueError, match=message):
        kind(**arguments)


class Plain:
    def pool(self, output: Tensor) -> Tensor:
        return output.flatten(2).std(dim=2)


@dataclass(frozen=True)
class Trimmed:
    special_tokens: int | None = None
    power: float | None = None

    def pool(self, output: Tensor) -> Tensor:
        return output[:, :, self.special_tokens or 0 :].mean(dim=2)


def test_only_open_fields_are_filled_in() -> None:
    assert fitted(AutoPooling(), special_tokens=2, class_token=False) == AutoPooling(None, 2, class_token=False)
    assert fitted(AutoPooling(special_tokens=0), special_tokens=2) == AutoPooling(special_tokens=0)
    assert fitted(Trimmed(), special_tokens=2, class_token=True) == Trimmed(special_tokens=2)
    plain = Plain()
    assert fitted(plain, special_tokens=2) is plain
    assert not is_built_in(plain)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("elements", [1, 400, 2**18])
def test_other_dtypes_are_summed_up_in_float32(
    dtype: torch.dtype, memory_format: torch.memory_format, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ELEMENTS_IN_CACHE", elements)
    generator = torch.Generator().manual_seed(0)
    maps = (torch.randn(5, 4, 6, 7, generator=generator) * 100 - 50).round().to(dtype).to(memory_format=memory_format)
    found = MeanPooling().pool(maps)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, maps.double().mean((2, 3)).float(), rtol=1e-6, atol=1e-5)
    assert torch.equal(MaxPooling().pool(maps).double(), maps.double().amax((2, 3)))
    assert MeanPooling().pool(maps[:0]).shape == (0, 4)
