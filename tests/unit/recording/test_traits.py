import pytest
import torch
from torch import nn

from lightning_dissect.recording.layers import select_layers
from lightning_dissect.recording.traits import LayerTraits, TraitReader


class LayerNorm2d(nn.LayerNorm):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


@pytest.mark.parametrize(
    ("module", "fixed", "kind", "widths"),
    [
        (nn.Conv2d(3, 8, 1), "first", "first", {8}),
        (nn.ConvTranspose3d(3, 8, 1), "first", "first", {8}),
        (nn.BatchNorm1d(8), "first", "first", {8}),
        (nn.SyncBatchNorm(8), "first", "first", {8}),
        (nn.InstanceNorm2d(8), "first", "first", {8}),
        (nn.GroupNorm(2, 8), "first", "first", {8}),
        (nn.AdaptiveAvgPool2d(1), "first", None, set()),
        (nn.Linear(3, 8), "last", "last", {8}),
        (nn.Embedding(3, 8), "last", "last", {8}),
        (nn.LSTM(3, 8), "last", "last", {8}),
        (nn.LayerNorm(8), None, "last", {8}),
        (LayerNorm2d(8), None, "first", {8}),
        (nn.LayerNorm((8, 4, 4)), None, None, set()),
        (nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU()), None, "first", {8}),
        (nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 3)), None, "last", {3, 8}),
        (nn.Sequential(nn.Conv2d(3, 8, 1), nn.LayerNorm(8)), None, None, {8}),
        (nn.GELU(), None, None, set()),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_sides_and_widths(module: nn.Module, fixed: str | None, kind: str | None, widths: set[int]) -> None:
    traits = TraitReader().read(module)
    assert (traits.fixed, traits.kind, traits.widths) == (fixed, kind, widths)


def test_a_module_without_channels_takes_those_of_the_closest_that_has_some() -> None:
    mlp = nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Linear(16, 4))
    model = nn.Sequential(nn.Conv2d(3, 4, 1), mlp)
    traits = TraitReader().read(mlp[1], ancestors=[mlp, model])
    assert (traits.fixed, traits.kind, traits.widths) == (None, "last", {4, 16})


@pytest.mark.parametrize("batch_first", [True, False])
def test_attention_tells_whether_the_sequence_comes_first(batch_first: bool) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 8, batch_first=batch_first)
    for name in ("self_attn", "linear1", "dropout"):
        traits = TraitReader().read(layer.get_submodule(name), ancestors=[layer])
        assert traits.sequence_first is not batch_first


def test_mixed_or_missing_attention_tells_nothing() -> None:
    both = nn.Sequential(nn.LSTM(8, 8), nn.GRU(8, 8, batch_first=True))
    assert TraitReader().read(both).sequence_first is None
    assert TraitReader().read(nn.Linear(8, 8)).sequence_first is None


class Embeddings(nn.Module):
    def __init__(self, **tokens: torch.Tensor) -> None:
        super().__init__()
        self.patch_embeddings = nn.Conv2d(3, 8, 4)
        for name, token in tokens.items():
            self.register_parameter(name, nn.Parameter(token))


class Transformer(nn.Module):
    def __init__(self, embeddings: nn.Module | None = None, **told: object) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, 8, 4)
        self.block = nn.Linear(8, 8)
        if embeddings is not None:
            self.embeddings = embeddings
        for name, value in told.items():
            setattr(self, name, value)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Transformer(num_prefix_tokens=5, has_class_token=True), (5, True)),
        (Transformer(num_prefix_tokens=4, has_class_token=False), (4, False)),
        (Transformer(num_prefix_tokens=1), (1, True)),
        (Transformer(num_prefix_tokens=0), (0, False)),
        (Transformer(class_token=nn.Parameter(torch.zeros(1, 1, 8))), (1, True)),
        (Transformer(class_embedding=nn.Parameter(torch.zeros(8))), (1, True)),
        (Transformer(Embeddings(cls_token=torch.zeros(1, 1, 8))), (1, True)),
        (Transformer(Embeddings(class_embedding=torch.zeros(8))), (1, True)),
        (
            Transformer(Embeddings(cls_token=torch.zeros(1, 1, 8), distillation_token=torch.zeros(1, 1, 8))),
            (2, True),
        ),
        (Transformer(Embeddings(cls_token=torch.zeros(1, 1, 8), register_tokens=torch.zeros(1, 4, 8))), (5, True)),
        (
            Transformer(cls_token=nn.Parameter(torch.zeros(1, 1, 8)), register_tokens=nn.Parameter(torch.zeros(4, 8))),
            (5, True),
        ),
        (Transformer(reg_token=nn.Parameter(torch.zeros(1, 3, 8))), (3, False)),
        (Transformer(Embeddings()), (0, False)),
        (Transformer(), (None, None)),
        (Transformer(nn.Embedding(3, 8)), (None, None)),
    ],
)
def test_special_tokens_as_libraries_tell_them(model: nn.Module, expected: tuple[int | None, bool | None]) -> None:
    layers = select_layers(nn.Sequential(nn.Conv2d(3, 3, 1), model), ["1.block", "1.patch_embed", "0"])
    assert (told := layers["1.block"].traits) is not None
    assert (told.special_tokens, told.class_token) == expected
    assert (patches := layers["1.patch_embed"].traits) is not None
    assert (patches.special_tokens, patches.class_token) == (0, False)
    assert (outside := layers["0"].traits) is not None
    assert (outside.special_tokens, outside.class_token) == (None, None)


def test_nothing_is_known_of_a_bare_activation_function() -> None:
    assert TraitReader().read(nn.ReLU()) == LayerTraits()
