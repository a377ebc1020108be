"""The recorder on real architectures of tiny size, against the raw outputs of the same layers."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from lightning_dissect.recording.layers import select_layers
from lightning_dissect.recording.layout import main_tensor
from lightning_dissect.recording.recorder import ActivationRecorder

ROWS = 3
Rule = Callable[[Tensor], Tensor]


def first(output: Tensor) -> Tensor:
    """Pool maps with their channels in dimension 1."""
    return output.flatten(2).mean(dim=2)


def last(output: Tensor) -> Tensor:
    """Pool maps or tokens with their channels in the last dimension."""
    return output.flatten(1, -2).mean(dim=1)


def cls(output: Tensor) -> Tensor:
    """Take the first token."""
    return output[:, 0]


def after(special_tokens: int) -> Rule:
    """Pool the tokens that are not special."""
    return lambda output: output[:, special_tokens:].mean(dim=1)


def sequence_first(output: Tensor) -> Tensor:
    """Pool tokens of shape ``(tokens, images, channels)``."""
    return output.mean(dim=0)


def unchanged(output: Tensor) -> Tensor:
    return output


def torchvision_resnet() -> nn.Module:
    from torchvision.models.resnet import BasicBlock, ResNet

    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=5)


def torchvision_swin() -> nn.Module:
    from torchvision.models.swin_transformer import SwinTransformer

    return SwinTransformer([2, 2], 8, [1, 1], [1, 1], [2, 2], num_classes=5)


def torchvision_convnext() -> nn.Module:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    return ConvNeXt([CNBlockConfig(12, 24, 1), CNBlockConfig(24, None, 1)], num_classes=5)


def torchvision_vit() -> nn.Module:
    from torchvision.models import VisionTransformer

    return VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=5)


def timm_vit(**settings: object) -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=2, num_classes=5, **settings)


def timm_convnext() -> nn.Module:
    from timm.models.convnext import ConvNeXt

    return ConvNeXt(depths=(1, 1, 1, 1), dims=(8, 12, 16, 24), num_classes=5)


def timm_swin() -> nn.Module:
    from timm.models.swin_transformer import SwinTransformer

    return SwinTransformer(
        img_size=32, patch_size=2, embed_dim=8, depths=(1, 1), num_heads=(1, 1), window_size=4, num_classes=5
    )


TINY = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
}


def hugging_face(kind: str, **settings: object) -> nn.Module:
    import transformers

    config = getattr(transformers, f"{kind}Config")(**{**TINY, **settings})
    return getattr(transformers, f"{kind}Model")(config)


def hugging_face_swin() -> nn.Module:
    import transformers

    return transformers.SwinModel(
        transformers.SwinConfig(
            image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 1], window_size=4
        )
    )


def encoder(batch_first: bool) -> nn.Module:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=batch_first)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


class Attention(nn.Module):
    """Multi-head attention on its own: a tuple of outputs and weights."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x)[0]


def video() -> nn.Module:
    return nn.Sequential(nn.Conv3d(3, 6, 3), nn.BatchNorm3d(6), nn.ReLU(inplace=True), nn.AvgPool3d(2))


def one_dimensional() -> nn.Module:
    return nn.Sequential(nn.Conv1d(3, 6, 3), nn.Sequential(nn.BatchNorm1d(6), nn.ReLU(inplace=True)))


