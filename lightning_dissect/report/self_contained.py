"""Documents that need nothing but themselves: template, style and script of a page in one file."""

import base64
import hashlib
import math
from importlib.resources import files

import jinja2
from markupsafe import Markup

from lightning_dissect.report.page_filters import FILTERS, percent

PACKAGE = "lightning_dissect"


def page_environment(room: str, name: str, *parts: str) -> jinja2.Environment:
    """Return where the template ``<name>.html.j2`` of a page is found, with what its head needs as globals.

    These are ``style``, the base of all pages and then the ``.css`` of each part and ``<name>.css``; ``script``, their
    ``.js`` in the same order; and ``script_hash``, by which the page's policy (Content-Security-Policy) admits this
    script and no other. Whatever the template is given is escaped. Numbers and names are shown by `FILTERS`.

    Args:
        room: Folder of the package in which the files lie.
        name: Name of template, style and script.
        parts: Further styles and scripts, as ``<room>/<name>``; either file may be missing.

    Example:
        >>> environment = page_environment("report", "page")
        >>> len(environment.from_string("{{ script_hash }}").render())
        44
        >>> environment.from_string("{{ label }}").render(label="</script>")
        '&lt;/script&gt;'

    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(PACKAGE, room),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    assets = [*parts, f"{room}/{name}"]
    script = "".join(_asset(f"{asset}.js") for asset in assets)
    environment.globals |= {
        "style": Markup("".join(_asset(f"{asset}.css") for asset in ("report/base", *assets))),  # noqa: S704 - our own
        "script": Markup(script),  # noqa: S704 - our own
        "script_hash": script_hash(script),
        "percent": percent,
    }
    environment.filters |= FILTERS
    environment.tests["finite"] = math.isfinite
    return environment


def script_hash(script: str) -> str:
    """Return what names a script in a page's policy, after ``sha256-``.

    Example:
        >>> script_hash("")
        '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='

    """
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


def _asset(path: str) -> str:
    file = files(PACKAGE).joinpath(path)
    return file.read_text(encoding="utf-8") if file.is_file() else ""
