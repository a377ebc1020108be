import pytest
import torch

from lightning_dissect import Dissector
from lightning_dissect.budget import ByteBudget
from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.distributed import in_step
from lightning_dissect.labeller import Labeller
from lightning_dissect.labelling import CLIPDissect, MetricJudge, resolve_concepts
from lightning_dissect.probe import ConceptVocabulary
from lightning_dissect.recording import NeuronShare
from lightning_dissect.trust import TrustJudge
from tests.helpers.planted import CONCEPTS, DEAD, PLANTED, UNITS, PlantedDataset, planted_network, random_network

DATA = PlantedDataset()
IMAGES = (DATA.images * 255).round().to(torch.uint8)


def labeller(trust=None):
    source = resolve_concepts(ConceptVocabulary(tuple(CONCEPTS)), "annotations")
    return Labeller(source, CLIPDissect("correlation"), None, MetricJudge((), 2**20), trust, 3)


def label(found, activations, sample_ids, started=None):
    """Label one layer of a dissection of some images."""
    started = sample_ids if started is None else started
    share = NeuronShare(slice(0, activations.shape[1]), sample_ids, activations, activations.shape[1])
    with in_step("labelling") as peers:
        found.start(ConceptMatrix.of(DATA.presence[started]), started, ["act"], peers)
        return found.layer("act", share, peers)


def dissector(**options):
    return Dissector(**{"layers": ["act"], "vocabulary": CONCEPTS, "encoder": "annotations", "cache": False} | options)


def run(dissecting, network, images=range(160), **parts):
    """Dissect a network, or only some of its layers on the last images."""
    ids = torch.tensor(images)
    with torch.no_grad(), dissecting.record(network):
        for number, chosen in enumerate(ids.split(24)):
            with dissecting.batch(IMAGES[chosen], chosen, DATA.presence[chosen]):
                (network if number or "first" not in parts else parts["first"])(DATA.images[chosen])
    return dissecting.report()


@pytest.fixture(scope="module")
def activations():
    network = planted_network()
    with torch.no_grad():
        return network.act(network.conv(DATA.images)).mean(dim=(2, 3))


def test_a_layer_needs_a_start():
    share = NeuronShare(slice(0, 1), torch.arange(4), torch.rand(4, 1), 1)
    with in_step("labelling") as peers, pytest.raises(RuntimeError, match="Expected `start` to have been called"):
        labeller().layer("act", share, peers)


def test_without_a_judge_no_label_is_judged(activations):
    layer = label(labeller(), activations, torch.arange(160))
    assert {neuron.trust for neuron in layer.neurons} == {None}
    assert [neuron.status for neuron in layer.neurons] == ["labelled"] * DEAD + ["dead"]


def test_a_judge_changes_status_and_trust_only(activations):
    judged = label(labeller(TrustJudge(0.05, 0, ByteBudget())), activations, torch.arange(160))
    plain = label(labeller(), activations, torch.arange(160))
    for one, other in zip(judged.neurons, plain.neurons, strict=True):
        assert [item.concept for item in one.candidates] == [item.concept for item in other.candidates]
        assert [item.score for item in one.candidates] == [item.score for item in other.candidates]
        assert [item.quality for item in one.candidates] == pytest.approx([item.quality for item in other.candidates])
        assert one.top_images == other.top_images
        assert (one.trust is None) == (one.status == "dead") == (other.status == "dead")
    assert {neuron.status for neuron in judged.neurons[:PLANTED]} <= {"labelled", "ambiguous"}


def test_two_images_get_labels_that_nobody_judges(activations):
    found = labeller(TrustJudge(0.05, 0, ByteBudget()))
    layer = label(found, activations[:2], torch.arange(2))
    assert {neuron.trust for neuron in layer.neurons} == {None}
    assert "labelled" in {neuron.status for neuron in layer.neurons}


