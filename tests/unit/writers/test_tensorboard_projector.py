import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image

from lightning_dissect.report.montage import tile
from lightning_dissect.report.projection import neuron_vectors
from lightning_dissect.report.selection import by_quality
from lightning_dissect.types import LayerDissection, NeuronLabel
from lightning_dissect.writers.tensorboard_projector import METADATA_COLUMNS, SPRITE_SIZE, add_projection
from tests.helpers.small_report import HOSTILE, labelled, small_report

pytest.importorskip("tensorboard")
RUN = "lightning_logs/version_0"


class Projector:
    """What TensorBoard itself serves of a folder."""

    def __init__(self, folder):
        from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
        from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
        from tensorboard.plugins.base_plugin import TBContext
        from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin

        multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
        context = TBContext(logdir=str(folder), data_provider=MultiplexerDataProvider(multiplexer, str(folder)))
        self.apps = ProjectorPlugin(context).get_plugin_apps()

    def get(self, route, **query):
        from werkzeug.test import Client

        response = Client(self.apps[route]).get("/", query_string={"run": RUN, **query})
        assert response.status_code == 200, response.data
        return response.data

    def names(self):
        return [found["tensorName"] for found in json.loads(self.get("/info"))["embeddings"]]


def write(folder, *reports, max_points=100):
    """Log reports as one process does; each call is a process of its own that has the same folder."""
    logger = TensorBoardLogger(folder, version=0)
    for report in reports:
        add_projection(logger, report, report.step, max_points)
    logger.experiment.close()


def test_tensorboard_serves_points_metadata_and_pictures(tmp_path):
    report = small_report()
    write(tmp_path, report)
    projector = Projector(tmp_path)
    assert projector.names() == ["dissection:00030"]
    neurons = by_quality([neuron for neuron in report.neurons if neuron.candidates])
    points = np.frombuffer(projector.get("/tensor", name="dissection:00030"), np.float32).reshape(len(neurons), -1)
    np.testing.assert_allclose(points, neuron_vectors(neurons, {}), rtol=1e-6)
    rows = list(csv.reader(io.StringIO(projector.get("/metadata", name="dissection:00030").decode()), "excel-tab"))
    sprite = Image.open(io.BytesIO(projector.get("/sprite_image", name="dissection:00030")))
    assert len(rows) == 1 + len(neurons) == 9
    assert tuple(rows[0]) == METADATA_COLUMNS
    assert rows[1] == ["apple", "head", "6", "0.75", "labelled"]
    assert " ".join(HOSTILE[2].split()) in [row[0] for row in rows]
    pixels = np.asarray(sprite.convert("RGB"))
    for place, neuron in enumerate(neurons):
        top, left = (SPRITE_SIZE * axis for axis in divmod(place, 3))
        shown = pixels[top : top + SPRITE_SIZE, left : left + SPRITE_SIZE]
        meant = tile(report.images.get(neuron.top_images[0].sample_id), SPRITE_SIZE)
        np.testing.assert_array_equal(shown, np.asarray(meant))


def test_every_dissection_is_listed_and_a_resumed_run_keeps_those_before(tmp_path):
    write(tmp_path, small_report(step=10), small_report(step=20), small_report(step=20, name="second"))
    write(tmp_path, small_report(step=30), small_report(step=40))
    names = ["dissection:00010", "dissection:00020", "second:00020", "dissection:00030", "dissection:00040"]
    assert Projector(tmp_path).names() == names
    write(tmp_path, small_report(step=40))
    assert Projector(tmp_path).names() == names


def test_directions_of_concepts_decide_who_is_near(tmp_path):
    neurons = tuple(labelled("fc", unit, label, 0.5) for unit, label in enumerate(("dog", "puppy", "car")))
    vectors = {"dog": [1.0, 0.0], "puppy": [0.9, 0.4], "car": [0.0, 1.0]}
    directions = {name: np.array(vector, np.float32) for name, vector in vectors.items()}
    write(tmp_path, small_report(layers=(LayerDissection("fc", neurons),), concept_embeddings=directions))
    dog, puppy, car = np.loadtxt(tmp_path / RUN / "00030" / "dissection" / "tensors.tsv")
    assert np.linalg.norm(dog - puppy) < np.linalg.norm(dog - car)


def test_above_the_limit_neurons_are_spread_and_one_without_pictures_has_a_placeholder(tmp_path):
    neurons = tuple(replace(labelled("fc", unit, "x", unit / 50), top_images=()) for unit in range(50))
    write(tmp_path, small_report(layers=(LayerDissection("fc", neurons),)), max_points=5)
    folder = tmp_path / RUN / "00030" / "dissection"
    units = [line.split("\t")[2] for line in (folder / "metadata.tsv").read_text().splitlines()]
    assert units == ["unit", "49", "37", "25", "13", "0"]
    shown = np.asarray(Image.open(folder / "sprite.png"))[:SPRITE_SIZE, :SPRITE_SIZE]
    np.testing.assert_array_equal(shown, np.asarray(tile(None, SPRITE_SIZE)))


def test_nothing_is_added_without_candidates(tmp_path):
    dead = LayerDissection("fc", (NeuronLabel("fc", 0, "dead"),))
    write(tmp_path, small_report(layers=(dead,)))
    assert not Path(tmp_path, RUN, "projector_config.pbtxt").exists()
