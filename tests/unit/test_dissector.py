import math
import re

import numpy as np
import pytest
import torch

from lightning_dissect import DissectionError, Dissector
from lightning_dissect.labelling import label_specificity
from lightning_dissect.metrics import PearsonCorrelation
from lightning_dissect.presence import (
    SIGMOID_CONSTANTS,
    ConceptPresence,
    GivenPresence,
    SigmoidConstants,
    SigmoidPresence,
)
from lightning_dissect.probe import ConceptHierarchy, ConceptVocabulary, annotation_presence
from tests.helpers.colours import COLOURS, ColourDataset, ColourEncoder, colour_network, num_hooks

IMAGES = (torch.stack(list(ColourDataset().images)) * 255).round().to(torch.uint8)


def make(**options):
    defaults = {
        "layers": ["paint"],
        "vocabulary": list(COLOURS),
        "encoder": ColourEncoder(),
        "false_discovery_rate": None,
        "cache": False,
    }
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


def test_candidates_have_directions():
    report = run(make(num_candidates=2), colour_network())
    named = {item.concept for neuron in report.neurons for item in neuron.candidates}
    assert set(report.concept_embeddings) == named
    embeddings = ColourEncoder().encode_texts(list(COLOURS))
    expected = torch.nn.functional.normalize(embeddings - embeddings.mean(dim=0), dim=1)
    for name, place in zip(COLOURS, range(4), strict=True):
        if name in named:
            np.testing.assert_allclose(report.concept_embeddings[name], expected[place], atol=1e-5)
    assert {vector.dtype for vector in report.concept_embeddings.values()} == {np.dtype(np.float32)}


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
    dissector._pictures._thumbnails.budget = 5 * 8 * 8 * 3
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


HIERARCHY = ConceptVocabulary(
    tuple(COLOURS), hierarchy={"red": "warm", "white": "warm", "green": "cold", "blue": "cold"}
)


def test_labels_are_judged_where_the_vocabulary_has_a_hierarchy():
    memberships = torch.eye(4)[ColourDataset().classes]
    dissector, network = make(encoder="annotations", vocabulary=HIERARCHY), colour_network()
    with torch.no_grad():
        network.paint.weight[0] = torch.tensor([-1.0, 0.5, 0.5])[:, None, None]
    for _ in range(2):
        with torch.no_grad(), dissector.record(network), dissector.batch(IMAGES, torch.arange(24), memberships):
            activations = network.paint(IMAGES / 255).mean(dim=(2, 3))
        *judged, dead = dissector.report().neurons
        assert dead.specificity is None
        tree = ConceptHierarchy.of(HIERARCHY)
        presence = annotation_presence(ColourDataset().classes, HIERARCHY, tree)
        labels = [neuron.label for neuron in judged]
        expected = label_specificity(activations[:, :3], labels, presence, tree)
        assert repr([neuron.specificity for neuron in judged]) == repr(list(expected))
    assert judged[1].specificity.parent.name == "cold"
    assert judged[0].specificity.verdict == "too specific"


def test_without_a_hierarchy_nothing_is_said_of_specificity():
    assert {neuron.specificity for neuron in run(make(), colour_network()).neurons} == {None}


def test_a_hierarchy_of_other_concepts_is_refused():
    with pytest.raises(ValueError, match="what is above the concepts"):
        make(vocabulary=ConceptVocabulary(tuple(COLOURS), hierarchy={"cow": ("animal",)}))


def test_verdicts_that_fail_are_a_warning_and_the_labels_stay(monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError("no")

    monkeypatch.setattr("lightning_dissect.labelling.specificity_judge.specificity_table", fail)
    with pytest.warns(UserWarning, match="how specific the labels of 'paint' are. ZeroDivisionError: no"):
        report = run(make(vocabulary=HIERARCHY), colour_network())
    assert [neuron.label for neuron in report.neurons] == ["red", "green", "blue", ""]
    assert {neuron.specificity for neuron in report.neurons} == {None}


def test_quality_is_measured_with_a_presence_of_ones_own():
    values = torch.rand(24, 4, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    presence = GivenPresence(values[order], list(COLOURS), sample_ids=order)
    dissector, network = make(presence=presence), colour_network()
    with torch.no_grad():
        expected = PearsonCorrelation().score(network.paint(IMAGES / 255).mean(dim=(2, 3)), values)
    for _ in range(2):
        report = run(dissector, network)
        assert [neuron.label for neuron in report.neurons] == ["red", "green", "blue", ""]
        for neuron in report.neurons[:3]:
            wanted = [expected[neuron.unit, list(COLOURS).index(found.concept)].item() for found in neuron.candidates]
            assert [found.quality for found in neuron.candidates] == pytest.approx(wanted, abs=1e-5)
    assert report.settings["presence"] == "GivenPresence(24 images x 4 concepts)"


def test_presence_follows_the_sample_ids_when_the_same_images_get_others():
    values = torch.rand(48, 4, generator=torch.Generator().manual_seed(0))
    dissector, network = make(presence=GivenPresence(values)), colour_network()
    qualities = []
    for start in (0, 24):
        with torch.no_grad(), dissector.record(network), dissector.batch(IMAGES, torch.arange(start, start + 24)):
            network(IMAGES / 255)
        qualities.append(dissector.report().neurons[0].quality)
    assert qualities[0] != qualities[1]


def test_an_image_without_presence_is_refused_before_it_is_recorded():
    dissector, network = make(presence=GivenPresence(torch.rand(20, 4))), colour_network()
    with dissector.record(network), pytest.raises(ValueError, match="none for 4 of 24 images"):
        dissector.start_batch(IMAGES, torch.arange(24))
    with pytest.raises(ValueError, match=re.escape("got none of 1 of them, such as 'white'")):
        make(presence=GivenPresence(torch.rand(24, 3), ["red", "green", "blue"]))
