import math

import numpy as np
import pytest
import torch

from lightning_dissect import DissectionError, Dissector
from lightning_dissect.metrics import PearsonCorrelation
from lightning_dissect.presence import SIGMOID_CONSTANTS, ConceptPresence, SigmoidConstants, SigmoidPresence
from tests.helpers.colours import COLOURS, ColourDataset, ColourEncoder, colour_network, num_hooks

IMAGES = (torch.stack(list(ColourDataset().images)) * 255).round().to(torch.uint8)


def make(**options):
    defaults = {"layers": ["paint"], "vocabulary": list(COLOURS), "encoder": ColourEncoder(), "cache": False}
    return Dissector(**{**defaults, **options})


def run(dissector, network, **options):
    with torch.no_grad(), dissector.record(network, options.pop("image_reader", None)):
        for part in torch.arange(24).split(7):
            with dissector.batch(IMAGES[part], sample_ids=part):
                network(IMAGES[part] / 255)
    return dissector.report(**options)


def test_a_report_without_a_trainer():
    network = colour_network()
    report = run(make(), network, epoch=3, step=7, name="mine")
    assert [neuron.label for neuron in report.neurons] == ["red", "green", "blue", ""]
    assert (report.epoch, report.step, report.name, report.num_images) == (3, 7, "mine", 24)
    assert report.settings["vocabulary"] == "list (4 concepts)"
    assert num_hooks(network) == 0


@pytest.mark.parametrize("presence", [SigmoidConstants(20.0, -0.8), "softmax"])
def test_quality_is_measured_with_the_presence_chosen(presence):
    dissector, network = make(presence=presence), colour_network()
    report = run(dissector, network)
    assert report.settings["presence"] == (presence if isinstance(presence, str) else repr(presence))
    encoder = ColourEncoder()
    cosines = encoder.encode_images(IMAGES) @ encoder.encode_texts(list(COLOURS)).T
    columns = (ConceptPresence(cosines) if presence == "softmax" else SigmoidPresence(cosines, presence)).columns(
        slice(None)
    )
    with torch.no_grad():
        activations = network.paint(IMAGES / 255).mean(dim=(2, 3))
    expected = PearsonCorrelation().score(activations, columns)
    for neuron in report.neurons[:3]:
        for candidate in neuron.candidates:
            wanted = expected[neuron.unit, list(COLOURS).index(candidate.concept)].item()
            assert candidate.quality == pytest.approx(wanted, abs=1e-5)


def test_annotations_are_the_presence():
    memberships = torch.rand(24, 4, generator=torch.Generator().manual_seed(0))
    dissector, network = make(encoder="annotations", presence="softmax"), colour_network()
    with torch.no_grad(), dissector.record(network), dissector.batch(IMAGES, torch.arange(24), memberships):
        activations = network.paint(IMAGES / 255).mean(dim=(2, 3))
    expected = PearsonCorrelation().score(activations, memberships)
    for neuron in dissector.report().neurons[:3]:
        wanted = [expected[neuron.unit, list(COLOURS).index(found.concept)].item() for found in neuron.candidates]
        assert [found.quality for found in neuron.candidates] == pytest.approx(wanted, abs=1e-5)


def test_an_unknown_presence_is_refused():
    with pytest.raises(
        ValueError, match=r"`presence` to be 'softmax', 'sigmoid' or SigmoidConstants, or .* but got 'sotfmax'"
    ):
        make(presence="sotfmax")
    with pytest.raises(ValueError, match=r"`encoder` to be one whose constants are published.*calibrate"):
        make(presence="sigmoid")


def test_published_constants_are_found_by_the_encoders_name():
    name = "hf_clip:google/siglip-so400m-patch14-384"
    assert make(encoder=name, presence="sigmoid").concepts.constants == SIGMOID_CONSTANTS[name]


def test_a_second_recording_forgets_the_first():
    dissector, network = make(), colour_network()
    run(dissector, network)
    with torch.no_grad(), dissector.record(network), dissector.batch(IMAGES[:4]):
        network(IMAGES[:4] / 255)
    assert dissector.report().num_images == 4


def test_pictures_come_from_the_reader_once():
    read = []

    def reader(sample_id):
        read.append(sample_id)
        return None if sample_id == 0 else np.full((2, 2, 3), sample_id, dtype=np.uint8)

    dissector, network = make(), colour_network()
    first = run(dissector, network, image_reader=reader)
    assert all((picture == sample_id).all() for sample_id, picture in first.images.items())
    count = len(read)
    second = run(dissector, network, image_reader=reader)
    assert second.images.keys() == first.images.keys()
    assert read[count:] == [0]


def test_without_a_reader_pictures_of_top_images_survive_a_small_budget():
    dissector = make(num_top_images=1)
    dissector._thumbnails.budget = 5 * 8 * 8 * 3
    report = run(dissector, colour_network())
    shown = {image.sample_id for neuron in report.neurons for image in neuron.top_images}
    assert report.images.keys() == shown


def test_layers_that_fire_on_some_images_only_are_labelled_by_those():
    network = colour_network()
    dissector = make(layers=["paint", "act"])
    with torch.no_grad(), dissector.record(network):
        for step, part in enumerate(torch.arange(24).split(8)):
            with dissector.batch(IMAGES[part], sample_ids=part):
                (network.paint if step == 0 else network)(IMAGES[part] / 255)
    report = dissector.report()
    assert [neuron.label for neuron in report.neurons] == ["red", "green", "blue", ""] * 2


def test_images_that_do_not_count_are_left_out():
    dissector, network = make(), colour_network()
    keep = torch.arange(24) < 20
    with torch.no_grad(), dissector.record(network):
        dissector.start_batch(IMAGES, keep=keep)
        network(IMAGES / 255)
        dissector.end_batch()
        dissector.start_batch(IMAGES[:2], keep=torch.zeros(2, dtype=torch.bool))
        network(IMAGES[:2] / 255)
        dissector.end_batch()
    assert dissector.report().num_images == 20


def test_too_few_images_are_an_error():
    dissector, network = make(), colour_network()
    with dissector.record(network), dissector.batch(IMAGES[:1]):
        network(IMAGES[:1] / 255)
    with pytest.raises(DissectionError, match="at least 2 probe images but 1"):
        dissector.report()


def test_a_failing_similarity_is_a_dissection_error_with_its_cause():
    class Grumpy:
        def score(self, activations, concept_matrix):
            raise ZeroDivisionError("no")

    with pytest.raises(DissectionError, match="ZeroDivisionError: no") as caught:
        run(make(similarity=Grumpy()), colour_network())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_nothing_works_before_attach():
    for call in (make().report, make().end_batch, lambda: make().start_batch(IMAGES)):
        with pytest.raises(RuntimeError, match="Call `attach` or use `record` first"):
            call()
    make().detach()


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.warns(UserWarning, match="could not be kept on disk"):
        report = run(make(cache=blocked), colour_network())
    assert len(report.neurons) == 4


def test_the_cache_is_used_by_the_next_dissector(tmp_path):
    encoders = [ColourEncoder(), ColourEncoder()]
    for encoder in encoders:
        run(make(encoder=encoder, cache=tmp_path), colour_network())
    assert [encoder.num_encoded for encoder in encoders] == [24, 0]


def test_progress_ends_complete():
    seen = {}
    run(make(layers=["paint", "act"]), colour_network(), progress=lambda *call: seen.update({call[0]: call[1:]}))
    assert seen == {"Encoding images": (24, math.inf), "Encoding concepts": (4, 4), "Labelling layers": (2, 2)}
