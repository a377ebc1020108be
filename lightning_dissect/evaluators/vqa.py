"""Visual question answering: a model is asked whether the image is related to the label."""

from dataclasses import dataclass
from typing import ClassVar

from lightning_dissect.evaluators.base import EVALUATORS
from lightning_dissect.evaluators.blip import BlipAnswering
from lightning_dissect.evaluators.blip_2 import Blip2Answering
from lightning_dissect.evaluators.chat import ChatAnswering
from lightning_dissect.evaluators.image_text_model import ImageTextModel
from lightning_dissect.evaluators.pretrained_judge import PretrainedJudge

KINDS: dict[str, type[ImageTextModel]] = {"blip": BlipAnswering, "blip-2": Blip2Answering}


@EVALUATORS.register("vqa")
@dataclass
class VisualQuestionAnswering(PretrainedJudge):
    r"""Probability that a vision-language model answers yes when asked whether an image is related to a label.

    .. math:: P(\text{yes}) = \sigma\Big(\log\sum_{t \in \text{yes}} e^{z_t} - \log\sum_{t \in \text{no}} e^{z_t}\Big)

    where z are the logits of the first token of the answer, and the sums go over the tokens that begin a yes or a no in
    any spelling. No text is generated, none is parsed. Models that think aloud before they answer are of no use here.

    BLIP, BLIP-2 with either kind of language model and every decoder-only chat model of transformers' class
    ``AutoModelForImageTextToText`` can be asked.

    Args:
        model: See `PretrainedJudge`.
        batch_size: See `PretrainedJudge`.
        threshold: See `PretrainedJudge`.
        dtype: See `PretrainedJudge`.
        device: See `PretrainedJudge`.
        offload: See `PretrainedJudge`.
        local_files_only: See `PretrainedJudge`.
        prompt: The question, with ``{label}`` where the label goes.
        frame: What the question is put into, with ``{question}``; ``None`` takes what the kind of model was taught:
            ``"Question: {question} Answer:"`` for BLIP-2, ``"{question} Answer yes or no."`` for chat models, the mere
            question for BLIP.

    Raises:
        ValueError:
            If an argument is out of its range, or ``prompt`` or ``frame`` lacks its placeholder.

    Example:
        >>> judge = VisualQuestionAnswering("Salesforce/blip2-flan-t5-xl", batch_size=8)
        >>> judge.prompt.replace("{label}", "cat")
        'Is this image related to "cat"?'
        >>> VisualQuestionAnswering(prompt="Is this a cat?")
        Traceback (most recent call last):
        ValueError: Expected `prompt` to hold {label} but got 'Is this a cat?'.

    References:
        Wan and Weng, Automatic evaluation for CLIP-Dissect, 2024, for the question. Lin et al., Evaluating
        text-to-visual generation with image-to-text generation, ECCV 2024, for the probability of yes.
        https://arxiv.org/abs/2404.01291

    """

    model: str = "Salesforce/blip2-opt-2.7b"
    prompt: str = 'Is this image related to "{label}"?'
    frame: str | None = None

    purpose: ClassVar[str] = "Visual question answering"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, text, placeholder in (("prompt", self.prompt, "{label}"), ("frame", self.frame, "{question}")):
            if text is not None and placeholder not in text:
                raise ValueError(f"Expected `{name}` to hold {placeholder} but got {text!r}.")

    def kind(self, family: str) -> type[ImageTextModel]:
        """See `PretrainedJudge.kind`."""
        from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

        if family not in KINDS and family not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
            raise ValueError(
                f"Expected `model` to be a model that answers questions about images but {self.model!r} is of the type "
                f"{family!r}. There are, for example, 'Salesforce/blip2-opt-2.7b' and 'llava-hf/llava-1.5-7b-hf'."
            )
        return KINDS.get(family, ChatAnswering)

    def ask(self, label: str) -> str:
        """See `PretrainedJudge.ask`.

        Args:
            label: One line.

        """
        frame = self.kind(self.family).frame if self.frame is None else self.frame
        return frame.replace("{question}", self.prompt.replace("{label}", label))
