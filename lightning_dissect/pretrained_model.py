"""Pretrained models of transformers: where they come from, and how they are read."""

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from lightning_dissect.encoders.isolation import isolated_loading

WEIGHTS = ("*.safetensors", "*.bin")
"""Files of which a folder with a model holds at least one."""

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
"""A repository of the Hugging Face hub; what does not look like it can only be a folder."""


@dataclass(frozen=True)
class ModelSource:
    """A model of transformers: a folder as ``save_pretrained`` writes it, a GGUF file, or a repository of the hub.

    Args:
        model: The folder, the file, or ``"ORG/REPO"`` of the Hugging Face hub.
        local_files_only: Whether the hub's local cache must do.

    Example:
        >>> ModelSource("/no/such/folder").config
        Traceback (most recent call last):
        RuntimeError: Expected `model` to be a folder with a model but there is no folder '/no/such/folder'.

    """

    model: str
    local_files_only: bool = False

    @property
    def place(self) -> str:
        """What transformers is given: the folder, or the repository."""
        path = Path(self.model).expanduser()
        if self._is_gguf:
            return str(path.parent)
        return str(path) if path.is_dir() else self.model

    @cached_property
    def config(self) -> dict[str, Any]:
        """The model's ``config.json``, read once, without any weights.

        Raises:
            RuntimeError:
                If there is no such folder, it holds no model, or the hub does not deliver.

        """
        self._check_files()
        from transformers import PretrainedConfig

        try:
            with quiet_transformers():
                config, _ = PretrainedConfig.get_config_dict(self.place, **self._options)
        except OSError as error:
            raise self._unavailable(error) from error
        except (ImportError, ValueError, struct.error) as error:
            raise RuntimeError(f"Expected `model` to be one to read but got {self.model!r}: {error}") from error
        if "model_type" not in config:
            raise RuntimeError(
                f"Expected `model` to be a model of transformers but the config.json of {self.model!r} names no "
                "`model_type`."
            )
        return dict(config)

    @property
    def family(self) -> str:
        """What the configuration calls the kind of model, such as ``"blip-2"``."""
        return str(self.config["model_type"])

    def dtype(self, name: str, device: torch.device) -> torch.dtype:
        """Return the dtype of the weights.

        Args:
            name: Name of a dtype, or ``"auto"``: float32 on the CPU; elsewhere float16 if the checkpoint is, or
                bfloat16, which unlike float16 does not overflow in models that were not trained with it.
            device: Where the model is to run.

        """
        if name != "auto":
            return getattr(torch, name)  # type: ignore[no-any-return]
        if device.type == "cpu":
            return torch.float32
        saved = str(self.config.get("dtype") or self.config.get("torch_dtype"))
        return torch.float16 if saved.removeprefix("torch.") == "float16" else torch.bfloat16

    def load(self, model_class: str, dtype: torch.dtype) -> tuple[Any, Any]:
        """Return model and processor, on the CPU, in evaluation mode; random states are left as they are.

        Args:
            model_class: Name of the class in transformers.
            dtype: Of the weights.

        Raises:
            RuntimeError:
                If something cannot be read or downloaded, a package is missing, or the checkpoint lacks weights.

        """
        model, processor = self._read(model_class, "AutoProcessor", dtype)
        if not (hasattr(processor, "tokenizer") and hasattr(processor, "image_processor")):
            raise RuntimeError(
                f"Expected `model` to come with a processor of images and texts but got {self.model!r} with a "
                f"{type(processor).__name__} only."
            )
        return model, processor

    def load_language_model(self, dtype: torch.dtype) -> tuple[Any, Any]:
        """Return a model that continues texts and its tokeniser, as `load` does.

        Args:
            dtype: Of the weights.

        Raises:
            RuntimeError:
                See `load`.

        """
        return self._read("AutoModelForCausalLM", "AutoTokenizer", dtype)

    def _read(self, model_class: str, companion_class: str, dtype: torch.dtype) -> tuple[Any, Any]:
        import transformers
        from safetensors import SafetensorError

        self._check_files()
        try:
            with isolated_loading(), quiet_transformers():
                companion = getattr(transformers, companion_class).from_pretrained(self.place, **self._options)
                model, report = getattr(transformers, model_class).from_pretrained(
                    self.place, torch_dtype=dtype, output_loading_info=True, **self._options
                )
        except (OSError, SafetensorError) as error:
            raise self._unavailable(error) from error
        except (ImportError, ValueError, RuntimeError, struct.error) as error:
            raise RuntimeError(
                f"Expected `model` to be one that transformers {transformers.__version__} can load as {model_class} "
                f"but got {self.model!r}: {error}"
            ) from error
        if report["missing_keys"]:
            raise RuntimeError(
                f"Expected `model` to hold all weights of {model_class} but {self.model!r} lacks "
                f"{sorted(report['missing_keys'])}. Untrained weights are never used."
            )
        return model.requires_grad_(False), companion

    @property
    def _is_gguf(self) -> bool:
        path = Path(self.model).expanduser()
        return path.suffix == ".gguf" and path.is_file()

    @property
    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"local_files_only": self.local_files_only}
        return options | {"gguf_file": Path(self.model).name} if self._is_gguf else options

    def _check_files(self) -> None:
        folder = Path(self.place)
        if self._is_gguf:
            return
        if not folder.is_dir():
            if HUB_NAME.fullmatch(self.model):
                return
            raise RuntimeError(f"Expected `model` to be a folder with a model but there is no folder {self.model!r}.")
        for patterns in (("config.json",), WEIGHTS):
            if not any(file for pattern in patterns for file in folder.glob(pattern)):
                raise RuntimeError(
                    f"Expected `model` to be a folder with a model but {self.model!r} holds no {' or '.join(patterns)}."
                )

    def _unavailable(self, error: Exception) -> RuntimeError:
        if Path(self.place).is_dir():
            return RuntimeError(
                f"Expected `model` to be a folder with a model and its processor but got {self.model!r}: {error}"
            )
        return RuntimeError(
            f"Expected `model` to be a folder or a model that the Hugging Face hub delivers but got {self.model!r}, "
            f"which is neither here nor delivered. Where there is a network run `hf download {self.model} --local-dir "
            f"FOLDER`, then use `model='FOLDER'`."
        )


def chosen_device(name: str) -> torch.device:
    """Return the device that a name stands for.

    Args:
        name: ``"auto"``, which takes the GPU if there is one, or a device of torch.

    Raises:
        ValueError:
            If there is no such device.

    Example:
        >>> chosen_device("cpu")
        device(type='cpu')

    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"Expected `device` to be 'auto' or a device of torch but got {name!r}.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"Expected `device` to be there but got {name!r} without a GPU. Use 'auto'.")
    return device


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers from writing progress and advice while a model is read; errors are raised in any case.

    Example:
        >>> with quiet_transformers():
        ...     pass

    """
    from transformers.utils import logging

    with quieted(logging):
        yield


@contextmanager
def quieted(messages: Any) -> Iterator[None]:  # noqa: ANN401 - a module of another package
    """Silence what transformers and diffusers each have in ``utils.logging``: messages below errors, progress bars.

    Args:
        messages: That module.

    """
    verbosity, bars = messages.get_verbosity(), messages.is_progress_bar_enabled()
    messages.set_verbosity_error()
    messages.disable_progress_bar()
    try:
        yield
    finally:
        messages.set_verbosity(verbosity)
        if bars:
            messages.enable_progress_bar()
