"""Diffusion pipelines of a few thousand weights, made from configurations and saved as `save_pretrained` does."""

from pathlib import Path

import torch
import transformers
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)

from tests.helpers.tiny_vlm import tokenizer

WIDTH, SIDE = 32, 16


def text_encoder(num_tokens):
    config = transformers.CLIPTextConfig(
        vocab_size=num_tokens,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return transformers.CLIPTextModel(config)


def parts(channels):
    words = tokenizer(first="<s>", last="</s>")
    words.model_max_length = 77
    blocks = {"block_out_channels": (32, 64), "layers_per_block": 1, "norm_num_groups": 8}
    return {
        "tokenizer": words,
        "text_encoder": text_encoder(len(words)),
        "vae": AutoencoderKL(
            **blocks,
            latent_channels=4,
            sample_size=SIDE,
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
        ),
        "unet": UNet2DConditionModel(
            **blocks,
            sample_size=SIDE // 2,
            in_channels=channels,
            out_channels=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=WIDTH,
        ),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


def save_painter(folder: Path) -> Path:
    """Stable Diffusion, with noise at every step as turbo models have it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        scheduler = EulerAncestralDiscreteScheduler(timestep_spacing="trailing")
        StableDiffusionPipeline(**parts(4), scheduler=scheduler).save_pretrained(folder)
    return folder


def save_editor(folder: Path) -> Path:
    """InstructPix2Pix."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        StableDiffusionInstructPix2PixPipeline(**parts(8), scheduler=DDIMScheduler()).save_pretrained(folder)
    return folder
