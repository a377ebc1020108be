import torch

from lightning_dissect.labelling import LabelTable
from lightning_dissect.types import STATUSES, NeuronLabel, ScoredConcept, TopImage

CONCEPTS = ["cat", "dog", "sky"]


def table(status, concepts, value=0.5):
    shape = (len(status), len(concepts[0]) if concepts else 0)
    judged = (len(status), 1)
    return LabelTable(
        status=torch.tensor([STATUSES.index(name) for name in status], dtype=torch.uint8),
        concepts=torch.tensor(concepts, dtype=torch.int64).reshape(shape),
        scores=torch.full(shape, value, dtype=torch.float64),
        qualities=torch.full(shape, value / 2, dtype=torch.float64),
        top_ids=torch.full((len(status), 1), 7),
        top_values=torch.full((len(status), 1), 2.5),
        metrics=torch.full(judged, value / 4, dtype=torch.float64),
        undefined=torch.full(judged, -1, dtype=torch.int8),
    )


def test_records():
    first, second = table(["labelled", "dead"], [[1, -1], [-1, -1]]).records("fc", CONCEPTS, ["iou"])
    of_both = {"top_images": (TopImage(7, 2.5),), "metrics": {"iou": 0.125}}
    assert first == NeuronLabel("fc", 0, "labelled", (ScoredConcept("dog", 0.5, 0.25),), **of_both)
    assert second == NeuronLabel("fc", 1, "dead", (), **of_both)


def test_tables_of_processes_follow_each_other_and_empty_ones_vanish():
    parts = [table([], []), table(["labelled"], [[2, 0]]), table([], []), table(["non_finite"], [[-1, -1]])]
    neurons = LabelTable.cat(parts).records("fc", CONCEPTS, ["iou"])
    assert [(neuron.unit, neuron.status, neuron.label) for neuron in neurons] == [
        (0, "labelled", "sky"),
        (1, "non_finite", ""),
    ]
    assert LabelTable.cat(parts[:1]).records("fc", CONCEPTS, ["iou"]) == ()
