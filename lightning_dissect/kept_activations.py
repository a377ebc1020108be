"""The activations that are kept to tell units from each other after a training."""

from collections.abc import Mapping
from dataclasses import dataclass

from lightning_dissect.array_archive import Array, pack_arrays, unpack_arrays

_SCHEMA = 1


@dataclass(frozen=True, eq=False)
class KeptActivations:
    """Activations of all units of some layers on some images of the probe.

    Correlations need no more of a unit than the order and the distances of its activations. So each unit has its least
    activation on these images as 0 and its largest as 1, whatever its scale: float16 does for it, and neither large
    nor small numbers are lost.

    Args:
        sample_ids: Ids of the images, ascending, shape ``(images,)``, int64.
        layers: By the full name of the layer, shape ``(images, units)``, float16; a unit that is the same on all these
            images is 0, one that is NaN or infinite on some of them is NaN.

    Example:
        >>> import numpy as np
        >>> kept = KeptActivations(np.array([3, 5]), {"fc": np.array([[0, 1], [1, 0]], np.float16)})
        >>> KeptActivations.read(kept.to_bytes()).layers["fc"].tolist()
        [[0.0, 1.0], [1.0, 0.0]]

    """

    sample_ids: Array
    layers: Mapping[str, Array]

    def to_bytes(self) -> bytes:
        """Return the content of a file: an archive of NumPy arrays."""
        arrays = {f"layer.{place}": values for place, values in enumerate(self.layers.values())}
        arrays["sample_ids"] = self.sample_ids
        return pack_arrays(arrays, {"layers": list(self.layers)}, _SCHEMA, compressed=False)

    @classmethod
    def read(cls, content: bytes) -> "KeptActivations":
        """Return what `to_bytes` wrote.

        Args:
            content: The content of the file.

        Raises:
            ValueError:
                If it is of another schema.

        """
        arrays, rest = unpack_arrays(content, "activations", _SCHEMA)
        return cls(arrays["sample_ids"], {name: arrays[f"layer.{i}"] for i, name in enumerate(rest["layers"])})
