"""A headless Chromium that tests click through, driven by the DevTools protocol over a pair of pipes."""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")

needs_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--remote-debugging-pipe"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
)

LAUNCH = """
import fcntl, os, sys
commands, answers = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(commands, 3)
os.dup2(answers, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Becomes the browser, which reads commands from descriptor 3 and answers on 4."""

KEYS = {"ArrowLeft": 37, "ArrowRight": 39, "Tab": 9, "Enter": 13, "Escape": 27}


class Browser:
    """One tab, with the profile and the downloads in a folder; what the page complains of is in ``complaints``.

    Args:
        folder: An empty folder.
        size: Width and height of the window in pixels.

    """

    def __init__(self, folder: Path, size: tuple[int, int] = (1280, 860)) -> None:
        self.downloads = folder / "downloads"
        self.downloads.mkdir()
        self.complaints: list[Any] = []
        self._buffer, self._number, self._session, self._loaded = b"", 0, None, False
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        arguments = (CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={size[0]},{size[1]}")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", LAUNCH, str(commands), str(answers), *arguments, "about:blank"],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        [target] = [target for target in self.send("Target.getTargets")["targetInfos"] if target["type"] == "page"]
        attached = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        self.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
        os.close(self._commands)
        os.close(self._answers)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session is not None and not method.startswith("Browser."):
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def open(self, path: Path) -> None:
        """Open a page from disk."""
        self._load("Page.navigate", url=path.as_uri())

    def reload(self) -> None:
        """Load the page again."""
        self._load("Page.reload")

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 20.0) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + seconds
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, f"{expression} did not become true"
            time.sleep(0.02)

    def text(self, selector: str) -> str:
        """Return the text of an element as it is in the document."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")

    def visible(self, selector: str) -> bool:
        """Return whether an element takes any room."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).getClientRects().length > 0")

    def click(self, selector: str) -> None:
        """Click in the middle of an element, scrolled to if need be, as a mouse does."""
        box = self.evaluate(
            f"(() => {{ const node = document.querySelector({json.dumps(selector)}); node.scrollIntoViewIfNeeded();"
            "const { x, y, width, height } = node.getBoundingClientRect(); return [x + width / 2, y + height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def press(self, *keys: str) -> None:
        """Press and release keys, one after the other."""
        for key in keys:
            code = {"key": key, "windowsVirtualKeyCode": KEYS.get(key) or ord(key.upper())}
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **code)
            self.send("Input.dispatchKeyEvent", type="keyUp", **code)

    def type(self, text: str) -> None:
        """Write a text where the focus is."""
        self.send("Input.insertText", text=text)

    def choose_file(self, selector: str, path: Path) -> None:
        """Give a file to an element that asks for one."""
        node = self.send("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")["result"]
        self.send("DOM.setFileInputFiles", files=[str(path)], objectId=node["objectId"])

    def downloaded(self, suffix: str) -> Path:
        """Wait for a file that the page saves, until there is something in it."""
        deadline = time.monotonic() + 20
        while not (found := [path for path in sorted(self.downloads.glob(f"*{suffix}")) if path.stat().st_size]):
            assert time.monotonic() < deadline, f"no {suffix} was saved"
            self.evaluate("1")
            time.sleep(0.02)
        return found[-1]

    def show_as(self, width: int, height: int, dark: bool = False) -> None:
        """Take the size of another screen."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path) -> None:
        """Write what is seen to a PNG file."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))

    def _load(self, method: str, **params: Any) -> None:
        self._loaded = False
        self.send(method, **params)
        while not self._loaded:
            self._receive()

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], 60)
            assert ready, "the browser does not answer"
            received = os.read(self._answers, 2**20)
            assert received, "the browser has ended"
            self._buffer += received
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer = json.loads(message)
        if answer.get("method") in {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"}:
            self.complaints.append(answer["params"])
        self._loaded = self._loaded or answer.get("method") == "Page.loadEventFired"
        return answer
