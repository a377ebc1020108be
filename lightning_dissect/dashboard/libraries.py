"""The libraries that draw the page's plots and tables: they come with Python packages and are put into the page."""

from functools import lru_cache
from importlib.resources import files

_SCRIPTS = (
    ("bokeh", "server/static/js/bokeh.min.js"),
    ("bokeh", "server/static/js/bokeh-api.min.js"),
    ("js_lib_tabulator", "static/tabulator/js/tabulator.min.js"),
)
_STYLE = ("js_lib_tabulator", "static/tabulator/css/tabulator.min.css")

INSTALL = "pip install 'lightning-dissect[dashboard]'"


@lru_cache(maxsize=1)
def library_scripts() -> tuple[str, ...]:
    """Return the scripts of Bokeh and Tabulator, in the order in which a page runs them.

    Raises:
        ModuleNotFoundError:
            If the packages are not installed.

    """
    return tuple(_file(package, path) for package, path in _SCRIPTS)


@lru_cache(maxsize=1)
def library_style() -> str:
    """Return the style of Tabulator's tables.

    Raises:
        ModuleNotFoundError:
            If the package is not installed.

    """
    return _file(*_STYLE)


def _file(package: str, path: str) -> str:
    try:
        return files(package).joinpath(path).read_text(encoding="utf-8")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"Expected the dashboard's libraries to be installed but {package!r} is missing: {INSTALL}."
        ) from error
