"""What a tokeniser does, as text that a fingerprint can take."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

SAMPLES = ("", "a photo of a cat", "A Photo, of two CATS!", "  naïve café: 東京 🐈 ", "word " * 400)


def tokenizer_content(tokenizer: object, tokenize: Callable[[Sequence[str]], Tensor]) -> list[str]:
    """Return the vocabulary of a tokeniser and its answer to strings that bring out its settings.

    The strings differ in case, punctuation, white space, script and length, so that folding, cleaning, special tokens,
    padding and truncation all show in the answer.

    Args:
        tokenizer: A tokeniser of transformers, or of open_clip, which may hold one.
        tokenize: Maps strings to token ids, shape ``(strings, tokens)``.

    Example:
        >>> import torch
        >>> tokenizer_content(None, lambda texts: torch.tensor([[len(text)] for text in texts]))
        ['{}', '[[0], [16], [21], [19], [2000]]']

    """
    return [json.dumps(sorted(vocabulary(tokenizer).items()) or {}), str(tokenize(list(SAMPLES)).tolist())]


def vocabulary(tokenizer: object) -> Mapping[str, int]:
    """Return the ids of all tokens, empty if the tokeniser does not show them.

    Args:
        tokenizer: A tokeniser of transformers, or of open_clip, which may hold one.

    """
    inner: Any = getattr(tokenizer, "tokenizer", tokenizer)
    if hasattr(inner, "get_vocab"):
        return dict(inner.get_vocab())
    return dict(getattr(inner, "encoder", {}))
