from lightning_dissect.history.numbering import Numbering
from tests.helpers.label_history import history_of


def test_neurons_and_concepts_keep_their_numbers():
    first, second = history_of({"x": ["a", "?b"]}, {"y": ["b|c"], "x": ["c", "a"]})
    numbering = Numbering()
    assert numbering.neurons(first).tolist() == [0, 1]
    assert numbering.neurons(second).tolist() == [2, 0, 1]
    assert numbering.num_neurons == 3
    a, unlabelled = numbering.labels(first).tolist()
    b, c, other = numbering.labels(second).tolist()
    assert unlabelled == -1
    assert other == a
    assert numbering.contenders(second).tolist() == [[b, c, -1, -1], [c, -1, -1, -1], [a, -1, -1, -1]]
    assert numbering.contenders(first).tolist() == [[a, -1], [-1, -1]]
