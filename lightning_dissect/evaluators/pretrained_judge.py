"""What judges with a pretrained model share: loading on demand, each pair asked once, memory given back."""

import gc
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from PIL import Image

from lightning_dissect.checks import check_positive, require_package
from lightning_dissect.encoders.isolation import isolated_inference
from lightning_dissect.evaluators.base import Answers, Questions
from lightning_dissect.evaluators.image_text_model import ImageTextModel
from lightning_dissect.evaluators.label_text import plain_label
from lightning_dissect.pretrained_model import ModelSource, chosen_device
from lightning_dissect.probe import ConceptVocabulary
from lightning_dissect.types import Picture

CHOICES = {"dtype": ("auto", "float16", "bfloat16", "float32"), "offload": ("cpu", "free", "keep")}
"""What these settings may be."""

BATCHES_AT_ONCE = 4
"""Batches between two looks at the clock; a picture is seen once for all its questions in them."""

Pair = tuple[int, str]


@dataclass
class PretrainedJudge(ABC):
    """A judge that asks a model of transformers about one image and one text at a time.

    A subclass says which models it can ask, in `kind`, and what it asks, in `ask`. The model is loaded by the first
    `answer`. A pickled or copied judge carries no weights; it loads them again when they are needed.

    Args:
        model: Folder as ``save_pretrained`` writes it, or name on the Hugging Face hub.
        batch_size: Questions per forward pass.
        threshold: A probability above it is a yes.
        dtype: Of the weights; ``"auto"`` is float32 on the CPU and 16 bits elsewhere, see `ModelSource.dtype`.
        device: ``"auto"`` takes the GPU if there is one.
        offload: What `release` does: ``"cpu"`` moves the model to main memory, ``"free"`` drops it, so that it is read
            again when it is next asked, ``"keep"`` leaves it on the device.
        local_files_only: Whether nothing may be downloaded.

    Raises:
        ValueError:
            If an argument is out of its range.

    """

    model: str = ""
    batch_size: int = 16
    threshold: float = 0.5
    dtype: Literal["auto", "float16", "bfloat16", "float32"] = "auto"
    device: str = "auto"
    offload: Literal["cpu", "free", "keep"] = "cpu"
    local_files_only: bool = False
    _source: ModelSource = field(init=False, repr=False, compare=False)
    _loaded: ImageTextModel | None = field(default=None, init=False, repr=False, compare=False)

    purpose: ClassVar[str]
    """What the judge does, as the subject of a sentence."""
    score_name: ClassVar[str] = "P(yes)"
    """What reports call the scores."""

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("Expected `model` to be a folder or a name on the Hugging Face hub but got ''.")
        check_positive("batch_size", self.batch_size)
        if not 0 <= self.threshold < 1:
            raise ValueError(f"Expected `threshold` to be a probability below 1 but got {self.threshold}.")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"Expected `{name}` to be one of {choices} but got {getattr(self, name)!r}.")
        self._source = ModelSource(self.model, self.local_files_only)

    @abstractmethod
    def kind(self, family: str) -> type[ImageTextModel]:
        """Return how models of a family are asked.

        Args:
            family: Of the model, as its configuration names it.

        Raises:
            ValueError:
                If the judge cannot ask them.

        """

    @abstractmethod
    def ask(self, label: str) -> str:
        """Return the text that the model is given.

        Args:
            label: One line, see `plain_label`.

        """

    @property
    def family(self) -> str:
        """See `LabelEvaluator.family`: the model's type, from its configuration."""
        return self._source.family

    @property
    def questions_at_once(self) -> int:
        """See `LabelEvaluator.questions_at_once`."""
        return BATCHES_AT_ONCE * self.batch_size

    def check(self, vocabulary: ConceptVocabulary, has_encoder: bool) -> None:  # noqa: ARG002 - any labels will do
        """See `LabelEvaluator.check`: package, device, configuration; of a model on the hub, its ``config.json``.

        Args:
            vocabulary: Not looked at.
            has_encoder: Not looked at.

        Raises:
            ValueError:
                If there is no such model or device, or the model is of a kind that the judge cannot ask.
            ModuleNotFoundError:
                If transformers is not installed.

        """
        require_package("transformers", "transformers", self.purpose)
        chosen_device(self.device)
        try:
            family = self.family
        except RuntimeError as error:
            raise ValueError(str(error)) from error
        self.kind(family)

    def answer(self, questions: Questions) -> Answers:
        """See `LabelEvaluator.answer`: scores are probabilities; pairs of equal image and text are asked once.

        Raises:
            RuntimeError:
                If the model cannot be loaded.

        """
        model = self._on_device()
        reserved = model.reserved()
        texts = [self.ask(plain_label(label, reserved)) for label in questions.labels]
        pairs: list[Pair] = [
            (row, texts[place])
            for row, place in zip(questions.images.tolist(), questions.label_of.tolist(), strict=True)
        ]
        shown = {row: questions.evidence.pictures[row] for row, _ in pairs}
        pictures = {row: picture for row, picture in shown.items() if picture is not None}
        with isolated_inference(model.device):
            known = self._log_odds(model, sorted({pair for pair in pairs if pair[0] in pictures}), pictures)
            finite = {pair: log_odds for pair, log_odds in known.items() if math.isfinite(log_odds)}
            log_odds = torch.tensor([finite.get(pair, math.nan) for pair in pairs], dtype=torch.float64)
            answers = Answers.above(log_odds.sigmoid(), self.threshold)
        if len(finite) < len(known):
            warnings.warn(
                f"{self.model!r} gave {len(known) - len(finite)} of {len(known)} answers that are not finite; they "
                "count as none. Use `dtype='bfloat16'` or `dtype='float32'`.",
                stacklevel=2,
            )
        return answers

    def release(self) -> None:
        """See `LabelEvaluator.release` and ``offload``."""
        if self._loaded is None or self.offload == "keep":
            return
        on_gpu = self._loaded.device.type == "cuda"
        if self.offload == "cpu":
            self._loaded.to(torch.device("cpu"))
        else:
            self._loaded = None
            gc.collect()
        if on_gpu:
            torch.cuda.empty_cache()

    def _log_odds(self, model: ImageTextModel, pairs: list[Pair], pictures: Mapping[int, Picture]) -> dict[Pair, float]:
        """Ask in batches; pairs come sorted by image, so that an image is seen once and forgotten when it is done."""
        known: dict[Pair, float] = {}
        seen: dict[int, Any] = {}
        for start in range(0, len(pairs), self.batch_size):
            batch = pairs[start : start + self.batch_size]
            rows = sorted({row for row, _ in batch})
            new = [row for row in rows if row not in seen]
            looked = model.see([Image.fromarray(pictures[row]) for row in new]) if new else []
            seen = {row: item for row, item in seen.items() if row in rows} | dict(zip(new, looked, strict=True))
            log_odds = model.log_odds([seen[row] for row, _ in batch], [text for _, text in batch])
            known |= zip(batch, log_odds.tolist(), strict=True)
        return known

    def _on_device(self) -> ImageTextModel:
        device = chosen_device(self.device)
        if self._loaded is None:
            kind = self.kind(self.family)
            self._loaded = kind(*self._source.load(kind.model_class, self._source.dtype(self.dtype, device)))
        self._loaded.to(device)
        return self._loaded

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}
