"""Validation with one form of sentence: *Expected `x` to be ... but got ...*."""

import importlib.util
from difflib import get_close_matches

from torch import Tensor


def check_score_inputs(activations: Tensor, concepts: Tensor, name: str = "concept_matrix") -> None:
    """Check that activations and a concept matrix (or concept presence) describe the same images.

    Args:
        activations: Pooled activations, shape ``(images, neurons)``.
        concepts: Values per image and concept, shape ``(images, concepts)``.
        name: What the error message calls ``concepts``.

    Raises:
        ValueError:
            If one of the two is not 2-D, holds no element or their numbers of images differ.

    """
    for label, value in (("activations", activations), (name, concepts)):
        if value.ndim != 2 or 0 in value.shape:
            raise ValueError(f"Expected `{label}` to be a non-empty 2-D tensor but got shape {tuple(value.shape)}.")
    if len(activations) != len(concepts):
        raise ValueError(
            f"Expected `activations` and `{name}` to have the same number of images "
            f"but got {len(activations)} and {len(concepts)}."
        )


def check_positive(name: str, value: float) -> None:
    """Check that an argument is greater than zero.

    Args:
        name: Name of the argument.
        value: Its value.

    Raises:
        ValueError:
            If ``value`` is not greater than zero.

    """
    if not value > 0:
        raise ValueError(f"Expected `{name}` to be greater than 0 but got {value}.")


def require_package(module: str, install: str, purpose: str) -> None:
    """Check that an optional package can be imported, without importing it.

    Args:
        module: Name of the module, for example ``"timm"``.
        install: What ``pip install`` is given to get it, for example ``"lightning-dissect[offline]"``.
        purpose: What needs it, as the subject of a sentence.

    Raises:
        ModuleNotFoundError:
            If the package is not installed; the message says what to install.

    """
    if importlib.util.find_spec(module) is None:
        raise ModuleNotFoundError(f"{purpose} needs the package `{module}`: pip install '{install}'.", name=module)


def closest(name: str, candidates: list[str], count: int = 3) -> str:
    """Return the end of an error message that suggests the candidates most like ``name``.

    Args:
        name: What the user wrote.
        candidates: What would have been accepted.
        count: Most candidates named.

    Example:
        >>> closest("layr4", ["layer3", "layer4", "fc"])
        "Did you mean 'layer4' or 'layer3'?"

    """
    matches = get_close_matches(name, candidates, n=count, cutoff=0.5)
    if matches:
        return f"Did you mean {' or '.join(map(repr, matches))}?"
    return f"There are {', '.join(map(repr, candidates[:count]))}." if candidates else "There is none to choose from."
