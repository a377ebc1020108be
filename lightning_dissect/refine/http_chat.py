"""Language models behind an HTTP service that speaks OpenAI's protocol: vLLM, Ollama, llama.cpp and others."""

import json
import re
from collections.abc import Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from urllib.parse import urlsplit

from lightning_dissect.checks import check_positive
from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.refine.base import PROPOSERS
from lightning_dissect.refine.chat_model import Message, check_sampling
from lightning_dissect.refine.chat_proposer import ChatProposer
from lightning_dissect.refine.patient_post import PatientPost

ENDPOINT = "/chat/completions"

LARGEST_SEED = 2**31
"""Seeds are sent modulo this, which fits the integers of all known servers."""

AT_URL = re.compile(r"(?P<model>.*)@(?P<url>https?://.*)", re.DOTALL)


@dataclass(frozen=True)
class HTTPChat:
    """A language model that a server runs.

    Args:
        url: Where the server's interface begins, often ``"http://HOST:PORT/v1"``.
        model: Name by which the server knows the model.
        key_variable: Environment variable with the server's key; it need not be set where none is asked for. The key is
            read when a request is sent, and kept nowhere.
        timeout: Seconds without a sign of the server after which an attempt ends; it works on a reply in silence.
        retries: Attempts after the first; see `PatientPost`.
        max_tokens: Most tokens of a reply.
        temperature: Divides the log-odds of tokens; 0 takes the likeliest.
        top_p: The likeliest tokens whose probabilities reach it are drawn from.

    Raises:
        ValueError:
            If an argument is out of its range, or ``url`` is not one, holds a password or a query.

    Example:
        >>> HTTPChat("http://localhost:11434/v1", "llama3.2:1b", temperature=0.7).address
        'http://localhost:11434/v1/chat/completions'

    """

    url: str
    model: str
    _: KW_ONLY
    key_variable: str = "OPENAI_API_KEY"
    timeout: float = 120.0
    retries: int = 4
    max_tokens: int = 256
    temperature: float = 0.5
    top_p: float = 0.9

    def __post_init__(self) -> None:
        check_url(self.url)
        if not self.model:
            raise ValueError("Expected `model` to be the name of a model that the server knows but got ''.")
        check_positive("max_tokens", self.max_tokens)
        check_sampling(self.temperature, self.top_p)
        _ = self._post

    @property
    def address(self) -> str:
        """Where requests are sent."""
        return self.url.rstrip("/").removesuffix(ENDPOINT) + ENDPOINT

    def reply(self, messages: Sequence[Message], seed: int) -> str:
        """See `ChatModel.reply`; whether equal seeds give equal replies is up to the server.

        Args:
            messages: The conversation.
            seed: Sent modulo `LARGEST_SEED`.

        Raises:
            ConnectionError:
                If the server does not answer, refuses the request, or answers what no chat model would.
            ValueError:
                If the key cannot be sent.

        """
        body = {
            "model": self.model,
            "messages": [asdict(message) for message in messages],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": seed % LARGEST_SEED,
            "stream": False,
        }
        try:
            return self._post.send(self.address, body, read_completion)
        except ConnectionError as error:
            raise ConnectionError(f"The model {self.model!r} did not reply. {error}") from None

    def fingerprint(self) -> str:
        """See `ChatModel.fingerprint`: address, model and settings, all that can be known of a server."""
        return fingerprint(self.address, self.model, self.max_tokens, self.temperature, self.top_p)

    @property
    def _post(self) -> PatientPost:
        return PatientPost(self.key_variable, self.timeout, self.retries)


def check_url(url: str) -> None:
    """Check that an address can be the beginning of an interface, and holds no secret.

    Args:
        url: The address.

    Raises:
        ValueError:
            If it cannot, or holds a user, a password or a query.

    """
    if {"@", "?", "#"} & set(url):
        raise ValueError(
            "Expected `url` to hold no user, password, query or fragment but got one that does. Put the server's key "
            "into the environment variable that `key_variable` names."
        )
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or re.search(r"\s", url):
        raise ValueError(f"Expected `url` to be an address like 'http://localhost:8000/v1' but got {url!r}.")


def read_completion(content: bytes) -> str:
    """Return the text of a chat completion.

    Args:
        content: JSON in the form of OpenAI's chat completions.

    Raises:
        ValueError:
            If it has another form.

    Example:
        >>> read_completion(b'{"choices": [{"message": {"role": "assistant", "content": "hello"}}]}')
        'hello'

    """
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON ({error}).") from error
    try:
        message = answer["choices"][0]["message"]
        text = message.get("content") or message.get("refusal") or ""
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError("it has no text at choices[0].message.content, as chat completions have.") from error
    if not isinstance(text, str):
        raise ValueError(f"choices[0].message.content is no text but {type(text).__name__}.")
    return text


@PROPOSERS.register("http")
def http_proposer(model_at_url: str = "") -> ChatProposer:
    """Return the proposer that ``"http:MODEL@URL"`` stands for.

    Args:
        model_at_url: Name of the model, ``@`` and the address of the server; the name may itself hold ``@`` or colons.

    Raises:
        ValueError:
            If one of them is missing, or wrong.

    Example:
        >>> PROPOSERS.resolve("http:llama3.2:1b@http://localhost:11434/v1").model.model
        'llama3.2:1b'

    """
    parts = AT_URL.fullmatch(model_at_url)
    if parts is None or not parts["model"]:
        missing = "an address" if parts is None else "a model"
        raise ValueError(
            "Expected 'http:MODEL@URL', such as 'http:llama3.2:1b@http://localhost:11434/v1', but got "
            f"{f'http:{model_at_url}'!r} without {missing}."
        )
    return ChatProposer(HTTPChat(parts["url"], parts["model"]))
