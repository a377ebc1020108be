"""The command that lists the layers of a model."""

import torch
from torch import nn

from lightning_dissect.checks import check_positive
from lightning_dissect.commands.importing import called, find
from lightning_dissect.commands.table import aligned
from lightning_dissect.recording import LayerDescription, describe_layers

HEADER = ("name", "type", "output shape", "fires", "parameters")
HOW_TO_CHOOSE = (
    "Choose layers by full name, by the end of a name that only one has ('layer4'), by pattern ('*.conv2') "
    "or by type ('Conv2d'): NeuronDissection(layers=[...])."
)
ABOUT_NEVER = (
    "never: these modules are not called in a forward, so nothing of them can be recorded; "
    "choose the module around them."
)


def layers(target: str, image_size: int = 224, channels: int = 3) -> None:
    """List the layers of a model with what they return for one image.

    Args:
        target: The model as MODULE:FACTORY, for example torchvision.models:resnet18. MODULE is imported (from the
            current folder too), FACTORY is a model in it, or a class or function that gives one without arguments.
        image_size: Height and width of the image in pixels.
        channels: Channels of the image, 3 for colour, 1 for grey.

    """
    check_positive("--image-size", image_size)
    check_positive("--channels", channels)
    model = _load_model(target)
    shape = (1, channels, image_size, image_size)
    try:
        descriptions = describe_layers(model, torch.zeros(shape))
    except Exception as error:
        raise ValueError(
            f"{target} cannot be run on an image of shape {shape} ({type(error).__name__}: {error}); "
            "set --image-size and --channels to what it expects."
        ) from error
    lines = [*aligned(HEADER, map(_row, descriptions), texts=3), "", HOW_TO_CHOOSE]
    if any(layer.fires == 0 for layer in descriptions):
        lines.append(ABOUT_NEVER)
    print("\n".join(lines))


def _load_model(target: str) -> nn.Module:
    """Return the model that ``module:factory`` stands for."""
    module_name, colon, path = target.partition(":")
    if not (module_name and colon and path):
        raise ValueError(f"Expected TARGET to be MODULE:FACTORY, like torchvision.models:resnet18, but got {target!r}.")
    found = find(module_name, path)
    if not isinstance(found, nn.Module):
        found = called(found, target, "model")
    if not isinstance(found, nn.Module):
        raise TypeError(f"Expected {target} to be or give a torch.nn.Module but got {type(found).__name__}.")
    return found


def _row(layer: LayerDescription) -> tuple[str, str, str, str, str]:
    fires = str(layer.fires) if layer.fires else "never"
    return layer.name, layer.class_name, layer.output_shape or "-", fires, f"{layer.parameters:,}"