IMAGE = (ROWS, 3, 32, 32)
WIDE = (ROWS, 3, 32, 64)
ARCHITECTURES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], dict[str, Rule]]] = {
    "torchvision resnet": (
        torchvision_resnet,
        IMAGE,
        {"conv1": first, "relu": first, "layer2.0": first, "layer4": first, "avgpool": first, "fc": unchanged},
    ),
    "torchvision resnet, wide": (torchvision_resnet, WIDE, {"relu": first, "layer1.0.relu": first, "layer2": first}),
    "torchvision swin": (
        torchvision_swin,
        IMAGE,
        {"features.0": last, "features.1.0": last, "features.1.0.mlp.1": last, "norm": last, "avgpool": first},
    ),
    "torchvision swin, wide": (torchvision_swin, WIDE, {"features.1": last, "features.2": last, "features.3.0": last}),
    "torchvision convnext": (
        torchvision_convnext,
        IMAGE,
        {
            "features.0": first,
            "features.0.1": first,
            "features.1.0": first,
            "features.1.0.block.2": last,
            "features.1.0.block.4": last,
            "features.1.0.block.5": last,
        },
    ),
    "torchvision convnext, wide": (
        torchvision_convnext,
        WIDE,
        {"features.0.1": first, "features.1": first, "features.1.0.block.4": last, "features.3.0": first},
    ),
    "torchvision vit": (
        torchvision_vit,
        IMAGE,
        {
            "conv_proj": first,
            "encoder": cls,
            "encoder.layers.encoder_layer_0": cls,
            "encoder.layers.encoder_layer_0.self_attention": cls,
            "encoder.layers.encoder_layer_1.mlp.0": cls,
            "heads": unchanged,
        },
    ),
    "timm vit": (
        timm_vit,
        IMAGE,
        {"patch_embed": last, "blocks": cls, "blocks.0.mlp.act": cls, "norm": cls, "head": unchanged},
    ),
    "timm vit with registers": (partial(timm_vit, reg_tokens=4), IMAGE, {"blocks.1": cls, "norm": cls}),
    "timm vit with nothing but registers": (
        partial(timm_vit, class_token=False, reg_tokens=4, global_pool="avg"),
        IMAGE,
        {"blocks.1": after(4), "blocks.0.mlp.fc1": after(4)},
    ),
    "timm vit without special tokens": (
        partial(timm_vit, class_token=False, global_pool="avg"),
        IMAGE,
        {"blocks.1": last, "fc_norm": unchanged},
    ),
    "timm convnext": (
        timm_convnext,
        WIDE,
        {"stem": first, "stem.1": first, "stages.0.blocks.0": first, "stages.0.blocks.0.norm": last},
    ),
    "timm swin": (timm_swin, IMAGE, {"patch_embed": last, "layers.0": last, "layers.1.blocks.0.mlp": last}),
    "hugging face vit": (
        partial(hugging_face, "ViT"),
        IMAGE,
        {"embeddings": cls, "layers.0": cls, "layernorm": cls},
    ),
    "hugging face dinov2 with registers": (
        partial(hugging_face, "Dinov2WithRegisters", num_register_tokens=3),
        IMAGE,
        {"layernorm": cls, "embeddings.patch_embeddings": last},
    ),
    "hugging face siglip": (partial(hugging_face, "SiglipVision"), IMAGE, {"*.layers.1": last}),
    "hugging face clip": (partial(hugging_face, "CLIPVision"), IMAGE, {"*.layers.1": cls, "*.layers.0.mlp": cls}),
    "hugging face swin": (hugging_face_swin, WIDE, {"encoder": last, "encoder.layers.1": last, "layernorm": last}),
    "encoder": (partial(encoder, batch_first=True), (ROWS, 7, 16), {"layers.0": last, "layers.1.linear1": last}),
    "encoder with a class token": (partial(encoder, batch_first=True), (ROWS, 17, 16), {"layers.1": cls}),
    "encoder, sequence first": (
        partial(encoder, batch_first=False),
        (7, ROWS, 16),
        {"layers.0": sequence_first, "layers.1.linear1": sequence_first, "layers.0.self_attn": sequence_first},
    ),
    "encoder, sequence first, as many tokens as images": (
        partial(encoder, batch_first=False),
        (ROWS, ROWS, 16),
        {"layers.0": sequence_first, "layers.1.dropout": sequence_first},
    ),
    "attention": (Attention, (ROWS, 7, 16), {"attention": last}),
    "video": (video, (ROWS, 3, 6, 12, 16), {"0": first, "1": first, "2": first, "3": first}),
    "one dimension": (one_dimensional, (ROWS, 3, 19), {"0": first, "1": first, "1.1": first}),
}


