"""From a running model to activations: layers, pooling, hooks."""

from lightning_dissect.recording.activation_reader import ActivationReader
from lightning_dissect.recording.describe import LayerDescription, describe_layers
from lightning_dissect.recording.exchange import NeuronShare, exchange_neurons, share_of
from lightning_dissect.recording.histogram import HistogramTable, activation_histograms
from lightning_dissect.recording.layers import SelectedLayer, named_layers, select_layers
from lightning_dissect.recording.pooled import PooledActivations, first_occurrences
from lightning_dissect.recording.pooling import (
    POOLINGS,
    AutoPooling,
    ClsPooling,
    MaxPooling,
    MeanPooling,
    Pooling,
)
from lightning_dissect.recording.recorder import ActivationRecorder
from lightning_dissect.recording.running_top_k import RunningTopK
from lightning_dissect.recording.storage import ActivationStorage
from lightning_dissect.recording.top_k import top_images
from lightning_dissect.recording.unusable import unusable_layers

__all__ = [
    "POOLINGS",
    "ActivationReader",
    "ActivationRecorder",
    "ActivationStorage",
    "AutoPooling",
    "ClsPooling",
    "HistogramTable",
    "LayerDescription",
    "MaxPooling",
    "MeanPooling",
    "NeuronShare",
    "PooledActivations",
    "Pooling",
    "RunningTopK",
    "SelectedLayer",
    "activation_histograms",
    "describe_layers",
    "exchange_neurons",
    "first_occurrences",
    "named_layers",
    "select_layers",
    "share_of",
    "top_images",
    "unusable_layers",
]
