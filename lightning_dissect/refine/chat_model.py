"""What is asked of a language model: a reply to a conversation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    """One turn of a conversation.

    Args:
        role: Who speaks.
        content: What is said.

    """

    role: Role
    content: str


@runtime_checkable
class ChatModel(Protocol):
    """A language model that answers.

    Example:
        >>> class Parrot:
        ...     def reply(self, messages, seed):
        ...         return messages[-1].content
        ...     def fingerprint(self):
        ...         return "parrot"
        >>> isinstance(Parrot(), ChatModel)
        True
        >>> Parrot().reply([Message("user", "hello")], seed=0)
        'hello'

    """

    def reply(self, messages: Sequence[Message], seed: int) -> str:
        """Return what the model says next; any text, which may be empty.

        Args:
            messages: The conversation, which ends with a turn of the user.
            seed: Seed of its draws; the random state of the caller is left as it is.

        Raises:
            OSError:
                If the model cannot be reached.

        """
        ...

    def fingerprint(self) -> str:
        """Return a key of all that replies depend on but conversation and seed; it holds no secret."""
        ...


def check_sampling(temperature: float, top_p: float) -> None:
    """Check how a chat model is to draw.

    Args:
        temperature: Factor by which log-odds are divided; 0 takes the likeliest token.
        top_p: Probability of the likeliest tokens that are drawn from.

    Raises:
        ValueError:
            If one is out of its range.

    Example:
        >>> check_sampling(temperature=0.5, top_p=0)
        Traceback (most recent call last):
        ValueError: Expected `top_p` to be above 0 and at most 1 but got 0.

    """
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"Expected `temperature` to be 0 or a number above it but got {temperature}.")
    if not 0 < top_p <= 1:
        raise ValueError(f"Expected `top_p` to be above 0 and at most 1 but got {top_p}.")
