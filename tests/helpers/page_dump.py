"""Pages as a browser shows them, after their scripts have run."""

import base64
import hashlib
import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any


class Texts(HTMLParser):
    """Collects the elements and the texts of a page, as a browser would divide them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements, self.texts, self.scripts, self._in_script = [], [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._in_script = tag == "script"

    def handle_endtag(self, tag):
        self._in_script = False

    def handle_data(self, data):
        (self.scripts if self._in_script else self.texts).append(data)


def shown_by_browser(page: str, folder: Path, width: int = 1200) -> Texts:
    """Return the elements of a page after its script has run without a word on the console."""
    (folder / "report.html").write_text(page, encoding="utf-8")
    result = subprocess.run(
        [
            *(shutil.which("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
            *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *(f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--virtual-time-budget=2000"),
            *(f"--window-size={width},900", "--dump-dom", (folder / "report.html").as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "CONSOLE" not in result.stderr
    return Texts(result.stdout)


def seen_in_a_browser(page: str, probe: str, folder: Path, width: int = 1200) -> Any:
    """Return what a script puts into ``document.body.dataset.seen`` that runs in a page with a policy of its own."""
    digest = base64.b64encode(hashlib.sha256(probe.encode()).digest()).decode()
    page = page.replace("script-src '", f"script-src 'sha256-{digest}' '", 1)
    elements = shown_by_browser(page.replace("</body>", f"<script>{probe}</script></body>"), folder, width).elements
    [body] = [attributes for tag, attributes in elements if tag == "body"]
    return json.loads(body["data-seen"])
