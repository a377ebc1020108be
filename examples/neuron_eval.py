"""Which metrics can be trusted to judge labels? The experimental sanity checks and Meta-AUPRC on a real network.

As in the first setting of NeuronEval the neurons are outputs whose meaning is known: the probabilities that
EfficientNet-Lite0 gives to ImageNet's classes, and their sums over WordNet's superclasses. Labels of the photos come
from another network: the class that EfficientNet-Lite2 finds most probable, and all superclasses of it. The two are
relatives, trained on the same classes, so that they agree is no evidence of anything. It is not what is measured: a
metric is tested by whether it notices that labels were spoilt, and by whether it tells a neuron's own concept from all
others.

Each photo is seen twice, whole and as a mirrored crop of its middle. Units count that some crop drives above a
probability of 0.5, and whose concept is in at least ten crops and in less than half of all.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from photos import load_photos
from superclasses import load_superclasses
from torch.nn.functional import one_hot
from torchvision.transforms import v2

from lightning_dissect.encoders import efficientnet_lite_preprocessing, load_efficientnet_lite
from lightning_dissect.metrics import METRICS, compare_metrics, experimental_sanity_check

FEWEST_CROPS = 10
PUBLISHED_FIVE = ("f1", "iou", "correlation", "cosine", "auprc")
VERDICTS = ("pass", "undecided", "fail")
ALPHAS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5]
LAMS = [0, 0.2, 0.4, 0.6, 0.8, 1]


def crops(images):
    """Return two crops of every photo as one uint8 tensor, shape ``(2 * photos, 3, 260, 260)``."""
    square = v2.Compose([v2.PILToTensor(), v2.Resize(300, antialias=True), v2.CenterCrop(300)])
    squares = torch.stack([square(photo.image) for photo in load_photos(images=images)])
    return torch.cat([v2.functional.resize(squares, [260, 260], antialias=True), squares[..., 20:280, 20:280].flip(-1)])


@torch.inference_mode()
def probabilities(name, pictures):
    """Return the probabilities of ImageNet's classes by one network, shape ``(images, 1000)``."""
    model = load_efficientnet_lite(name).to(memory_format=torch.channels_last)
    preprocessing = efficientnet_lite_preprocessing(name)
    return torch.cat([model(preprocessing(batch)).softmax(dim=1) for batch in pictures.split(32)]).double()


def with_superclasses(probability, superclasses):
    """Return the probabilities of classes, then of superclasses."""
    sums = [probability[:, indices].sum(dim=1) for indices in superclasses.values()]
    return torch.stack([*probability.T, *sums], dim=1).clamp(max=1)


def known_units(activations, presence):
    """Return the units that are scored."""
    found = presence.sum(dim=0)
    frequent = (found >= FEWEST_CROPS) & (found < len(presence) / 2)
    return (frequent & (activations.amax(dim=0) > 0.5)).nonzero().squeeze(1)


def tuned(table):
    """Return every metric with the hyper-parameters that the published form of the split chose."""
    return {
        result.metric: replace(METRICS.resolve(result.metric), **dict(result.choices[0].settings))
        for result in table.results
    }


def choices(table):
    """Tell how much the choice of hyper-parameters depends on the few units that choose."""
    tuned = [result for result in table.results if result.choices[0].settings]
    changing = [result for result in tuned if len(result.chosen) > 1]
    if not changing:
        return f"All {len(tuned)} metrics with hyper-parameters chose the same in every split."
    worst = max(changing, key=lambda result: result.spread)
    values = [choice.test for choice in worst.choices]
    return (
        f"{len(changing)} of {len(tuned)} metrics with hyper-parameters chose others in other splits; {worst.metric} "
        f"depends on it most: its Meta-AUPRC is between {min(values):.3f} and {max(values):.3f}."
    )


def main():
    """Print both tables and who passes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of your own photos instead of the packages' photos")
    parser.add_argument("--splits", type=int, default=10, help="splits of the units into validation and test")
    parser.add_argument("--draws", type=int, default=2, help="how often labels are spoilt, once as published")
    options = parser.parse_args()

    pictures = crops(options.images)
    superclasses = load_superclasses()
    activations = with_superclasses(probabilities("lite0", pictures), superclasses)
    found = probabilities("lite2", pictures).argmax(dim=1)
    presence = with_superclasses(one_hot(found, 1000).double(), superclasses)
    units = known_units(activations, presence)
    classes = int((units < 1000).sum())
    print(f"{len(pictures)} crops; {classes} classes and {len(units) - classes} superclasses are scored.\n")

    activations, presence = activations[:, units], presence[:, units]
    meta = compare_metrics(
        activations, presence, torch.arange(len(units)), splits=options.splits, alphas=ALPHAS, lams=LAMS
    )
    print(f"Meta-AUPRC, {len(units)} units x {len(units)} concepts, 5 % of the units choose:\n\n{meta.to_markdown()}\n")
    print(f"{choices(meta)}\n")

    table = experimental_sanity_check(activations, presence, tuned(meta), draws=options.draws)
    print(f"Sanity checks, share of the units whose score falls in percent (published):\n\n{table.to_markdown()}\n")
    named = {verdict: [name for name in table.metrics if table.verdict(name) == verdict] for verdict in VERDICTS}
    for verdict, names in named.items():
        print(f"{verdict}: {', '.join(names) or 'none'}")
    missing = [name for name in PUBLISHED_FIVE if name not in named["pass"]]
    rarest = 100 * presence.mean(dim=0).min()
    print(
        f"\nThe rarest concept is in {rarest:.1f} % of the crops. What passes here and not in the paper "
        "may fail for rarer ones: `python -m lightning_dissect sanity-check` tests concepts down to 0.01 %."
    )
    exceptions = f", not {' and '.join(missing)}" if missing else ""
    print(f"Of the five that pass in the paper, {5 - len(missing)} pass here{exceptions}.")


if __name__ == "__main__":
    main()
