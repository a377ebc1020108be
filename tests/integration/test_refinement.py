"""Labels beyond the vocabulary, searched for in a real fit."""

import json
import warnings

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import FSDPStrategy
from torch.multiprocessing.spawn import ProcessRaisedException

from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.refine import ConceptRefinement, Proposal, RefinementPlan, SearchBudget
from tests.helpers.colours import COLOURS, ColourModule, RecordingWriter
from tests.helpers.processes import processes

WORDS = ["red", "green", "white"]


class Names:
    """Names the colours that were not tried; may fail."""

    def __init__(self, failure=None):
        self.failure = failure

    def propose(self, request):
        if self.failure:
            raise self.failure
        left = [name for name in COLOURS if name not in request.tried]
        return Proposal(tuple(left[: request.count]))

    def fingerprint(self):
        return "names"


class Paint:
    """Paints a colour, larger than the network's input."""

    def generate(self, concept, count, purpose):
        generator = torch.Generator().manual_seed(int(fingerprint(concept, purpose)[:8], 16))
        colour = torch.tensor(COLOURS[concept])[None, :, None, None]
        brightness = 120 + 120 * torch.rand(count, 1, 1, 1, generator=generator)
        return (colour * brightness + 5 * torch.rand(count, 3, 20, 16, generator=generator)).to(torch.uint8)

    def fingerprint(self):
        return "paint"


class RefinementRecorder(RecordingWriter):
    def __init__(self):
        super().__init__()
        self.refinements = []

    def write_refinement(self, report, loggers):
        self.refinements.append(report)


def plan(proposer=None, budget=None, **settings):
    search = ConceptRefinement(
        proposer or Names(),
        Paint(),
        steps=2,
        random_concepts=0,
        judging_images=12,
        budget=budget or SearchBudget(),
    )
    return RefinementPlan(search, **{"neurons": "all", **settings})


@pytest.fixture
def refined_fit(make_dissection, trainer_options):
    def fit(refinement, module=None, writer=None, **options):
        writer = writer or RefinementRecorder()
        dissection = make_dissection(refinement=refinement, vocabulary=WORDS, writers=[writer], **options)
        trainer = Trainer(callbacks=[dissection], num_sanity_val_steps=0, **trainer_options)
        trainer.fit(module or ColourModule())
        return dissection, writer, trainer

    return fit


def test_a_colour_that_the_vocabulary_lacks_is_found_at_the_end_of_the_training(refined_fit, tmp_path):
    dissection, writer, _ = refined_fit(plan())
    (found,) = writer.refinements
    assert len(writer.reports) == 2
    assert found is dissection.last_refinement
    assert (found.cycle, found.epoch, found.step) == (1, 1, 6)
    labels = {neuron.unit: neuron for neuron in found.neurons}
    assert labels[2].label == "blue"
    assert labels[2].start in WORDS
    assert labels[2].judged.auc > labels[2].start_judged.auc
    assert {labels[unit].label for unit in (0, 1)} == {"red", "green"}
    assert set(found.pictures) >= set(labels[2].best.image_ids)
    assert "Names" in found.settings["proposer"]
    assert found.folder.name == "cycle-0001"
    lines = (found.folder / "history.jsonl").read_text().splitlines()
    assert any(json.loads(line).get("concept") == "blue" for line in lines)


def test_labels_are_searched_for_every_n_dissections(refined_fit):
    _, writer, _ = refined_fit(plan(every_n_dissections=1, at_end=False))
    assert [found.cycle for found in writer.refinements] == [0, 1]
    _, writer, _ = refined_fit(plan(every_n_dissections=1))
    assert [found.cycle for found in writer.refinements] == [0, 1]


def test_images_are_given_to_the_network_as_those_of_the_validation(refined_fit):
    module = ColourModule()
    shapes, brightest = [], []

    def look(_, inputs):
        shapes.append(tuple(inputs[0].shape[1:]))
        brightest.append(inputs[0].amax().item())

    module.net.register_forward_pre_hook(look)
    refined_fit(plan(), module)
    assert set(shapes) == {(3, 8, 8)}
    assert max(brightest) < 4


def test_a_preprocessing_and_a_forward_of_ones_own(refined_fit):
    called = []

    def forward(module, images):
        called.append(images.shape)
        return module.net(images)

    _, writer, _ = refined_fit(
        plan(preprocess=lambda images: images[:, :, :8, :8] / 255, forward_fn=forward),
        denormalize=lambda images: images.clamp(0, 1),
    )
    assert called
    assert writer.refinements


