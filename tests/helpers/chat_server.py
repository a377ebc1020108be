"""A server of chat completions on the loopback interface that misbehaves as it is told."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def completion(text: object) -> bytes:
    """What a server answers that behaves."""
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()


@dataclass(frozen=True)
class Turn:
    """How one request is answered.

    Args:
        content: The body.
        status: The status code.
        headers: Further headers.
        wait: Seconds before the answer.
        missing: Bytes that are announced but never sent.
        hangs_up: Whether the connection is closed without an answer.

    """

    content: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    wait: float = 0.0
    missing: int = 0
    hangs_up: bool = False


@dataclass
class ChatServer:
    """The turns that are left, the last of which is never used up, and the requests that came."""

    url: str
    turns: list[Turn]
    paths: list[str] = field(default_factory=list)
    bodies: list[dict[str, object]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def chat_server(*turns: Turn | str) -> Iterator[ChatServer]:
    """Serve turns, one for each request; a text is the content of a completion."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            state.paths.append(self.path)
            state.headers.append(dict(self.headers))
            state.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            turn = state.turns.pop(0) if len(state.turns) > 1 else state.turns[0]
            time.sleep(turn.wait)
            if turn.hangs_up:
                self.close_connection = True
                return
            self.send_response(turn.status)
            self.send_header("Content-Length", str(len(turn.content) + turn.missing))
            for name, value in turn.headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(turn.content)

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that has enough closes the connection."""

    server = Quiet(("127.0.0.1", 0), Handler)
    said = [turn if isinstance(turn, Turn) else Turn(completion(turn)) for turn in turns]
    state = ChatServer(f"http://127.0.0.1:{server.server_port}/v1", said)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
