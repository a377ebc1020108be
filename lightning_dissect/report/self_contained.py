"""Documents that need nothing but themselves: template, style and script of a page in one file."""

import base64
import hashlib
from importlib.resources import files

import jinja2
from markupsafe import Markup

PACKAGE = "lightning_dissect"


def page_environment(room: str, name: str, *parts: str) -> jinja2.Environment:
    """Return where the template ``<name>.html.j2`` of a page is found, with what its head needs as globals.

    These are ``style``, the base of all pages, then ``<name>.css`` and that of each part; ``script``, which is the
    ``.js`` of each part and then ``<name>.js``; and ``script_hash``, by which the page's policy
    (Content-Security-Policy) admits this script and no other. Whatever the template is given is escaped.

    Args:
        room: Folder of the package in which the files lie.
        name: Name of template, style and script.
        parts: Names of further styles and scripts.

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
    style = "".join(_asset(room, f"{part}.css") for part in (name, *parts))
    script = "".join(_asset(room, f"{part}.js") for part in (*parts, name))
    environment.globals |= {
        "style": Markup(_asset("report", "base.css") + style),  # noqa: S704 - files of this package
        "script": Markup(script),  # noqa: S704 - files of this package
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    }
    return environment


def _asset(room: str, name: str) -> str:
    return files(PACKAGE).joinpath(room, name).read_text(encoding="utf-8")