def test_neurons_that_are_disputed_changed_or_named(refined_fit):
    _, writer, _ = refined_fit(plan(neurons="disputed"))
    assert writer.refinements == []
    _, writer, _ = refined_fit(plan(neurons="changed"))
    assert writer.refinements == []
    _, writer, _ = refined_fit(plan(neurons="changed"), ColourModule(learning_rate=1e4))
    assert {neuron.unit for found in writer.refinements for neuron in found.neurons} <= {0, 1, 2, 3}
    _, writer, _ = refined_fit(plan(neurons={"net.paint": [2]}))
    assert [neuron.unit for neuron in writer.refinements[0].neurons] == [2]


@pytest.mark.parametrize("what", ["proposer", "writer", "neurons", "images"])
def test_a_failure_leaves_the_training_as_it_is(refined_fit, what):
    class Broken(RefinementRecorder):
        def write_refinement(self, report, loggers):
            raise OSError("disk full")

    refinement = {
        "proposer": plan(Names(RuntimeError("no words"))),
        "neurons": plan(neurons={"net.paint": [99]}),
        "images": plan(pool_images=3),
    }.get(what, plan())
    with pytest.warns(UserWarning, match="disk full" if what == "writer" else "The search for labels failed"):
        _, writer, trainer = refined_fit(refinement, writer=Broken() if what == "writer" else None, strict=False)
    assert len(writer.reports) == 2
    assert trainer.current_epoch == 2


def test_a_failure_stops_a_strict_run(refined_fit):
    with pytest.raises(Exception, match="no words"):
        refined_fit(plan(Names(RuntimeError("no words"))))


def test_a_search_leaves_weights_modes_hooks_and_random_state_alone(make_dissection, trainer_options):
    def fit(refinement):
        torch.manual_seed(3)
        module = ColourModule(learning_rate=0.1)
        dissection = make_dissection(refinement=refinement, vocabulary=WORDS, writers=[])
        Trainer(callbacks=[dissection], num_sanity_val_steps=0, **trainer_options).fit(module)
        return module.state_dict(), torch.get_rng_state(), [part.training for part in module.modules()]

    (plain, rng, modes), (searched, rng_after, modes_after) = fit(None), fit(plan(every_n_dissections=1))
    assert all(torch.equal(plain[name], searched[name]) for name in plain)
    assert torch.equal(rng, rng_after)
    assert modes == modes_after


def test_a_run_without_a_search_has_none(refined_fit):
    dissection, writer, _ = refined_fit(None)
    assert dissection.last_refinement is None
    assert writer.refinements == []


def test_what_cannot_be_done_is_told_at_setup(make_dissection, trainer_options):
    def setup(module=None, **options):
        dissection = make_dissection(**{"refinement": plan(), **options})
        module = module or ColourModule()
        module.net = getattr(module, "net", None) or ColourModule().net
        dissection.setup(Trainer(callbacks=[dissection], **trainer_options), module, "fit")

    with pytest.raises(ValueError, match=r"RefinementPlan\(preprocess"):
        setup(denormalize=lambda images: images)
    with pytest.raises(ValueError, match=r"RefinementPlan\(forward_fn"):
        setup(LightningModule())
    setup(refinement=plan(preprocess=lambda images: images / 255), denormalize=lambda images: images)


def test_a_model_that_is_shared_out_is_refused(make_dissection, trainer_options):
    dissection = make_dissection(refinement=plan())
    trainer = Trainer(callbacks=[dissection], **trainer_options)
    trainer.strategy.__class__ = type("Sharded", (FSDPStrategy,), {})
    with pytest.raises(ValueError, match="every process to hold the whole model"):
        dissection.setup(trainer, ColourModule(), "fit")


def test_a_budget_of_seconds_ends_the_search(refined_fit):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("ignore", "(?!.*search).*")
        _, writer, _ = refined_fit(plan(budget=SearchBudget(seconds=1e-9)))
    assert writer.refinements[0].neurons == ()


@pytest.mark.ddp
def test_one_of_two_processes_searches_and_both_end(make_dissection, trainer_options, tmp_path):
    dissection = make_dissection(refinement=plan(every_n_dissections=1), vocabulary=WORDS, writers=[])
    Trainer(**trainer_options | processes(2), callbacks=[dissection]).fit(ColourModule())
    histories = sorted(tmp_path.glob("**/refinement/*/history.jsonl"))
    assert [path.parent.name for path in histories] == ["cycle-0000", "cycle-0001"]
    assert all('"blue"' in path.read_text() for path in histories)


@pytest.mark.ddp
def test_a_search_that_fails_is_everybody_s(make_dissection, trainer_options):
    dissection = make_dissection(refinement=plan(Names(RuntimeError("no words"))), vocabulary=WORDS, writers=[])
    with pytest.raises(ProcessRaisedException, match=r"DissectionError: [\s\S]*no words"):
        Trainer(**trainer_options | processes(2), callbacks=[dissection]).fit(ColourModule())
