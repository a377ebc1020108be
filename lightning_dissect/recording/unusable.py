"""Layers that some process could not record, so that none can label them."""

from lightning_dissect.peers import Peers
from lightning_dissect.recording.recorder import ActivationRecorder

_SILENT = (
    "It was never called during the forward passes (a functional call, an unused branch, a traced or exported module); "
    "choose a layer that is called: `python -m lightning_dissect layers` lists them."
)


def unusable_layers(recorder: ActivationRecorder, peers: Peers) -> dict[str, str]:
    """Return why layers have to be left out, the same on every process.

    Args:
        recorder: What this process recorded.
        peers: The processes; each must call this.

    Returns:
        A reason by the layer's full name: no process saw it called, or a process could not record it.

    """
    views = peers.all_gather((recorder.silent_layers, recorder.failures))
    never_called = [layer for layer in recorder.activations if all(layer in layers for layers, _ in views)]
    reasons = dict.fromkeys(never_called, _SILENT)
    for _, failures in views:
        reasons |= failures
    return reasons
