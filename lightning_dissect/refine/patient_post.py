"""A request to an HTTP service that may be busy, slow or broken."""

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from http import HTTPStatus
from time import sleep, time
from typing import TYPE_CHECKING, Any, TypeVar

from lightning_dissect.checks import check_positive
from lightning_dissect.refine.one_line import one_line

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

Answer = TypeVar("Answer")

PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""Status codes after which another attempt may do."""

MOST_BYTES = 1_048_576
"""Size of an answer beyond which it is not read."""

MOST_QUOTED = 300
"""Characters of an answer that an error message quotes."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before the second attempt, which double with each, and the most that are ever waited."""


@dataclass(frozen=True)
class Fault:
    """Why an attempt failed.

    Args:
        reason: What happened, as the end of a sentence.
        is_final: Whether another attempt would fail as well.
        pause: Seconds that the service asks to wait, ``None`` if it does not say.

    """

    reason: str
    is_final: bool = False
    pause: float | None = None


@dataclass(frozen=True)
class PatientPost:
    """Posts JSON, and tries again after faults that may pass, each time after a longer pause.

    Tried again are attempts that reach nobody, break off, are answered by one of the codes 408, 429, 500, 502, 503 and
    504, or by what cannot be read. Redirections are not followed. The key stands in no attribute and no message: it is
    read from the environment when it is needed.

    Args:
        key_variable: Environment variable with the key that is sent, if it is set, as a bearer token.
        timeout: Seconds without a sign of the service after which an attempt ends.
        retries: Attempts after the first.

    Raises:
        ValueError:
            If an argument is out of its range.

    Example:
        >>> try:
        ...     PatientPost(timeout=5.0, retries=0).send("ftp://localhost", {}, read=bytes)
        ... except ConnectionError as error:
        ...     str(error)[:72]
        'Expected an answer of ftp://localhost but attempt 1 of 1 found no connec'

    """

    key_variable: str = "OPENAI_API_KEY"
    timeout: float = 120.0
    retries: int = 4

    def __post_init__(self) -> None:
        check_positive("timeout", self.timeout)
        if self.retries < 0:
            raise ValueError(f"Expected `retries` to be 0 or above it but got {self.retries}.")

    def send(self, url: str, body: Mapping[str, Any], read: Callable[[bytes], Answer]) -> Answer:
        """Return what a service answers.

        Args:
            url: Where to.
            body: What is sent, as JSON.
            read: Makes of an answer what is wanted of it; a ``ValueError`` says that it cannot.

        Raises:
            ConnectionError:
                If no attempt brought an answer that could be read.
            ValueError:
                If the key cannot be sent.

        """
        key, attempt = self._key(), 0
        while isinstance(outcome := self._attempt(url, body, key, read), Fault):
            if outcome.is_final or attempt == self.retries:
                reason = one_line(without_key(outcome.reason, key), 2 * MOST_QUOTED)
                raise ConnectionError(
                    f"Expected an answer of {url} but attempt {attempt + 1} of {self.retries + 1} {reason}"
                )
            sleep(pause(attempt, outcome.pause))
            attempt += 1
        return outcome

    def _attempt(self, url: str, body: Mapping[str, Any], key: str, read: Callable[[bytes], Answer]) -> Answer | Fault:
        import requests

        def authorise(request: "PreparedRequest") -> "PreparedRequest":
            if key:
                request.headers["Authorization"] = f"Bearer {key}"
            return request

        try:
            with requests.post(
                url,
                json=body,
                headers={"Accept-Encoding": "identity"},
                auth=authorise,  # also where there is no key: otherwise requests would look for one in ~/.netrc
                timeout=self.timeout,
                stream=True,
                allow_redirects=False,
            ) as response:
                content = beginning(response)
        except requests.RequestException as error:
            return Fault(f"found no connection: {error}")
        if response.status_code != HTTPStatus.OK:
            return self._refusal(response, without_key(content.decode(errors="replace"), key))
        if len(content) > MOST_BYTES:
            return Fault(f"got more than {MOST_BYTES} bytes.")
        try:
            return read(content)
        except ValueError as error:
            return Fault(f"got what cannot be read: {error}")

    def _refusal(self, response: "Response", said: str) -> Fault:
        status = response.status_code
        remedies = {
            400: " Check the name of the model and its settings.",
            401: f" Put a valid key into the environment variable {self.key_variable}.",
            403: f" Put a key that may do this into the environment variable {self.key_variable}.",
            404: " Check the address, which often ends in /v1, and the name of the model.",
        }
        remedy = " Use the address that it redirects to." if response.is_redirect else remedies.get(status, "")
        return Fault(
            f"got status {status}.{remedy} The answer is {one_line(said[: 4 * MOST_QUOTED], MOST_QUOTED)!r}.",
            is_final=status not in PASSING,
            pause=asked_pause(response.headers.get("Retry-After")),
        )

    def _key(self) -> str:
        key = os.environ.get(self.key_variable, "").strip()
        if not key.isascii() or not key.isprintable():
            raise ValueError(f"Expected the environment variable {self.key_variable} to hold printable ASCII only.")
        return key


def without_key(text: str, key: str) -> str:
    """Return a text in which a key cannot be read; some services repeat it.

    Args:
        text: Any text.
        key: The key, empty if there is none.

    Example:
        >>> without_key("wrong key abc", "abc"), without_key("no key", "")
        ('wrong key ***', 'no key')

    """
    return text.replace(key, "***") if key else text


def beginning(response: "Response") -> bytes:
    """Return the content of a response, read as it comes, and no more of it than shows that it is too long.

    Args:
        response: With a stream that has not been read.

    """
    content = bytearray()
    for chunk in response.iter_content(16_384):
        content += chunk
        if len(content) > MOST_BYTES:
            break
    return bytes(content)


def asked_pause(retry_after: str | None) -> float | None:
    """Return the seconds that a service asks to wait.

    Args:
        retry_after: The header ``Retry-After``, seconds or a date; see RFC 9110, section 10.2.3.

    Returns:
        Seconds from now, ``None`` if it does not say.

    Example:
        >>> asked_pause("7"), asked_pause("Thu, 01 Jan 1970 00:00:00 GMT"), asked_pause("soon")
        (7.0, 0.0, None)

    """
    if retry_after is None:
        return None
    try:
        return max(float(int(retry_after)), 0.0)
    except (ValueError, OverflowError):
        date: Any = parsedate_tz(retry_after)
    try:
        return None if date is None else max(mktime_tz(date) - time(), 0.0)
    except (ValueError, OverflowError):
        return None


def pause(attempt: int, asked: float | None) -> float:
    """Return the seconds between an attempt and the next.

    Args:
        attempt: Attempts before this one.
        asked: What the service asks for, which is followed up to `LONGEST_PAUSE`.

    Returns:
        What is asked for; else between the half and the whole of a time that doubles with each attempt, drawn from the
        system, so that processes which failed together do not come back together.

    """
    if asked is not None:
        return min(asked, LONGEST_PAUSE)
    longest = min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE)
    return random.SystemRandom().uniform(longest / 2, longest)
