"""Files that commands write."""

from pathlib import Path

PLOTS = (".png", ".svg", ".pdf")


def check_files(**files: str | None) -> None:
    """Check that results can be written before there are any.

    Args:
        files: File by option, ``None`` where it is not asked for; options that end in ``plot`` make pictures.

    Raises:
        ValueError:
            If a folder does not exist, or a plot has no ending of `PLOTS`.

    """
    for option, file in files.items():
        if file is None:
            continue
        if not Path(file).parent.is_dir():
            raise ValueError(f"Expected {_dashed(option)} to be a file in a folder that exists but got {file!r}.")
        if option.endswith("plot") and Path(file).suffix not in PLOTS:
            raise ValueError(f"Expected {_dashed(option)} to end in {', '.join(PLOTS)} but got {file!r}.")


def _dashed(option: str) -> str:
    return "--" + option.replace("_", "-")
