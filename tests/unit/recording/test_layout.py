from collections import OrderedDict

import pytest
import torch
from torch import Tensor

from lightning_dissect.recording.layout import Layout, find_layout, main_tensor
from lightning_dissect.recording.traits import LayerTraits


def traits(kind: str | None = None, *widths: int, **others: object) -> LayerTraits:
    return LayerTraits(kind=kind, widths=frozenset(widths), **others)  # type: ignore[arg-type]


WANTED = torch.arange(6.0).reshape(2, 3)
OTHER = torch.zeros(2, 5)


@pytest.mark.parametrize(
    "output",
    [
        WANTED,
        (WANTED, OTHER),
        [None, WANTED],
        (None, {"a": WANTED, "b": OTHER}),
        {"loss": torch.tensor(1.0), "logits": WANTED, "hidden_states": (OTHER,)},
        OrderedDict(pooler_output=OTHER, last_hidden_state=WANTED),
        ((WANTED, OTHER), OTHER),
        {"last_hidden_state": None, "x": WANTED},
    ],
)
def test_main_tensor(output: object) -> None:
    assert main_tensor(output) is WANTED


def test_a_vector_is_one_neuron() -> None:
    assert main_tensor(torch.ones(4)).shape == (4, 1)


@pytest.mark.parametrize("output", [None, (), "text", {"loss": torch.tensor(1.0)}, torch.tensor(1.0)])
def test_no_tensor_for_the_images(output: object) -> None:
    with pytest.raises(ValueError, match="hold a tensor with a dimension for the images but got"):
        main_tensor(output)


FIRST, LAST = traits("first"), traits("last")


@pytest.mark.parametrize(
    ("shape", "told", "channel_axis"),
    [
        ((8, 10), FIRST, 1),
        # the layer's own type decides
        ((8, 7, 7, 5), LayerTraits(fixed="first"), 1),
        ((8, 5, 7, 7), LayerTraits(fixed="last"), 3),
        ((8, 16, 100), LayerTraits(fixed="first"), 1),
        ((8, 3, 4, 5, 6), LayerTraits(fixed="first"), 1),
        ((8, 3, 4, 5, 6), LayerTraits(fixed="last"), 4),
        # equal spatial sizes decide where nothing else is known
        ((8, 96, 7, 7), traits(), 1),
        ((8, 7, 7, 96), traits(), 3),
        ((8, 32, 4, 7, 7), traits(), 1),
        ((8, 4, 7, 7, 32), traits(), 4),
        # ResNet, non-square, and with as many channels as rows
        ((8, 64, 56, 48), traits("first", 64), 1),
        ((8, 64, 64, 48), traits("first", 64), 1),
        ((8, 64, 64, 64), traits("first", 64), 1),
        # ResNet stage whose width and inner width are channels and height
        ((8, 256, 64, 64), traits("first", 64, 256), 1),
        # DenseNet: concatenated channels are no module's width, the height is
        ((8, 256, 32, 32), traits("first", 128, 32), 1),
        # ConvNeXt block: convolution and linear layers, channels first outside, last inside
        ((8, 96, 56, 56), traits(None, 96, 384), 1),
        ((8, 96, 56, 64), traits(None, 96, 384), 1),
        ((8, 56, 64, 384), traits(None, 96, 384), 3),
        # Swin block
        ((8, 56, 56, 96), traits("last", 96, 384), 3),
        ((8, 56, 48, 96), traits("last", 96, 384), 3),
        ((8, 96, 96, 96), traits("last", 96, 384), 3),
        # patch embedding that is a convolution and a permutation
        ((8, 56, 56, 96), traits("first", 96), 3),
        # nothing is known: maps have their channels first, tokens last
        ((8, 5, 6, 7), traits(), 1),
        ((8, 5, 6), traits(), 2),
        # 1-D convolutions and tokens
        ((8, 64, 100), traits("first", 64), 1),
        ((8, 100, 64), traits("last", 64), 2),
        ((8, 196, 192), traits("first", 192), 2),
        ((8, 512, 49), traits(None, 512), 1),
    ],
)
def test_channel_axis(shape: tuple[int, ...], told: LayerTraits, channel_axis: int) -> None:
    assert find_layout(shape, rows=8, traits=told).channel_axis == channel_axis


