"""From a running model to activations: layers, pooling, hooks."""

from lightning_dissect.recording.describe import LayerDescription, describe_layers
from lightning_dissect.recording.layers import SelectedLayer, named_layers, select_layers
from lightning_dissect.recording.pooled import PooledActivations
from lightning_dissect.recording.pooling import (
    POOLINGS,
    AutoPooling,
    ClsPooling,
    MaxPooling,
    MeanPooling,
    Pooling,
)
from lightning_dissect.recording.recorder import ActivationRecorder
from lightning_dissect.recording.recording import Recording
from lightning_dissect.recording.top_k import top_images

__all__ = [
    "POOLINGS",
    "ActivationRecorder",
    "AutoPooling",
    "ClsPooling",
    "LayerDescription",
    "MaxPooling",
    "MeanPooling",
    "PooledActivations",
    "Pooling",
    "Recording",
    "SelectedLayer",
    "describe_layers",
    "named_layers",
    "select_layers",
    "top_images",
]