def test_images_of_one_layer_are_judged_by_their_own_concepts(activations):
    """As if the other images had not been there."""
    seen = torch.arange(0, 160, 2)
    part = label(labeller(TrustJudge(0.05, 0, ByteBudget())), activations[seen], seen, started=torch.arange(160))
    alone = label(labeller(TrustJudge(0.05, 0, ByteBudget())), activations[seen], seen)
    assert [neuron.status for neuron in part.neurons] == [neuron.status for neuron in alone.neurons]
    assert repr([neuron.trust for neuron in part.neurons]) == repr([neuron.trust for neuron in alone.neurons])


def test_planted_units_stand_out_from_an_untrained_network():
    statuses = [neuron.status for neuron in run(dissector(), planted_network()).neurons]
    assert {*statuses[:PLANTED]} == {"labelled", "ambiguous"}
    assert {*statuses[PLANTED:DEAD]} == {"no_clear_function"}
    assert statuses[DEAD] == "dead"
    chance = run(dissector(untrained_networks=0), random_network())
    assert sum(neuron.label == "bright" for neuron in chance.neurons) > UNITS / 3
    assert {neuron.status for neuron in run(dissector(), random_network()).neurons} == {"no_clear_function"}


def test_floors_serve_later_dissections_of_the_same_images():
    dissecting, network = dissector(), planted_network()
    reports = [run(dissecting, network) for _ in range(2)]
    assert repr(reports[0].layers) == repr(reports[1].layers)
    assert not reports[0].neurons[0].trust.q_untrained > 0.05


def test_a_layer_that_fires_on_some_images_is_held_against_chance():
    dissecting, network = dissector(layers=["conv", "act"]), planted_network()
    with pytest.warns(UserWarning, match="'act' are held against chance, .* for every image but some did not"):
        report = run(dissecting, network, first=network.conv)
    conv, act = ([neuron.trust for neuron in layer.neurons[:DEAD]] for layer in report.layers)
    assert not any(torch.tensor(trust.q_untrained).isnan() for trust in conv)
    assert all(torch.tensor(trust.q_untrained).isnan() for trust in act)
    assert "chance alone in act" in report.settings["false-discovery rate"]


def test_other_images_are_held_against_chance(recwarn):
    dissecting, network = dissector(), planted_network()
    reports = [run(dissecting, network, images) for images in (range(160), range(140), range(140))]
    against = [report.settings["false-discovery rate"].split(", ")[1] for report in reports]
    assert against[0] == "against chance and 4 untrained networks"
    assert against[1].startswith("against chance alone: The images or concepts are no longer")
    assert against[1] == against[2]
    assert torch.tensor(reports[2].neurons[0].trust.q_untrained).isnan()
    assert sum("no longer those" in str(warning.message) for warning in recwarn.list) == 1


def test_what_is_said_of_each_neuron_beside_its_label():
    report = run(dissector(), planted_network())
    activations = planted_network().act(planted_network().conv(DATA.images)).mean(dim=(2, 3)).detach()
    stability = torch.tensor([neuron.trust.stability for neuron in report.neurons[:DEAD]])
    assert ((stability > 0.19) & (stability <= 1)).all()
    assert stability[:PLANTED].mean() > stability[PLANTED:].mean() + 0.1
    histograms = [neuron.histogram for neuron in report.neurons]
    assert histograms[DEAD].counts == (160,)
    assert {(len(found.counts), sum(found.counts)) for found in histograms[:DEAD]} == {(24, 160)}
    assert histograms[0].high == pytest.approx(activations[:, 0].max().item())
    assert report.activations.sample_ids.tolist() == list(range(160))
    kept = torch.from_numpy(report.activations.layers["act"]).double()
    together = torch.corrcoef(torch.cat([kept[:, :1], activations[:, :1].double()], dim=1).T)
    assert together[0, 1] == pytest.approx(1, abs=1e-5)
    assert report.concept_embeddings == {}
