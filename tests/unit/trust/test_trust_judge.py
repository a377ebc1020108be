import copy
import gc
import pickle
import weakref

import pytest
import torch
from torch import nn

from lightning_dissect.budget import ByteBudget
from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.distributed import in_step
from lightning_dissect.peers import PeerError, Peers
from lightning_dissect.presence import ConceptPresence
from lightning_dissect.recording import ActivationStorage, NeuronShare, select_layers
from lightning_dissect.similarity import Correlation, prepare
from lightning_dissect.trust import TrustJudge
from lightning_dissect.types import NeuronLabel, ScoredConcept
from tests.helpers.processes import run_in_wired_threads

IDS = torch.arange(40) * 2
IMAGES = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
MATRIX = ConceptMatrix.of(torch.randn(40, 8, generator=torch.Generator().manual_seed(1)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.narrow = nn.Linear(6, 24), nn.Linear(6, 4)
        self.fails_untrained = False

    def forward(self, images):
        if self.fails_untrained and not self.body.weight.requires_grad:
            raise ZeroDivisionError("no paint\nat all")
        return self.narrow(images), self.body(images)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


def make(rate=0.05, copies=4, **options):
    return TrustJudge(rate, copies, ByteBudget(**options))


def select(model, layers=("body",)):
    return select_layers(model, list(layers))


def run(judge, model, ids=IDS, layers=("body",)):
    """Let a model see images as in a dissection."""
    judge.attach(model, lambda network: select(network, layers))
    for part in torch.arange(len(ids)).split(16):
        judge.start_batch(ids[part])
        model(IMAGES[: len(ids)][part])
        judge.end_batch(torch.ones(len(part), dtype=torch.bool))
    judge.detach()


def learn(judge, matrix=MATRIX, layers=("body",), row_ids=IDS):
    with in_step("learning") as peers:
        judge.learn(matrix, row_ids, layers, peers)
    return [judge.floor(layer, matrix) for layer in layers]


@pytest.mark.parametrize("rate", [0, 1, -0.1, 5, float("nan")])
def test_the_rate_must_be_a_share(rate):
    with pytest.raises(ValueError, match=rf"`false_discovery_rate` to be between 0 and 1, or None .* but got {rate}\."):
        make(rate)


@pytest.mark.parametrize("copies", [1, -1])
def test_one_network_is_not_enough(copies):
    with pytest.raises(ValueError, match=rf"`untrained_networks` to be 0 or at least 2, .* but got {copies}\."):
        make(copies=copies)


@pytest.mark.parametrize("copies", [0, 2, 5])
def test_settings_say_what_labels_are_held_against(copies):
    against = f"chance and {copies} untrained networks" if copies else "chance"
    assert make(0.1, copies).settings == {"false-discovery rate": f"0.1, against {against}"}


def test_floors_are_learned_once_and_used_by_all_dissections(net, recwarn):
    judge = make()
    run(judge, net)
    [first] = learn(judge)
    assert len(first.null) == 2 * 24
    run(judge, net)
    assert judge._networks is None
    assert learn(judge) == [first]
    assert judge.basis == "chance and 4 untrained networks"
    assert not recwarn.list


def test_without_copies_there_is_no_floor(net):
    judge = make(copies=0)
    run(judge, net)
    assert learn(judge) == [None]
    assert judge.basis == "chance"


def test_floors_are_dropped_for_good_when_images_or_concepts_change(net, recwarn):
    judge, other = make(), ConceptMatrix.of(MATRIX.whole)
    run(judge, net)
    learn(judge)
    reference = weakref.ref(judge._learned.floors["body"])
    for _ in range(2):
        run(judge, net)
        assert learn(judge, other) == [None]
    assert learn(judge) == [None]
    [warning] = recwarn.list
    assert "against chance, not against untrained networks. The images or concepts are no longer" in str(
        warning.message
    )
    assert judge.basis.startswith("chance alone: The images or concepts")
    gc.collect()
    assert reference() is None


def test_another_model_has_floors_of_its_own(net):
    judge = make()
    run(judge, net)
    [first] = learn(judge)
    run(judge, nn.Sequential(nn.Linear(6, 30)), layers=["0"])
    [second] = learn(judge, layers=["0"])
    assert (len(first.null), len(second.null)) == (48, 60)
    assert judge.floor("body", MATRIX) is None


def test_a_model_that_is_gone_is_not_mistaken_for_its_successor(net):
    judge = make()
    run(judge, net)
    learn(judge)
    del net
    gc.collect()
    run(judge, Net())
    assert judge._networks is not None


@pytest.mark.parametrize("row_ids", [IDS[1:], torch.cat([IDS, IDS[-1:] + 1])])
def test_a_layer_that_copies_called_on_other_images_has_no_floor(net, row_ids):
    judge = make()
    run(judge, net)
    with pytest.warns(UserWarning, match="'body' are held against chance, .* for every image but some did not"):
        assert learn(judge, row_ids=row_ids) == [None]
    assert "but chance alone in body: Expected untrained networks to have called it" in judge.basis


def test_a_floor_that_nothing_could_pass_is_none(net):
    """With 8 units of untrained networks no p-value is below 1/9, whatever the labels are like."""
    judge = make()
    run(judge, net, layers=["body", "narrow"])
    with pytest.warns(UserWarning, match=r"'narrow' .* but got 8\. Raise `untrained_networks`"):
        wide, narrow = learn(judge, layers=["body", "narrow"])
    assert wide is not None
    assert narrow is None
    assert "chance alone in narrow" in judge.settings["false-discovery rate"]
    many = make(copies=10)
    run(many, net, layers=["narrow"])
    assert learn(many, layers=["narrow"]) != [None]


def test_a_layer_whose_untrained_units_are_all_dead_has_no_floor(net):
    judge, dead = make(), nn.Sequential(nn.Linear(6, 24), nn.Threshold(1e6, 0.0))
    run(judge, dead, layers=["1"])
    with pytest.warns(UserWarning, match="not constant but got none in this layer"):
        assert learn(judge, layers=["1"]) == [None]


def test_the_floor_holds_for_the_images_it_was_learned_on(net):
    judge = make()
    run(judge, net)
    [floor] = learn(judge)
    assert floor is not None
    assert judge.floor("body", ConceptMatrix.of(MATRIX.whole)) is None
    assert judge.floor("head", MATRIX) is None
    assert make().floor("body", MATRIX) is None


def test_copies_that_fail_are_warned_of_once(net, recwarn):
    net.fails_untrained = True
    judge = make()
    for _ in range(2):
        run(judge, net)
        assert learn(judge) == [None]
    [warning] = recwarn.list
    assert str(warning.message).endswith("ZeroDivisionError: no paint")
    assert judge.basis.startswith("chance alone: Untrained copies of the model cannot run along with it.")


def test_a_full_disk_costs_the_floor_only(net, monkeypatch, recwarn):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ActivationStorage, "_mapped", full)
    judge = make(total=2**10)
    run(judge, net)
    assert learn(judge) == [None]
    [warning] = recwarn.list
    assert "'body' are held against chance" in str(warning.message)
    assert "No space left on device" in judge.basis


def test_copies_go_with_the_hooks(net):
    judge = make()
    run(judge, net)
    judge.attach(net, select)
    networks = [weakref.ref(network.parts[""]) for network in judge._networks._networks]
    assert len(networks) == 4
    judge.detach()
    gc.collect()
    assert [reference() for reference in networks] == [None] * 4


def test_copies_of_the_judge_have_learned_nothing(net):
    judge = make()
    run(judge, net)
    [floor] = learn(judge)
    for duplicate in (copy.deepcopy(judge), pickle.loads(pickle.dumps(judge))):  # noqa: S301
        run(duplicate, net)
        [learned] = learn(duplicate)
        assert torch.equal(learned.null, floor.null)


def test_what_was_lost_is_not_learned_from(net):
    """As when a report is asked for again after one has failed half-way."""
    judge = make()
    run(judge, net)
    judge._networks = None
    with pytest.warns(UserWarning, match="was lost in a dissection that failed"):
        assert learn(judge) == [None]


def in_two(net, work):
    """Let two judges, each with half of the images, work together as processes do."""
    judges = [make(), make()]
    for rank, judge in enumerate(judges):
        ids = IDS[rank::2]
        judge.attach(net, select)
        judge.start_batch(ids)
        net(IMAGES[rank::2])
        judge.end_batch(torch.ones(len(ids), dtype=torch.bool))
        judge.detach()

    def run_one(wire):
        with Peers("learning", wire) as peers:
            return work(judges[peers.rank], peers)

    return judges, run_in_wired_threads(run_one, 2)


def test_two_processes_learn_what_one_does(net):
    alone = make()
    run(alone, net)
    learn(alone)
    judges, results = in_two(net, lambda judge, peers: judge.learn(MATRIX, IDS, ["body"], peers))
    assert results == [None, None]
    for judge in judges:
        torch.testing.assert_close(judge.floor("body", MATRIX).null, alone.floor("body", MATRIX).null)


def test_copies_that_fail_on_one_process_are_nobody_s(net, recwarn):
    def work(judge, peers):
        if peers.rank == 1:
            judge._networks.failure = "Out of paint."
        judge.learn(MATRIX, IDS, ["body"], peers)

    judges, _ = in_two(net, work)
    assert [judge.basis for judge in judges] == ["chance alone: Out of paint."] * 2
    assert len(recwarn.list) == 1


def test_a_layer_that_fails_on_one_process_is_nobody_s(net, monkeypatch):
    monkeypatch.setattr(TrustJudge, "_floor_of", failing_on_call(2, ValueError("Not here."), TrustJudge._floor_of))
    with pytest.warns(UserWarning, match="Not here"):
        judges, _ = in_two(net, lambda judge, peers: judge.learn(MATRIX, IDS, ["body"], peers))
    assert [judge.floor("body", MATRIX) for judge in judges] == [None, None]
    assert judges[0].basis == judges[1].basis


def failing_on_call(number, error, function):
    calls = []

    def call(*args):
        calls.append(args)
        if len(calls) == number:
            raise error
        return function(*args)

    return call


def test_a_process_that_fails_to_learn_has_all_begin_anew(net, monkeypatch):
    monkeypatch.setattr(TrustJudge, "_floor_of", failing_on_call(2, MemoryError("full"), TrustJudge._floor_of))
    judges, results = in_two(net, lambda judge, peers: judge.learn(MATRIX, IDS, ["body"], peers))
    assert {type(result) for result in results} == {MemoryError, PeerError}
    for judge in judges:
        judge.attach(net, select)
        assert judge._networks is not None


def measured(judge, activations, first_unit=0, layer_size=None, floor=None):
    share = NeuronShare(
        slice(first_unit, first_unit + activations.shape[1]),
        IDS[: len(activations)],
        activations,
        layer_size or activations.shape[1],
    )
    matrix = MATRIX.of_images(torch.arange(len(activations)))
    candidates = torch.arange(2).expand(activations.shape[1], 2)
    with in_step("measuring") as peers:
        scorer, presence = prepare(Correlation(), matrix), ConceptPresence(matrix)
        return judge.measured(share, scorer, presence, candidates, activations.new_zeros(len(candidates)), floor, peers)


def test_verdicts_stand_in_the_records_and_nothing_else_changes():
    judge = make()
    activations = torch.cat([10 * MATRIX.whole[:, :1], torch.zeros(40, 1)], dim=1)
    columns = measured(judge, activations)
    candidates = (ScoredConcept("cat", 0.5, 0.4), ScoredConcept("dog", 0.2, 0.1))
    neurons = (NeuronLabel("fc", 0, "labelled", candidates), NeuronLabel("fc", 1, "dead"))
    first, dead = judge.verdicts(neurons, columns, None)
    assert dead is neurons[1]
    assert (first.candidates, first.unit, first.status) == (candidates, 0, "no_clear_function")
    assert first.trust.p_chance == 1