@pytest.mark.parametrize(
    ("shape", "sequence_first", "batch_axis"),
    [
        ((8, 5, 16), None, 0),
        ((5, 8, 16), None, 1),
        ((8, 5, 16), True, 0),
        ((5, 8, 16), True, 1),
        ((8, 8, 16), True, 1),
        ((8, 8, 16), False, 0),
        ((8, 8, 16), None, 0),
        ((4, 8, 16), False, 0),
        ((5, 4, 16), True, 1),
        ((5, 4, 16), None, 0),
    ],
)
def test_batch_axis(shape: tuple[int, ...], sequence_first: bool | None, batch_axis: int) -> None:
    told = LayerTraits(fixed="last", sequence_first=sequence_first)
    assert find_layout(shape, rows=8, traits=told).batch_axis == batch_axis


@pytest.mark.parametrize(
    ("tokens", "told", "expected"),
    [
        (196, None, (0, False)),
        (197, None, (1, True)),
        (198, None, (0, False)),
        (17, None, (1, True)),
        (10, None, (0, False)),
        (77, None, (0, False)),
        (1, None, (0, False)),
        (197, (1, True), (1, True)),
        (225, (2, True), (0, False)),
        (225, (1, True), (0, False)),
        (211, (1, True), (1, True)),
        (50, (1, True), (1, True)),
        (196, (1, True), (0, False)),
        (200, (4, False), (4, False)),
        (1, (1, True), (0, False)),
        (60, (0, False), (0, False)),
    ],
)
def test_special_tokens(tokens: int, told: tuple[int, bool] | None, expected: tuple[int, bool]) -> None:
    special_tokens, class_token = told or (None, None)
    known = LayerTraits(fixed="last", special_tokens=special_tokens, class_token=class_token)
    layout = find_layout((8, tokens, 16), rows=8, traits=known)
    assert (layout.special_tokens, layout.class_token) == expected


def test_the_user_knows_better() -> None:
    assert find_layout((8, 7, 7, 96), 8, LayerTraits(), channel_axis=1).channel_axis == 1
    assert find_layout((8, 96, 7, 7), 8, LayerTraits(fixed="first"), channel_axis=-1).channel_axis == 3
    assert find_layout((8, 50, 64), 8, LayerTraits(), channel_axis=1) == Layout(0, 1, 0, class_token=False)
    layout = find_layout((8, 60, 64), 8, LayerTraits(), special_tokens=3)
    assert (layout.special_tokens, layout.class_token) == (3, True)
    registers = find_layout((8, 60, 64), 8, LayerTraits(class_token=False), special_tokens=3)
    assert (registers.special_tokens, registers.class_token) == (3, False)


@pytest.mark.parametrize("axis", [3, -3, -4, 7])
def test_channel_axis_must_exist(axis: int) -> None:
    with pytest.raises(ValueError, match=f"a dimension after the images in an output of 3 dimensions but got {axis}"):
        find_layout((8, 50, 64), 8, LayerTraits(), channel_axis=axis)


@pytest.mark.parametrize(
    ("layout", "shape"),
    [
        (Layout(), (5, 7, 2, 3)),
        (Layout(channel_axis=3), (5, 2, 3, 7)),
        (Layout(batch_axis=1, channel_axis=2), (11, 5, 7)),
        (Layout(channel_axis=4), (5, 2, 3, 4, 7)),
    ],
)
def test_canonical_is_a_view_with_images_and_channels_in_front(layout: Layout, shape: tuple[int, ...]) -> None:
    output: Tensor = torch.rand(shape)
    canonical = layout.canonical(output)
    assert canonical.shape[:2] == (5, 7)
    assert canonical.data_ptr() == output.data_ptr()
    assert canonical.numel() == output.numel()
