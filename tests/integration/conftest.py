import pytest
import torch

from lightning_dissect import NeuronDissection
from tests.helpers.colours import COLOURS, ColourEncoder, RecordingWriter


@pytest.fixture(autouse=True)
def _isolation(tmp_path, monkeypatch):
    """Every test runs in a folder of its own and leaves the RNG as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIGHTNING_DISSECT_CACHE", str(tmp_path / "cache"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def trainer_options(tmp_path):
    return {
        "max_epochs": 2,
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "default_root_dir": tmp_path,
    }


@pytest.fixture
def writer():
    return RecordingWriter()


@pytest.fixture
def make_dissection(writer):
    """Return a factory of callbacks that know the colours and keep their reports in `writer`."""

    def make(**options):
        defaults = {
            "layers": ["net.paint"],
            "vocabulary": list(COLOURS),
            "encoder": ColourEncoder(),
            "writers": [writer],
            "cache": False,
            "strict": True,
            "false_discovery_rate": None,
        }
        return NeuronDissection(**{**defaults, **options})

    return make
