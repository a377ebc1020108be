"""Image-text encoders and the cache of their embeddings."""

from lightning_dissect.encoders.assembled import AssembledEncoder
from lightning_dissect.encoders.base import ENCODERS, SIGMOID_TEMPERATURE, ImageTextEncoder, family_of
from lightning_dissect.encoders.cache import EmbeddingCache, cache_folder
from lightning_dissect.encoders.distillation import Distillation
from lightning_dissect.encoders.efficientnet_lite import efficientnet_lite_preprocessing, load_efficientnet_lite
from lightning_dissect.encoders.export import export_open_clip
from lightning_dissect.encoders.hf_clip import HFClipEncoder
from lightning_dissect.encoders.image_preprocessing import ImagePreprocessing
from lightning_dissect.encoders.open_clip import OpenClipEncoder
from lightning_dissect.encoders.progress import Progress, silent
from lightning_dissect.encoders.prompted import prompted_embeddings

__all__ = [
    "ENCODERS",
    "SIGMOID_TEMPERATURE",
    "AssembledEncoder",
    "Distillation",
    "EmbeddingCache",
    "HFClipEncoder",
    "ImagePreprocessing",
    "ImageTextEncoder",
    "OpenClipEncoder",
    "Progress",
    "cache_folder",
    "efficientnet_lite_preprocessing",
    "export_open_clip",
    "family_of",
    "load_efficientnet_lite",
    "prompted_embeddings",
    "silent",
]
