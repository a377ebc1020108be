import pytest

from lightning_dissect.failures import noting


def test_a_failure_is_noted_with_its_traceback_and_stops_nothing():
    failures = []
    with noting(failures, "It failed."):
        raise OSError("disk full")
    with noting(failures, "Not noted."):
        pass
    assert len(failures) == 1
    assert failures[0].startswith("It failed.\nTraceback")
    assert "disk full" in failures[0]


def test_who_is_asked_to_stop_stops():
    with pytest.raises(KeyboardInterrupt), noting([], "It failed."):
        raise KeyboardInterrupt
