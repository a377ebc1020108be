from dataclasses import replace

import pytest
import torch

from lightning_dissect import Dissector
from lightning_dissect.probe import ConceptVocabulary
from lightning_dissect.refine import ConceptRefinement, PlantedNetwork, RefinementPlan, SearchBudget
from lightning_dissect.refiner import LabelRefiner, described
from tests.helpers.word_world import WORDS, Neighbours, Painter, WordEncoder, evidence, pool, unit

UNITS = [unit("single", word) for word in WORDS[:4]] + [unit("random")]
IMAGES = pool(120).images


@pytest.fixture
def dissected(tmp_path):
    network = PlantedNetwork(evidence, WORDS, UNITS, 0.15).eval()
    dissector = Dissector(["units"], WORDS, WordEncoder(), untrained_networks=0)
    with torch.inference_mode(), dissector.record(network), dissector.batch(IMAGES):
        network(IMAGES / 255)
    return network, dissector, dissector.report(dirpath=tmp_path)


def plan(search=None, **settings):
    search = search or ConceptRefinement(proposer=Neighbours(), generator=Painter(), steps=1)
    return RefinementPlan(search, **{"neurons": "all", "every_n_dissections": 1, **settings})


def refined(dissected, of=None, seen=IMAGES, **settings):
    network, dissector, report = dissected
    refiner = LabelRefiner(of or plan(), dissector.concepts.vocabulary, dissector.concepts.cache)
    for batch in seen.split(50):
        refiner.see(batch)
    layers = dissector.selected_layers(network)
    return refiner, refiner.refine(report, network, layers, lambda images: images / 255, **settings)


def labels(found):
    return {neuron.unit: neuron.label for neuron in found.neurons if neuron.unit < 4}


def test_what_was_found_stands_under_the_dissection_that_it_began_with(dissected, tmp_path):
    refiner, found = refined(dissected)
    report = dissected[-1]
    assert refiner.last_report is found
    assert (found.epoch, found.step, found.cycle) == (report.epoch, report.step, report.cycle)
    assert (found.dirpath, found.logger_step, found.name) == (report.dirpath, report.logger_step, report.name)
    assert labels(found) == dict(enumerate(WORDS[:4]))
    assert (found.folder / "history.jsonl").is_file()
    assert found.settings.items() >= report.settings.items()
    assert found.settings["proposer"] == "Neighbours"


def test_only_chosen_neurons_are_searched(dissected):
    _, found = refined(dissected, plan(neurons={"units": [2]}))
    assert [(neuron.layer, neuron.unit) for neuron in found.neurons] == [("units", 2)]
    _, found = refined(dissected, plan(neurons="changed"), changed={("units", 1)})
    assert [neuron.unit for neuron in found.neurons] == [1]


def test_without_a_neuron_to_search_there_is_no_report(dissected):
    refiner, found = refined(dissected, plan(neurons="changed"))
    assert found is None
    assert refiner.last_report is None


def test_the_images_of_the_last_validation_are_forgotten(dissected):
    network, dissector, report = dissected
    refiner = LabelRefiner(plan(), dissector.concepts.vocabulary, dissector.concepts.cache)
    refiner.see(IMAGES)
    refiner.start()
    refiner.see(IMAGES[:3])
    with pytest.raises(ValueError, match="4"):
        refiner.refine(report, network, dissector.selected_layers(network), lambda images: images / 255)


def test_nothing_is_kept_of_a_search_without_a_folder(dissected):
    network, dissector, report = dissected
    _, found = refined((network, dissector, replace(report, dirpath=None)))
    assert found.folder is None
    assert found.neurons


def test_labels_of_annotations_need_a_proposer_and_a_generator_without_encoder(dissected):
    with pytest.raises(ValueError, match="RetrievalGenerator"):
        LabelRefiner(
            plan(ConceptRefinement(proposer=Neighbours(), generator="retrieval")), ConceptVocabulary(("a",)), None
        )
    network, dissector, report = dissected
    refiner = LabelRefiner(plan(), dissector.concepts.vocabulary, None)
    refiner.see(IMAGES)
    found = refiner.refine(report, network, dissector.selected_layers(network), lambda images: images / 255)
    assert labels(found) == dict(enumerate(WORDS[:4]))


def test_progress_is_told(dissected):
    told = []
    refined(dissected, progress=lambda *now: told.append(now))
    assert {what for what, *_ in told} == {"Searching for labels", "Judging labels"}


def test_a_search_is_described_in_plain_text():
    search = ConceptRefinement(proposer=Neighbours(), generator=Painter(), budget=SearchBudget(seconds=5), steps=3)
    found = described(search)
    assert (found["proposer"], found["generator"], found["judging generator"]) == ("Neighbours", "Painter", "Painter")
    assert "steps 3" in found["search"]
    assert "5" in found["budget"]
