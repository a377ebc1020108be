"""Do evaluators that look at images tell right labels from wrong ones?

The target is EfficientNet-Lite0. Each of its 1,000 output units stands for one ImageNet class, so the right label is
known; those that some photo drives above a probability of 0.5 are judged, once with the right label and once with that
of another unit. Images are chosen as in a run: the five most activating, one of each decile, and five controls that
look like the top images but leave the unit cold. The vocabulary holds the class names and 10,000 common words.

The evaluators see with the assembled encoder, EfficientNet-Lite2 and MiniLM: a relative of the target, trained on the
same classes. So this proves the way from activations to verdicts, not how good these judges are on hidden units.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from ground_truth import NAMES, TRUTH, output_activations, photo_batch

from lightning_dissect.agreement import compare_judges, verdicts_by_evaluator
from lightning_dissect.encoders import AssembledEncoder, EmbeddingCache, cache_folder, prompted_embeddings
from lightning_dissect.evaluators import Encoded, EvaluationPlan, chosen_evaluators
from lightning_dissect.panel import EvaluatorPanel
from lightning_dissect.probe import ConceptVocabulary, resolve_vocabulary
from lightning_dissect.types import (
    DissectionReport,
    LayerDissection,
    NeuronLabel,
    ScoredConcept,
    summarise_evaluators,
)

EVALUATORS = ("concept_proportion", "embedding_similarity", "embedding_percentile")
LAYER = "classifier"
NAN = float("nan")


def as_report(judged_images, units, labels, reference):
    """Return a dissection in which these units have these labels."""
    neurons = tuple(
        NeuronLabel(LAYER, unit, "labelled", (ScoredConcept(label, NAN, NAN),), judged_images=images)
        for unit, label, images in zip(units, labels, judged_images, strict=True)
    )
    layer = LayerDissection(LAYER, neurons)
    return DissectionReport(0, 0, 0, (layer,), num_images=len(reference), reference_images=tuple(reference))


def percent(share):
    """Return a share as people read it."""
    return f"{100 * share:.1f} %"


def main():
    """Judge right and wrong labels, then print rates beside baselines, and how far evaluators agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of your own photos instead of the packages' photos")
    photos = photo_batch(parser.parse_args().images)
    activations = output_activations(photos)
    units = (activations.softmax(dim=1).amax(dim=0) > 0.5).nonzero().squeeze(1)
    words = resolve_vocabulary("common:10000").concepts
    vocabulary = ConceptVocabulary.of([*NAMES, *words], name="class names and common words")

    encoder = AssembledEncoder()
    plan = EvaluationPlan(num_neurons=None, seconds=None)
    panel = EvaluatorPanel(chosen_evaluators(EVALUATORS), plan, vocabulary, encoder)
    every = torch.arange(len(photos))
    cache = EmbeddingCache(encoder, cache_folder(cache=True))
    seen = Encoded(encoder.encode_images(photos), prompted_embeddings(cache, vocabulary.prompts))
    cache.flush()
    drawn = plan.images.draw(activations, units, every, units.tolist(), seen.images).records(plan.images)

    right = [NAMES[TRUTH[unit]] for unit in units]
    wrong = right[len(right) // 2 :] + right[: len(right) // 2]
    images = {int(row): photos[row].permute(1, 2, 0).numpy() for row in every}
    reports = [
        panel.evaluate(replace(as_report(drawn, units.tolist(), labels, every.tolist()), images=images), seen)
        for labels in (right, wrong)
    ]

    print(f"{len(photos)} photos, {len(units)} output units, {len(vocabulary):,} concepts.\n")
    print(
        "| evaluator | yes: right label | shuffled labels | always yes | precision | recall | controls "
        "| best of 10 (chance 10 %) | s per neuron |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    rates = summarise_evaluators(reports[0].neurons, EVALUATORS)
    for judge in reports[0].evaluators:
        rate = rates[judge.name]
        names = ("rate", "shuffled_rate", None, "precision", "recall", "control_rate", "discrimination")
        cells = [percent(rate[name]) if name else "100 %" for name in names]
        print(f"| `{judge.name}` | {' | '.join(cells)} | {judge.seconds:.4f} |")

    verdicts = [verdicts_by_evaluator(report) for report in reports]
    truth = {key: found is verdicts[0] for found in verdicts for key in found[EVALUATORS[0]]}
    said = {name: verdicts[0][name] | verdicts[1][name] for name in EVALUATORS}
    seconds = {judge.name: judge.seconds for judge in reports[0].evaluators}
    print(f"\nAgreement on {len(truth)} labels, as many right as wrong ones; `truth` knows which.\n")
    print(compare_judges({"truth": truth, **said}, seconds).to_markdown())


if __name__ == "__main__":
    main()
