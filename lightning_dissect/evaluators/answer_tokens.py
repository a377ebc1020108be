"""How likely an answer begins with yes: by its first token, without a word being generated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

YES = ("yes", "Yes", "YES", " yes", " Yes", " YES")
NO = ("no", "No", "NO", " no", " No", " NO")


@dataclass(frozen=True)
class AnswerTokens:
    """The tokens by which an answer says yes, and those by which it says no.

    Args:
        yes: Their ids.
        no: Their ids.

    Example:
        >>> import torch
        >>> tokens = AnswerTokens(yes=(0, 1), no=(2,))
        >>> torch.sigmoid(tokens.log_odds(torch.tensor([[0.0, 0.0, 0.0, 9.0]])))
        tensor([0.6667])

    """

    yes: tuple[int, ...]
    no: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: Callable[..., Any]) -> "AnswerTokens":
        """Return the first tokens of yes and no in all their spellings, without those that both may begin with.

        Args:
            tokenizer: A tokeniser of transformers.

        Raises:
            RuntimeError:
                If yes and no begin alike, or the tokeniser does not know them.

        """
        yes, no = _first_tokens(tokenizer, YES), _first_tokens(tokenizer, NO)
        if not yes - no or not no - yes:
            raise RuntimeError(
                f"Expected a tokenizer whose first tokens tell {YES[0]!r} from {NO[0]!r} but got "
                f"{type(tokenizer).__name__} with {sorted(yes)} for the one and {sorted(no)} for the other. Choose "
                "another `model`."
            )
        return cls(tuple(sorted(yes - no)), tuple(sorted(no - yes)))

    def log_odds(self, logits: Tensor) -> Tensor:
        """Return the logarithm of how much likelier yes is than no, in float32.

        Args:
            logits: Of the first token of the answer, shape ``(questions, tokens)``.

        Returns:
            Shape ``(questions,)``; its sigmoid is the probability of yes if the answer is one of the two.

        """
        scores = logits.float()
        return scores[:, list(self.yes)].logsumexp(dim=1) - scores[:, list(self.no)].logsumexp(dim=1)


def _first_tokens(tokenizer: Any, spellings: tuple[str, ...]) -> set[int]:  # noqa: ANN401 - tokenisers share no type
    ids = (tokenizer(spelling, add_special_tokens=False)["input_ids"] for spelling in spellings)
    return {int(tokens[0]) for tokens in ids if tokens} - set(tokenizer.all_special_ids)
