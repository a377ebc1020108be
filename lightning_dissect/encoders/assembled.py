"""A dual encoder put together in closed form from two towers that were never trained together."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lightning_dissect.checks import check_positive, require_package
from lightning_dissect.encoders.base import ENCODERS
from lightning_dissect.encoders.efficientnet_lite import (
    OFFLINE_EXTRA,
    check_name,
    efficientnet_lite_folder,
    efficientnet_lite_preprocessing,
    load_efficientnet_lite,
)
from lightning_dissect.encoders.kernel_ridge import KernelRidge
from lightning_dissect.encoders.lazy_encoder import LazyEncoder, Towers
from lightning_dissect.encoders.minilm import MiniLM, minilm_folder
from lightning_dissect.encoders.source_files import folder_files

NUM_SYNONYMS = 4
"""Most lemmas of a class that become anchors; rare ones come last in WordNet."""


class AssembledTowers(Towers):
    """EfficientNet-Lite and MiniLM, joined by kernel ridge regression from texts to rows of the classifier.

    Args:
        tower: ``"lite0"``, ``"lite1"`` or ``"lite2"``.
        definitions: Whether synonyms and definitions join the class names as anchors.
        gamma: Inverse width of the kernel.
        ridge: Weight of the penalty.

    """

    def __init__(self, tower: str, definitions: bool, gamma: float, ridge: float) -> None:
        super().__init__()
        self.preprocessing = efficientnet_lite_preprocessing(tower)
        self.visual: Any = load_efficientnet_lite(tower)
        self.text = MiniLM().eval()
        self.anchor_texts, classes = anchor_texts(definitions)
        anchors = F.normalize(self.text.encode(self.anchor_texts), dim=-1)
        self.bridge = KernelRidge(anchors, self.class_directions()[classes], gamma, ridge)
        self.ridge = ridge

    def class_directions(self) -> Tensor:
        """Return where the classifier looks for each class: its rows, centred, of norm 1, shape ``(1000, features)``.

        What all rows share says nothing about which class it is.
        """
        rows = self.visual.classifier.weight.detach()
        return F.normalize(rows - rows.mean(dim=0), dim=-1)

    def embed_images(self, images: Tensor) -> Tensor:
        """See `Towers.embed_images`: the pooled features before the classifier."""
        features = self.visual.forward_features(self.preprocessing(images))
        return cast("Tensor", self.visual.forward_head(features, pre_logits=True))

    def embed_texts(self, texts: list[str]) -> Tensor:
        """See `Towers.embed_texts`: the direction of a class that would have this name."""
        return cast("Tensor", self.bridge(F.normalize(self.text.encode(texts), dim=-1)))

    def settings(self) -> Iterable[str]:
        """See `Towers.settings`."""
        numbers = f"gamma {self.bridge.gamma} ridge {self.ridge}"
        return [repr(self.preprocessing), numbers, *self.text.settings(), *self.anchor_texts]


@ENCODERS.register("assembled")
class AssembledEncoder(LazyEncoder):
    """Image and text encoder from packages alone: EfficientNet-Lite, MiniLM and a bridge in closed form.

    An ImageNet classifier holds one direction per class in its feature space. Kernel ridge regression from the encoded
    names of the classes to these directions says where a class of any other name would lie; an image is its pooled
    feature. No image takes part and nothing is trained: it is ready in seconds, without a network.

    Good for: photographs, and concepts that are ImageNet classes or close to one (of 88 names the right one for 80 to
    85 % of the photos of such things). Not good for: concepts that ImageNet does not know (13 to 22 %; a photo of a
    novel thing gets the nearest known name), drawings, textures, attributes, actions, scenes. It stands in for a CLIP
    where none can be loaded and makes examples and tests real; use a CLIP for results.

    The temperature is 1: over the names of the 1,000 classes the cosines with one photo have a standard deviation of
    .035 (Lite0) to .037 (Lite2), mean 0 and maximum .27 to .33, and CLIP ViT-B/16 is taken to spread by about .03.

    Args:
        tower: ``"lite0"``, ``"lite1"`` or ``"lite2"``, see `load_efficientnet_lite`.
        definitions: Whether the synonyms and definitions of the classes join their names as anchors of the regression:
            slightly better, and four seconds slower to load.
        device: Device of the towers; ``None`` takes the GPU if there is one.
        batch_size: Images or texts per forward pass.
        gamma: Inverse width of the Gaussian kernel on normalised sentence vectors.
        ridge: Weight of the ridge penalty.
        temperature: See `ImageTextEncoder`.

    Raises:
        ValueError:
            If there is no such tower or a number is not positive.
        ModuleNotFoundError:
            On loading, if a package of the extra ``offline`` is not installed.

    Example:
        >>> AssembledEncoder("lite0").temperature
        1.0

    """

    family: ClassVar[str] = "EfficientNet-Lite"
    packages: ClassVar[tuple[str, ...]] = ("open_clip_torch", "timm", "tokenizers", "torch", "transformers")

    def __init__(
        self,
        tower: str = "lite2",
        definitions: bool = True,
        device: str | None = None,
        batch_size: int = 64,
        *,
        gamma: float = 3.0,
        ridge: float = 0.1,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(device, batch_size)
        check_name(tower)
        for name, value in (("gamma", gamma), ("ridge", ridge), ("temperature", temperature)):
            check_positive(name, value)
        self.tower = tower
        self.definitions = definitions
        self.gamma = gamma
        self.ridge = ridge
        self.temperature = temperature

    def load(self) -> AssembledTowers:
        """See `LazyEncoder.load`."""
        return AssembledTowers(self.tower, self.definitions, self.gamma, self.ridge)

    def request(self) -> Sequence[str]:
        """See `LazyEncoder.request`."""
        return [self.tower, str(self.definitions), str(self.gamma), str(self.ridge)]

    def source_files(self) -> Sequence[Path]:
        """See `LazyEncoder.source_files`: those of the packages that hold the two towers."""
        return [*folder_files(minilm_folder()), *folder_files(efficientnet_lite_folder(self.tower))]


def anchor_texts(definitions: bool) -> tuple[list[str], Tensor]:
    """Return texts for the 1,000 classes of ImageNet-1k: names, and on demand synonyms and definitions.

    The names are those of open_clip, the rest is WordNet's, as timm holds it.

    Args:
        definitions: Whether synonyms and definitions are wanted.

    Returns:
        The texts, and the class of each, shape ``(texts,)``.

    Raises:
        ModuleNotFoundError:
            If timm is not installed.

    """
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    require_package("timm", OFFLINE_EXTRA, "The assembled encoder")
    from timm.data import ImageNetInfo  # type: ignore[attr-defined]

    info = ImageNetInfo()
    texts: list[str] = []
    classes: list[int] = []
    for index, name in enumerate(IMAGENET_CLASSNAMES):
        of_class = [name]
        if definitions:
            lemmas = info.index_to_description(index)
            of_class += lemmas.split(", ")[:NUM_SYNONYMS]
            of_class.append(info.index_to_description(index, detailed=True).removeprefix(f"{lemmas}: "))
        distinct = list(dict.fromkeys(of_class))
        texts += distinct
        classes += [index] * len(distinct)
    return texts, torch.tensor(classes)
