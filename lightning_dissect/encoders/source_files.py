"""Where the files lie that pretrained models come from."""

import os
from pathlib import Path

HUB_VARIABLES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")
"""Environment variables that say where the Hugging Face hub keeps what it delivered."""


def folder_files(folder: Path) -> list[Path]:
    """Return a folder and the files directly in it; the folder itself changes with its list of files.

    Args:
        folder: The folder.

    Example:
        >>> Path(__file__) in folder_files(Path(__file__).parent)
        True

    """
    return [folder, *sorted(file for file in folder.iterdir() if file.is_file())]


def hub_files(repository: str) -> list[Path] | None:
    """Return the files of a repository as the Hugging Face hub delivered them last.

    Args:
        repository: ``"ORG/REPO"``.

    Returns:
        What names the current snapshot, the snapshot and its files; ``None`` if nothing was delivered.

    """
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    current = folder / "refs" / "main"
    if not current.is_file():
        return None
    snapshot = folder / "snapshots" / current.read_text(encoding="utf-8").strip()
    return [current, *folder_files(snapshot)] if snapshot.is_dir() else None


def model_files(model: str) -> list[Path] | None:
    """Return the files of a model that is a folder or a repository of the hub.

    Args:
        model: The folder, or ``"ORG/REPO"``.

    Returns:
        The files, ``None`` if they are not here.

    """
    return folder_files(Path(model)) if Path(model).is_dir() else hub_files(model)


def model_place(model: str) -> str:
    """Return a name of a model that means the same in every working directory, without looking for its files.

    Args:
        model: The folder, or ``"ORG/REPO"``, which is looked for where the environment says.

    """
    if Path(model).is_dir():
        return str(Path(model).resolve())
    return " ".join([model, *(os.environ.get(name, "") for name in HUB_VARIABLES)])
