import pytest
import torch

from lightning_dissect.recording import transfer as module
from lightning_dissect.recording.transfer import HostTransfer


class Event:
    def __init__(self) -> None:
        self.reached = False

    def query(self) -> bool:
        return self.reached

    def synchronize(self) -> None:
        self.reached = True


class Stream:
    def __init__(self, events: list[Event]) -> None:
        self.events = events

    def record_event(self) -> Event:
        self.events.append(Event())
        return self.events[-1]


def test_values_on_the_cpu_are_there_at_once() -> None:
    values = {"a": torch.ones(2, 3), "b": torch.zeros(2, 1)}
    transfer = HostTransfer(values)
    assert not transfer.pending
    assert transfer.wait() == values


def test_one_event_per_device_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    monkeypatch.setattr(module, "_WITH_STREAMS", ("cpu",))
    monkeypatch.setattr(torch.accelerator, "current_stream", lambda _: Stream(events))
    transfer = HostTransfer({name: torch.ones(2, 3) for name in "abc"})
    assert len(events) == 1
    assert transfer.pending
    assert list(transfer.wait()) == ["a", "b", "c"]
    assert not transfer.pending


def test_what_cannot_be_copied_fails_alone() -> None:
    transfer = HostTransfer({"a": torch.ones(2, 3, device="meta"), "b": torch.zeros(2, 1)})
    assert list(transfer.wait()) == ["b"]
    assert isinstance(transfer.failures["a"], NotImplementedError)
