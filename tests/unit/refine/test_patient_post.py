import socket
import time
from email.utils import formatdate

import pytest

from lightning_dissect.refine.patient_post import LONGEST_PAUSE, MOST_BYTES, PatientPost, asked_pause, pause
from tests.helpers.chat_server import Turn, chat_server


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that would have been made."""
    made = []
    monkeypatch.setattr("lightning_dissect.refine.patient_post.sleep", made.append)
    return made


def send(server, retries=2, timeout=5.0, key_variable="OPENAI_API_KEY", read=bytes.decode):
    return PatientPost(key_variable, timeout, retries).send(server.url, {"a": 1}, read)


def test_an_answer_is_read():
    with chat_server(Turn(b"hello")) as server:
        assert send(server) == "hello"
    assert server.bodies == [{"a": 1}]
    assert "Authorization" not in server.headers[0]
    assert server.headers[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "fault",
    [
        *(Turn(b"busy", status) for status in (408, 429, 500, 502, 503, 504)),
        Turn(hangs_up=True),
        Turn(b"begun", missing=100),
        Turn(b"not utf-8: \xff"),
        Turn(b"x" * (MOST_BYTES + 1)),
    ],
    ids=lambda turn: f"{turn.status} {turn.content[:10]!r}",
)
def test_what_may_pass_is_tried_again_after_growing_pauses(fault, pauses):
    with chat_server(fault, fault, Turn(b"hello")) as server:
        assert send(server) == "hello"
        assert len(server.bodies) == 3
    first, second = pauses
    assert 0.5 <= first <= 1 <= second <= 2
    with (
        chat_server(fault) as server,
        pytest.raises(ConnectionError, match=r"Expected an answer of http\S+ but attempt 3 of 3 "),
    ):
        send(server)
    assert len(server.bodies) == 3
    assert len(pauses) == 4


def test_a_silent_service_is_given_up(pauses):
    begin = time.monotonic()
    with chat_server(Turn(b"late", wait=0.6)) as server, pytest.raises(ConnectionError, match=r"2 of 2 .*timed out"):
        send(server, retries=1, timeout=0.1)
    assert time.monotonic() - begin < 5
    assert len(pauses) == 1


def test_a_service_that_is_not_there(pauses):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConnectionError, match="attempt 2 of 2 found no connection"):
            PatientPost(retries=1).send(url, {}, bytes)
    assert len(pauses) == 1


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (400, "Check the name of the model and its settings"),
        (401, "Put a valid key into the environment variable SOME_KEY"),
        (403, "Put a key that may do this into the environment variable SOME_KEY"),
        (404, "Check the address, which often ends in /v1"),
        (418, "got status 418"),
        (299, "got status 299"),
    ],
)
def test_what_will_not_pass_is_not_tried_again(status, remedy, pauses):
    with chat_server(Turn(b"no\r\nway" + b"!" * 10_000, status)) as server:
        with pytest.raises(ConnectionError, match=remedy) as error:
            send(server, key_variable="SOME_KEY")
        assert "no way!!!" in str(error.value)
        assert len(str(error.value)) < 800
    assert (len(server.bodies), pauses) == (1, [])


def test_redirections_are_not_followed(pauses):
    turn = Turn(b"", 307, (("Location", "http://127.0.0.1:9/elsewhere"),))
    with chat_server(turn) as server, pytest.raises(ConnectionError, match="Use the address that it redirects to"):
        send(server)
    assert pauses == []


@pytest.mark.parametrize(("asked", "waited"), [("0", 0.0), ("7", 7.0), ("86400", LONGEST_PAUSE), ("-5", 0.0)])
def test_a_service_may_ask_for_a_pause(asked, waited, pauses):
    with chat_server(Turn(b"", 429, (("Retry-After", asked),)), Turn(b"hello")) as server:
        assert send(server) == "hello"
    assert pauses == [waited]


def test_pauses_may_be_asked_for_by_date():
    assert 20 < asked_pause(formatdate(time.time() + 30, usegmt=True)) <= 30
    assert asked_pause(formatdate(time.time() - 30, usegmt=True)) == 0


@pytest.mark.parametrize("nonsense", [None, "", "soon", "nan", "9" * 400, "9" * 9000, "Thu, 01 Jan 99999 00:00:00 GMT"])
def test_other_pauses_are_not_understood(nonsense):
    assert asked_pause(nonsense) is None


def test_pauses_are_bounded_and_differ():
    drawn = [pause(100, None) for _ in range(20)]
    assert all(LONGEST_PAUSE / 2 <= seconds <= LONGEST_PAUSE for seconds in drawn)
    assert len(set(drawn)) > 1


def test_the_key_is_sent_and_shows_nowhere_else(monkeypatch, pauses, tmp_path):
    key = "sk-very-secret"
    monkeypatch.setenv("SOME_KEY", f" {key}\n")
    with chat_server(Turn(f"wrong key {key}".encode(), 401)) as server:
        with pytest.raises(ConnectionError, match=r"wrong key \*\*\*") as error:
            send(server, key_variable="SOME_KEY")
        assert server.headers[0]["Authorization"] == f"Bearer {key}"
        assert key not in str(error.value)
        assert error.value.__cause__ is None
    with chat_server(Turn(b"x" * 295 + key.encode(), 401)) as server:
        with pytest.raises(ConnectionError, match=r"x\*\*\*'") as error:
            send(server, key_variable="SOME_KEY")
        assert "sk-" not in str(error.value)


def test_a_netrc_is_not_asked_for_a_key(monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("default login somebody password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with chat_server(Turn(b"hello")) as server:
        send(server)
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize("key", ["two\nlines", "na\u00efve"])
def test_a_key_that_no_header_can_hold_is_an_error_that_does_not_show_it(key, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ValueError, match="environment variable OPENAI_API_KEY to hold printable ASCII") as error:
        PatientPost().send("http://127.0.0.1:9", {}, bytes)
    assert key not in str(error.value)


@pytest.mark.parametrize(("settings", "name"), [({"timeout": 0.0}, "timeout"), ({"retries": -1}, "retries")])
def test_settings_out_of_range_are_errors(settings, name):
    with pytest.raises(ValueError, match=f"Expected `{name}`"):
        PatientPost(**settings)
