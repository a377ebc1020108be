import math
from dataclasses import fields
from threading import Barrier, Thread

import pytest
import torch

from lightning_dissect.concept_matrix import ConceptMatrix
from lightning_dissect.presence import ConceptPresence
from lightning_dissect.similarity import SIMILARITIES, Correlation, prepare, score_all
from lightning_dissect.trust import ConceptAxes, TrustColumns, UntrainedFloor, assess_labels, measure_trust

CUTS = (0, 9, 9, 23, 30)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def layer():
    """Thirty neurons, of which some follow concepts, one is dead and one is not finite."""
    matrix = ConceptMatrix(draw(150, 24), draw(60, 24, seed=1))
    activations = draw(150, 30, seed=2).relu()
    activations[:, ::3] += 0.4 * matrix.columns(torch.arange(10)).relu()
    activations[:, 4], activations[3, 17] = 1.0, math.inf
    return activations, matrix


class Processes:
    """Threads that sum exponentials as processes do."""

    def __init__(self, count):
        self.barrier, self.sent = Barrier(count, timeout=60), [None] * count

    def logsumexp(self, rank):
        def over_processes(values):
            self.sent[rank] = values
            self.barrier.wait()
            total = torch.stack(self.sent).logsumexp(dim=0)
            self.barrier.wait()
            return total

        return over_processes


def candidates_of(activations, scorer):
    scores = score_all(scorer, activations)
    candidates = scores.topk(3, dim=1).indices
    candidates[scores[:, 0].isnan()] = -1
    return candidates


def equal(first, second):
    return all(
        torch.equal(getattr(first, field.name).double().nan_to_num(), getattr(second, field.name).double().nan_to_num())
        for field in fields(first)
    )


@pytest.mark.parametrize("similarity", ["correlation", "soft_wpmi"])
@pytest.mark.parametrize("knows_best", [False, True])
def test_shares_are_one_call_bit_for_bit(layer, similarity, knows_best):
    activations, matrix = layer
    scorer, presence = prepare(SIMILARITIES.resolve(similarity), matrix), ConceptPresence(matrix)
    candidates = candidates_of(activations, scorer)
    floor = UntrainedFloor(ConceptAxes(matrix), list(draw(2, 150, 40, seed=3)))
    best = score_all(scorer, activations).amax(dim=1)
    whole = measure_trust(activations, scorer, presence, candidates, layer_size=30, floor=floor)
    processes, found = Processes(4), {}

    def measure(rank):
        units = slice(CUTS[rank], CUTS[rank + 1])
        found[rank] = measure_trust(
            activations[:, units],
            scorer,
            presence,
            candidates[units],
            layer_size=30,
            first_unit=units.start,
            floor=floor,
            best=best[units] if knows_best else None,
            over_processes=processes.logsumexp(rank) if similarity == "soft_wpmi" else lambda values: values,
        )

    threads = [Thread(target=measure, args=(rank,)) for rank in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found[1].best) == 0
    together = TrustColumns.cat([found[rank] for rank in range(4)])
    assert equal(together, whole)
    assert equal(together.table(floor), whole.table(floor))


def test_max_bytes_does_not_matter(layer):
    activations, matrix = layer
    scorer, presence = prepare(Correlation(), matrix), ConceptPresence(matrix)
    candidates = candidates_of(activations, scorer)
    much, little = (
        measure_trust(activations, scorer, presence, candidates, layer_size=30, max_bytes=size) for size in (2**26, 1)
    )
    assert equal(much, little)


def test_no_neuron_at_all(layer):
    activations, matrix = layer
    scorer, presence, none = prepare(Correlation(), matrix), ConceptPresence(matrix), torch.empty(0, 3).long()
    columns = measure_trust(activations[:, :0], scorer, presence, none, layer_size=30, first_unit=30)
    assert TrustColumns.cat([columns]).table().records([]) == ()


def test_images_in_another_order(layer):
    activations, matrix = layer
    order = torch.randperm(150, generator=torch.Generator().manual_seed(5))
    tables = []
    for rows, columns in ((activations, matrix), (activations[order], matrix.of_images(order))):
        scorer, presence = prepare(Correlation(), columns), ConceptPresence(columns)
        tables.append(assess_labels(rows, scorer, presence, candidates_of(activations, prepare(Correlation(), matrix))))
    for name in ("quality", "low", "high"):
        first, second = (getattr(table, name) for table in tables)
        torch.testing.assert_close(first, second, equal_nan=True, rtol=1e-5, atol=1e-6)
    assert torch.equal(tables[0].contenders, tables[1].contenders)
    assert (tables[0].p_chance - tables[1].p_chance).nan_to_num().abs().max() < 0.12


def test_from_tensors_to_records():
    concept_matrix = draw(200, 12)
    activations = torch.cat([concept_matrix[:, :3], draw(200, 3, seed=1), torch.zeros(200, 1)], dim=1)
    candidates = torch.tensor([[0, 5], [1, 5], [2, -1], [3, 4], [3, 4], [3, 4], [-1, -1]])
    floor = UntrainedFloor(ConceptAxes(concept_matrix), list(draw(4, 200, 40, seed=2)))
    scorer, presence = prepare(Correlation(), concept_matrix), ConceptPresence(concept_matrix)
    table = assess_labels(activations, scorer, presence, candidates, floor)
    names = [[f"concept {index}" for index in row if index >= 0] for row in candidates.tolist()]
    *judged, dead = table.records(names)
    assert [verdict for verdict, _ in judged] == ["labelled"] * 3 + ["no_clear_function"] * 3
    assert dead is None
    assert table.p_untrained.isnan().tolist() == table.p_chance.isnan().tolist() == [False] * 6 + [True]
    assert (table.low[:3, 0] <= table.quality[:3, 0]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"first_unit": 1}, "within the 30 neurons of `layer_size` but got 30 neurons from `first_unit` 1 on"),
        ({"first_unit": -1}, "from `first_unit` -1 on"),
        ({"max_bytes": 0}, "Expected `max_bytes` to be greater than 0"),
    ],
)
def test_faulty_input(layer, options, message):
    activations, matrix = layer
    scorer, presence = prepare(Correlation(), matrix), ConceptPresence(matrix)
    with pytest.raises(ValueError, match=message):
        measure_trust(activations, scorer, presence, torch.zeros(30, 1).long(), **({"layer_size": 30} | options))