def raw_outputs(model: nn.Module, names: list[str], x: Tensor) -> dict[str, Tensor]:
    outputs: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, args: object, output: object) -> None:
        outputs[name] = main_tensor(output).clone()

    handles = [model.get_submodule(name).register_forward_hook(partial(keep, name)) for name in names]
    model(x)
    for handle in handles:
        handle.remove()
    return outputs


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_activations_are_the_pooled_outputs(architecture: str) -> None:
    build, shape, rules = ARCHITECTURES[architecture]
    torch.manual_seed(0)
    model = build().eval()
    x = torch.randn(shape)
    layers = select_layers(model, list(rules))
    assert len(layers) == len(rules)
    recorder = ActivationRecorder(layers)
    with torch.no_grad():
        expected = raw_outputs(model, list(layers), x)
        before = model(x)
        with recorder:
            recorder.start_batch(torch.arange(ROWS))
            during = model(x)
            recorder.end_batch()
    assert recorder.failures == {}
    assert recorder.silent_layers == []
    for name, rule in zip(layers, rules.values(), strict=True):
        torch.testing.assert_close(recorder.activations[name].compute()[1], rule(expected[name]), msg=name)
    torch.testing.assert_close(main_tensor(during), main_tensor(before), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("build", "name", "special_tokens"),
    [
        (timm_vit, "blocks.1", 1),
        (partial(timm_vit, reg_tokens=4), "blocks.1", 5),
        (torchvision_vit, "encoder", 1),
        (partial(hugging_face, "ViT"), "layernorm", 1),
        (partial(hugging_face, "Dinov2WithRegisters", num_register_tokens=3), "layernorm", 4),
        (partial(hugging_face, "SiglipVision"), "*.layers.1", 0),
    ],
)
@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_mean_and_max_leave_special_tokens_out(
    build: Callable[[], nn.Module], name: str, special_tokens: int, pooling: str
) -> None:
    torch.manual_seed(0)
    model = build().eval()
    x = torch.randn(IMAGE)
    layers = select_layers(model, name, pooling)
    recorder = ActivationRecorder(layers)
    with torch.no_grad(), recorder:
        recorder.start_batch(torch.arange(ROWS))
        model(x)
        recorder.end_batch()
        (found,) = layers
        patches = raw_outputs(model, [found], x)[found][:, special_tokens:]
    expected = patches.mean(dim=1) if pooling == "mean" else patches.amax(dim=1)
    torch.testing.assert_close(recorder.activations[found].compute()[1], expected)


def test_calls_on_parts_of_the_batch_are_joined() -> None:
    torch.manual_seed(0)
    model = encoder(batch_first=False).eval()
    x = torch.randn(7, 6, 16)
    recorder = ActivationRecorder(select_layers(model, "layers.1"))
    with torch.no_grad(), recorder:
        recorder.start_batch(torch.arange(6))
        parts = [model(part) for part in x.split(2, dim=1)]
        recorder.end_batch()
    assert recorder.failures == {}
    torch.testing.assert_close(recorder.activations["layers.1"].compute()[1], torch.cat(parts, dim=1).mean(dim=0))


def test_windows_folded_into_the_batch_are_explained() -> None:
    torch.manual_seed(0)
    model = timm_swin().eval()
    recorder = ActivationRecorder(select_layers(model, "layers.0.blocks.0.attn"))
    with torch.no_grad(), recorder:
        recorder.start_batch(torch.arange(ROWS))
        model(torch.randn(IMAGE))
        recorder.end_batch()
    assert "its calls gave [48]. The images may be folded" in recorder.failures["layers.0.blocks.0.attn"]
