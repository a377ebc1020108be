"""What a judge says: yes or no to the label of each neuron."""

from collections.abc import Mapping

from lightning_dissect.types import DissectionReport

LabelKey = tuple[str, int, str]
"""What is judged: layer, unit and label. A verdict on another label of the same neuron is of no use."""

Verdicts = Mapping[LabelKey, bool]
"""Whether the label is right; what a judge does not know has no entry."""


def label_keys(report: DissectionReport) -> tuple[LabelKey, ...]:
    """Return what can be judged in a report: every neuron with a label.

    Args:
        report: The dissection.

    Example:
        >>> from lightning_dissect.types import LayerDissection, NeuronLabel, ScoredConcept
        >>> cat = NeuronLabel("fc", 3, "labelled", (ScoredConcept("cat", 0.5, 0.4),))
        >>> layer = LayerDissection("fc", (cat, NeuronLabel("fc", 4, "dead")))
        >>> label_keys(DissectionReport(epoch=0, step=0, cycle=0, layers=(layer,), num_images=9))
        (('fc', 3, 'cat'),)

    """
    return tuple((neuron.layer, neuron.unit, neuron.label) for neuron in report.neurons if neuron.label)


def verdicts_by_evaluator(report: DissectionReport) -> dict[str, dict[LabelKey, bool]]:
    """Return what each evaluator says of the labels that it judged.

    Args:
        report: The dissection.

    Example:
        >>> from lightning_dissect.label_evaluation import EvaluatorDescription, LabelEvaluation
        >>> from lightning_dissect.types import LayerDissection, NeuronLabel, ScoredConcept
        >>> said = {"vqa": LabelEvaluation(True, scores=(), answers=())}
        >>> cat = NeuronLabel("fc", 3, "labelled", (ScoredConcept("cat", 0.5, 0.4),), evaluations=said)
        >>> layers = (LayerDissection("fc", (cat,)),)
        >>> verdicts_by_evaluator(DissectionReport(0, 0, 0, layers, 9, evaluators=(EvaluatorDescription("vqa"),)))
        {'vqa': {('fc', 3, 'cat'): True}}

    """
    return {
        judge.name: {
            (neuron.layer, neuron.unit, neuron.label): neuron.evaluations[judge.name].yes
            for neuron in report.neurons
            if judge.name in neuron.evaluations
        }
        for judge in report.evaluators
    }
