"""What a user may write for an open_clip model, and what open_clip makes of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lightning_dissect.checks import closest
from lightning_dissect.encoders.source_files import model_files, model_place

SCHEMES = ("local-dir:", "hf-hub:")


@dataclass(frozen=True)
class OpenClipSource:
    """One set of pretrained weights, in the terms of ``open_clip.create_model``.

    Args:
        architecture: Name of a configuration, ``"local-dir:FOLDER"`` or ``"hf-hub:ORG/REPO"``.
        weights: Tag or path of a file; ``None`` if the architecture brings its weights along.
        repository: Hub repository that a download would come from; empty if all is local.
        quick_gelu: Whether the weights were trained with the sigmoid approximation of GELU.

    """

    architecture: str
    weights: str | None = None
    repository: str = ""
    quick_gelu: bool = False

    def config(self) -> dict[str, Any]:
        """Return the model configuration; a hub repository is asked for its own."""
        import open_clip

        config: dict[str, Any] = open_clip.get_model_config(self.architecture)
        return {**config, "quick_gelu": self.quick_gelu or config.get("quick_gelu", False)}

    def files(self, model_config: Path | None = None) -> list[Path] | None:
        """Return the files of weights, tokeniser and configuration, those in open_clip's own package left out.

        Args:
            model_config: JSON file with the architecture, if it is not one that open_clip knows.

        Returns:
            The files; ``None`` if not all of them are known, which is so where they never came or keep no place.

        """
        scheme, _, folder = self.architecture.partition(":")
        text = self.config()["text_cfg"]
        models = [text.get("hf_model_name"), self.repository, folder if scheme == "local-dir" else ""]
        if scheme != "local-dir":
            models.append(text.get("hf_tokenizer_name"))
        files = [] if model_config is None else [model_config]
        files += [Path(self.weights)] if self.weights and not self.repository else []
        found = [model_files(model) for model in models if model]
        if None in found or not (folder or model_config or is_own_architecture(self.architecture, text)):
            return None
        return files + [file for part in found for file in part or ()]

    def unavailable(self, error: Exception) -> RuntimeError:
        """Return the error for weights that did not arrive: it says how to do without a download.

        Args:
            error: What went wrong.

        """
        return RuntimeError(
            f"Expected the Hugging Face hub to deliver {self.repository!r} but got: {error} Where there is a network "
            f"run `hf download {self.repository} --local-dir FOLDER`, then use `model='local-dir:FOLDER'`, or "
            f"`model='ARCHITECTURE@FILE'` for a file of weights."
        )


def parse_source(model: str, model_config: str | Path | None = None) -> OpenClipSource:
    """Read ``"MODEL/TAG"``, ``"MODEL@FILE"``, ``"local-dir:FOLDER"`` or ``"hf-hub:ORG/REPO"``.

    Args:
        model: The specification. The first ``@`` ends the model's name, the last ``/`` before a tag does.
        model_config: JSON file with an architecture of one's own; its file name without ``.json`` is the model's name.

    Raises:
        FileNotFoundError:
            If a file or folder does not exist.
        ValueError:
            If model or tag are unknown or missing.

    Example:
        >>> parse_source("ViT-B-16/openai")
        OpenClipSource(architecture='ViT-B-16', weights='openai', repository='timm/vit_base_patch16_clip_224.openai', \
quick_gelu=True)

    """
    if model_config is not None:
        register_config(Path(model_config))
    if model.startswith(SCHEMES):
        scheme, place = model.split(":", 1)
        if scheme == "hf-hub":
            return OpenClipSource(model, repository=place)
        require_file("the folder of `model`", Path(place, "open_clip_config.json"))
        return OpenClipSource(model)
    if "@" in model:
        name, file = model.split("@", 1)
        require_file("the weights of `model`", Path(file))
        return OpenClipSource(known_architecture(name), weights=file)
    return tagged_source(model)


def tagged_source(model: str) -> OpenClipSource:
    """Read ``"MODEL/TAG"``.

    Args:
        model: The specification.

    Raises:
        ValueError:
            If model or tag are unknown or missing.

    """
    import open_clip

    name, _, tag = model.rpartition("/")
    if not name or model.replace("/", "-") in open_clip.list_models():
        name, tag = model, ""
    architecture = known_architecture(name)
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    settings = open_clip.get_pretrained_cfg(architecture, tag)
    if not tag or not settings:
        raise ValueError(
            f"Expected `model` to be '{architecture}/TAG' with one of the tags {tags}, or '{architecture}@FILE' with a "
            f"file of weights, but got {model!r}. Untrained weights are never used."
        )
    repository = settings.get("hf_hub", "").rpartition("/")[0]
    return OpenClipSource(architecture, tag, repository, bool(settings.get("quick_gelu")))


def specification_place(model: str) -> str:
    """Return a specification that means the same in every working directory, without looking for the model.

    Args:
        model: See `parse_source`.

    Example:
        >>> Path(specification_place("ViT-B-16@weights.pt").split("@")[1]).is_absolute()
        True

    """
    if model.startswith(SCHEMES):
        scheme, place = model.split(":", 1)
        return f"{scheme}:{model_place(place)}"
    name, at, file = model.partition("@")
    return f"{name}@{Path(file).resolve()}" if at else model_place(model)


def is_own_architecture(name: str, text_config: dict[str, Any]) -> bool:
    """Return whether open_clip's own package holds all that makes an architecture and its tokeniser.

    Args:
        name: Name of a configuration.
        text_config: Its text tower.

    """
    import open_clip

    is_built_in = (Path(open_clip.__file__).parent / "model_configs" / f"{name}.json").is_file()
    has_tokenizer_elsewhere = "siglip" in name.lower() and not text_config.get("hf_tokenizer_name")
    return is_built_in and not has_tokenizer_elsewhere


def known_architecture(name: str) -> str:
    """Return the name of a configuration as open_clip lists it.

    Args:
        name: What the user wrote; slashes count as dashes.

    Raises:
        ValueError:
            If there is no such configuration.

    """
    import open_clip

    names = open_clip.list_models()
    architecture = name.replace("/", "-")
    if architecture not in names:
        raise ValueError(
            f"Expected `model` to name a model of open_clip but got {name!r}. {closest(architecture, names)}"
        )
    return architecture


def register_config(path: Path) -> None:
    """Make an architecture of one's own known to open_clip under its file's name.

    Args:
        path: JSON file with ``embed_dim``, ``vision_cfg`` and ``text_cfg``.

    Raises:
        FileNotFoundError:
            If the file does not exist.
        ValueError:
            If it is no configuration or the name belongs to another one.

    """
    import open_clip

    require_file("`model_config`", path)
    config = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
    missing = {"embed_dim", "vision_cfg", "text_cfg"} - set(config)
    if missing:
        raise ValueError(f"Expected `model_config` to hold {sorted(missing)} but got {str(path)!r} without.")
    known = open_clip.get_model_config(path.stem)
    if known is None:
        open_clip.add_model_config(path)
    elif known != config:
        raise ValueError(
            f"Expected `model_config` to have a name of its own but open_clip knows another {path.stem!r}; rename "
            f"{str(path)!r}."
        )


def require_file(what: str, path: Path) -> None:
    """Check that a file exists.

    Args:
        what: What the error message calls it.
        path: The file.

    Raises:
        FileNotFoundError:
            If it does not.

    """
    if not path.is_file():
        raise FileNotFoundError(f"Expected {what} to exist but got {str(path)!r}, which is no file.")
