"""What one process holds of a recorded model."""

from collections.abc import Iterable
from dataclasses import dataclass

from lightning_dissect.recording.pooled import PooledActivations


@dataclass(frozen=True)
class Recording:
    """Rows of numbers by sample id, which merge over batches and processes.

    Args:
        activations: Pooled activations by layer.
        concept_rows: What is known of the concepts in each image, one row per image.
        silent_layers: Layers that were never called.
        failures: Why a layer could not be recorded, by layer.

    """

    activations: dict[str, PooledActivations]
    concept_rows: PooledActivations
    silent_layers: tuple[str, ...]
    failures: dict[str, str]

    def without(self, layers: Iterable[str]) -> "Recording":
        """Return the recording of the other layers.

        Args:
            layers: Names of layers to leave out.

        """
        left_out = set(layers)
        kept = {layer: state for layer, state in self.activations.items() if layer not in left_out}
        return Recording(kept, self.concept_rows, self.silent_layers, self.failures)

    def merge_state(self, other: "Recording") -> None:
        """Add the rows of another process; an image that both hold counts once.

        Args:
            other: A recording of the same layers.

        """
        for layer, state in other.activations.items():
            self.activations[layer].merge_state(state)
        self.concept_rows.merge_state(other.concept_rows)
