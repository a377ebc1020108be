"""What the modules in and around a layer tell of the layout of its output."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeVar

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd, _AvgPoolNd, _MaxPoolNd

T = TypeVar("T")
Side = Literal["first", "last"]

CHANNELS_FIRST = (
    _ConvNd,
    _NormBase,
    nn.GroupNorm,
    nn.LocalResponseNorm,
    _MaxPoolNd,
    _AvgPoolNd,
    _AdaptiveAvgPoolNd,
    _AdaptiveMaxPoolNd,
    nn.Upsample,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
)
CHANNELS_LAST = (nn.Linear, nn.Bilinear, nn.Embedding, nn.MultiheadAttention, nn.RNNBase)
WIDTHS = ("out_channels", "out_features", "num_features", "num_channels", "embedding_dim", "embed_dim", "hidden_size")
CLASS_TOKENS = ("cls_token", "class_token", "class_embedding")
OTHER_SPECIAL_TOKENS = ("dist_token", "distillation_token", "reg_token", "register_tokens", "storage_tokens")


@dataclass(frozen=True)
class LayerTraits:
    """What can be known of the layout of a layer's output before there is one.

    Args:
        fixed: Side of the channels by the layer's own type: ``"first"`` (dimension 1) for convolutions, batch and group
            normalisation and spatial pooling, ``"last"`` for linear layers, embeddings, attention and recurrent layers,
            ``None`` for all other modules.
        kind: Side on which all modules with channels inside the layer agree, ``None`` if they do not.
        widths: Numbers of channels of these modules. A layer without any, such as an activation function, has `kind`
            and `widths` of the closest module around it that has some.
        sequence_first: Whether sequences are ``(tokens, images, channels)``: ``batch_first`` of the attention or
            recurrent modules closest to the layer; ``None`` if there are none or they differ.
        special_tokens: Tokens at the front of sequences that stand for no part of the image, ``None`` if no module
            tells.
        class_token: Whether the first of them is a class token, ``None`` if no module tells.

    """

    fixed: Side | None = None
    kind: Side | None = None
    widths: frozenset[int] = frozenset()
    sequence_first: bool | None = None
    special_tokens: int | None = None
    class_token: bool | None = None


class TraitReader:
    """Reads what the layers of a model and the modules around them tell of their outputs' layout.

    The number of special tokens is told by the closest module around the layer that has ``num_prefix_tokens`` (timm) or
    parameters of the usual names (``cls_token``, ``class_token``, ``class_embedding``, ``register_tokens``...), itself
    or, as in Hugging Face's models, in its ``embeddings``. What comes out of a patch embedding has none yet. Each
    module is looked at once in the life of a reader.

    Example:
        >>> block = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
        >>> TraitReader().read(block[1], ancestors=[block]).kind
        'first'

    """

    def __init__(self) -> None:
        self._channels = cache(_channels)
        self._sequence_first = cache(_sequence_first)
        self._special_tokens = cache(_special_tokens)

    def read(self, module: nn.Module, ancestors: Sequence[nn.Module] = (), name: str = "") -> LayerTraits:
        """Read the traits of one layer.

        Args:
            module: The layer.
            ancestors: The modules around it, the closest first, the whole model last.
            name: Full name of the layer.

        """
        lineage = (module, *ancestors)
        kind, widths = _closest(self._channels, lineage) or (None, frozenset())
        special_tokens, class_token = _closest(self._special_tokens, lineage) or (None, None)
        if any(part.startswith("patch_embed") for part in name.split(".")):
            special_tokens, class_token = 0, False
        return LayerTraits(
            fixed=_fixed_side(module),
            kind=kind,
            widths=widths,
            sequence_first=_closest(self._sequence_first, lineage),
            special_tokens=special_tokens,
            class_token=class_token,
        )


def _closest(read: Callable[[nn.Module], T | None], lineage: Sequence[nn.Module]) -> T | None:
    """Return what ``read`` finds at the first module where it finds something."""
    return next((found for module in lineage if (found := read(module)) is not None), None)


def _fixed_side(module: nn.Module) -> Side | None:
    if isinstance(module, CHANNELS_FIRST):
        return "first"
    return "last" if isinstance(module, CHANNELS_LAST) else None


def _channels(module: nn.Module) -> tuple[Side | None, frozenset[int]] | None:
    """Return the side and the numbers of channels of the modules inside ``module``, if there are any."""
    found = [channels for inner in module.modules() if (channels := _own_channels(inner)) is not None]
    sides = {side for side, _ in found}
    return (sides.pop() if len(sides) == 1 else None, frozenset(width for _, width in found)) if found else None


def _own_channels(module: nn.Module) -> tuple[Side, int] | None:
    shape = getattr(module, "normalized_shape", None)
    if isinstance(shape, Sequence) and len(shape) == 1:
        return ("first" if type(module).__name__.endswith(("2d", "3d")) else "last"), int(shape[0])
    side = _fixed_side(module)
    width = next((width for key in WIDTHS if isinstance(width := getattr(module, key, None), int)), None)
    return None if side is None or width is None else (side, width)


def _sequence_first(module: nn.Module) -> bool | None:
    values = {inner.batch_first for inner in module.modules() if isinstance(getattr(inner, "batch_first", None), bool)}
    return not values.pop() if len(values) == 1 else None


def _special_tokens(module: nn.Module) -> tuple[int, bool] | None:
    """Return the number of special tokens and whether there is a class token, if ``module`` tells."""
    prefix_tokens = getattr(module, "num_prefix_tokens", None)
    if isinstance(prefix_tokens, int):
        return prefix_tokens, bool(getattr(module, "has_class_token", prefix_tokens > 0))
    embeddings = getattr(module, "embeddings", None)
    embeds_patches = any(hasattr(embeddings, key) for key in ("patch_embedding", "patch_embeddings"))
    owner = embeddings if embeds_patches else module
    class_tokens, others = _count_tokens(owner, CLASS_TOKENS), _count_tokens(owner, OTHER_SPECIAL_TOKENS)
    return (class_tokens + others, class_tokens > 0) if embeds_patches or class_tokens + others else None


def _count_tokens(owner: object, keys: Iterable[str]) -> int:
    tokens = [token for key in keys if isinstance(token := getattr(owner, key, None), Tensor)]
    return sum(1 if token.ndim == 1 else token.shape[-2] for token in tokens)
