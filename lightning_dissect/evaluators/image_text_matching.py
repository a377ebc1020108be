"""Image-text matching: a model says whether a caption made of the label fits the image."""

from dataclasses import dataclass
from typing import ClassVar

from lightning_dissect.evaluators.base import EVALUATORS
from lightning_dissect.evaluators.blip import BlipMatching
from lightning_dissect.evaluators.blip_2 import Blip2Matching
from lightning_dissect.evaluators.image_text_model import ImageTextModel
from lightning_dissect.evaluators.pretrained_judge import PretrainedJudge

KINDS: dict[str, type[ImageTextModel]] = {"blip": BlipMatching, "blip-2": Blip2Matching}


@EVALUATORS.register("image_text_matching")
@dataclass
class ImageTextMatching(PretrainedJudge):
    """Probability that a caption made of the label fits an image, by the matching head of BLIP or BLIP-2.

    The head was trained to tell captions of the image from such that a contrastive model confuses with them. It is far
    cheaper than a language model, and there is no question that could be misunderstood.

    Args:
        model: See `PretrainedJudge`.
        batch_size: See `PretrainedJudge`.
        threshold: See `PretrainedJudge`.
        dtype: See `PretrainedJudge`.
        device: See `PretrainedJudge`.
        offload: See `PretrainedJudge`.
        local_files_only: See `PretrainedJudge`.
        caption: The caption, with ``{label}`` where the label goes.

    Raises:
        ValueError:
            If an argument is out of its range, or ``caption`` lacks ``{label}``.

    Example:
        >>> judge = ImageTextMatching("Salesforce/blip2-itm-vit-g", caption="a photo of a {label}")
        >>> judge.ask("cat")
        'a photo of a cat'

    References:
        Li et al., BLIP: bootstrapping language-image pre-training, ICML 2022. https://arxiv.org/abs/2201.12086

    """

    model: str = "Salesforce/blip-itm-base-coco"
    caption: str = "a photo of {label}"

    score_name: ClassVar[str] = "P(match)"
    purpose: ClassVar[str] = "Image-text matching"

    def __post_init__(self) -> None:
        super().__post_init__()
        if "{label}" not in self.caption:
            raise ValueError(f"Expected `caption` to hold {{label}} but got {self.caption!r}.")

    def kind(self, family: str) -> type[ImageTextModel]:
        """See `PretrainedJudge.kind`."""
        if family not in KINDS:
            raise ValueError(
                f"Expected `model` to be of one of the types {sorted(KINDS)} with a matching head but {self.model!r} "
                f"is of the type {family!r}. 'Salesforce/blip-itm-base-coco' and 'Salesforce/blip2-itm-vit-g' are."
            )
        return KINDS[family]

    def ask(self, label: str) -> str:
        """See `PretrainedJudge.ask`.

        Args:
            label: One line.

        """
        return self.caption.replace("{label}", label)
