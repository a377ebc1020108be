"""How well does a search for labels do on neurons whose function is known?

Neurons are planted on top of EfficientNet-Lite0's class probabilities: single concepts such as "bird", either of two,
both of two, the lack of one, colours, texture, dead ones and random ones, each with a little noise. The concepts are
superclasses by WordNet that at least ten of about 600 photos show, and that the encoder, put together from
EfficientNet-Lite2 and MiniLM, tells from other photos (AUC .95 or more): what an encoder does not see, no search finds.

About half of them are missing from the vocabulary that labels are chosen from at first, with all that is below them.
The search knows ImageNet's classes and what WordNet has above them, and tries them on retrieved photos; other photos,
which are new to the first labels too, judge the result. "Parent" and "child" are next to each other among these names.

Network and encoder are relatives, trained on the same classes, so this tests the search, not the encoder.
"""

import argparse
import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
from photos import load_photos
from sklearn.metrics import roc_auc_score
from superclasses import load_superclasses
from torchvision.transforms import v2

from lightning_dissect import Dissector
from lightning_dissect.encoders import efficientnet_lite_preprocessing, load_efficientnet_lite
from lightning_dissect.probe import ConceptVocabulary, content_ids
from lightning_dissect.refine import (
    ConceptRefinement,
    ImagePool,
    PlantedNetwork,
    PlantedUnit,
    RefinementPlan,
    canonical,
)
from lightning_dissect.refine.embedded_pool import EmbeddedPool
from lightning_dissect.refiner import LabelRefiner
from lightning_dissect.writers import CSVWriter, HTMLWriter, JSONWriter

SIDE = 260
FEWEST_PHOTOS, MOST_PHOTOS = 10, 120
LEAST_AUC = 0.95
NOISE = 0.1
LINE_IMAGES, LINE_CALLS = 105, 11


class Evidence(torch.nn.Module):
    """The probability that an image shows a class of each kind, by a pretrained classifier."""

    def __init__(self, kinds):
        super().__init__()
        self.model, self.preprocess = load_efficientnet_lite("lite0"), efficientnet_lite_preprocessing("lite0")
        members = torch.zeros(1000, len(kinds))
        for place, classes in enumerate(kinds.values()):
            members[classes, place] = 1
        self.register_buffer("members", members)

    def forward(self, images):
        """Return the evidence, shape ``(images, kinds)``."""
        pixels = (images * 255).round().to(torch.uint8)
        return (self.model(self.preprocess(pixels)).softmax(dim=1) @ self.members).clamp(0, 1)


def photo_batch(folder):
    """Return the photos as one tensor, shape ``(photos, 3, SIDE, SIDE)``, uint8."""
    square = v2.Compose([v2.PILToTensor(), v2.Resize(SIDE, antialias=True), v2.CenterCrop(SIDE)])
    return torch.stack([square(photo.image) for photo in load_photos(images=folder)])


def hierarchy_of(superclasses):
    """Return the superclasses above each class and each superclass, the smallest first, by name."""
    members = {name: frozenset(classes) for name, classes in superclasses.items()}
    names = {name: frozenset([place]) for place, name in enumerate(IMAGENET_CLASSNAMES) if name not in members}
    smallest = sorted(members, key=lambda name: len(members[name]))
    return {
        name: tuple(higher for higher in smallest if classes < members[higher])
        for name, classes in {**names, **members}.items()
    }


@torch.inference_mode()
def evidence_of(model, photos):
    """Return the evidence of every photo, shape ``(photos, kinds)``."""
    return torch.cat([model(batch / 255) for batch in photos.split(64)])


def choose_kinds(photos, superclasses, encoder):
    """Return which photos show each kind: enough do, and the encoder tells them from the others.

    Of several kinds that the same photos show it is the smallest.
    """
    shown = evidence_of(Evidence(superclasses), photos) > 0.5
    embeddings = torch.cat([encoder.embeddings[half] for half in encoder.rows])
    shown_there = shown[torch.cat([encoder.rows[half] for half in encoder.rows])]
    chosen = {}
    for place in shown.sum(dim=0).argsort(stable=True).tolist():
        name, mine = list(superclasses)[place], shown[:, place]
        if FEWEST_PHOTOS <= mine.sum() <= MOST_PHOTOS and not any(
            (mine & other).sum() > 0.6 * (mine | other).sum() for other in chosen.values()
        ):
            told = roc_auc_score(shown_there[:, place], embeddings @ encoder.concept(name))
            print(f"{name}: {int(mine.sum())} photos, the encoder tells them with an AUC of {told:.2f}")
            if told >= LEAST_AUC:
                chosen[name] = mine
    return chosen


def plant(shown, rng):
    """Return units of every kind of function."""
    names = list(shown)
    pairs = list(itertools.combinations(names, 2))
    apart = [pair for pair in pairs if not (shown[pair[0]] & shown[pair[1]]).any()]
    together = [pair for pair in pairs if (shown[pair[0]] & shown[pair[1]]).sum() >= FEWEST_PHOTOS]
    drawn = {
        "or": [apart[place] for place in rng.permutation(len(apart))[:25]],
        "and": [together[place] for place in rng.permutation(len(together))[:5]],
    }
    units = [PlantedUnit("single", (name,)) for name in names]
    units += [PlantedUnit(kind, pair) for kind, found in drawn.items() for pair in found]
    units += [PlantedUnit("not", (name,)) for name in names[:3]]
    units += [PlantedUnit("colour", (colour,)) for colour in ("red", "green", "blue", "white")]
    return units + [PlantedUnit("texture"), PlantedUnit("dead")] + [PlantedUnit("random")] * 20


def relation(label, kind, hierarchy):
    """Return how a label is related to the concept of a neuron: the same, next to it, in one line with it, or not."""
    if canonical(label) == canonical(kind):
        return "same"
    if label in parents(kind, hierarchy) or kind in parents(label, hierarchy):
        return "parent or child"
    return "same line" if label in hierarchy.get(kind, ()) or kind in hierarchy.get(label, ()) else ""


def parents(name, hierarchy):
    """Return the superclasses directly above something."""
    above = hierarchy.get(name, ())
    return [higher for higher in above if not any(higher in hierarchy[between] for between in above)]


def is_sense(concepts, kind, hierarchy):
    """Return whether one of the concepts of a sense is the kind, or in one line with it."""
    return any(relation(concept, kind, hierarchy) for concept in concepts)


def main():
    """Plant neurons, search for their labels and say how many are right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of your own photos")
    parser.add_argument("--output", type=Path, default=Path("outputs"), help="folder for the report")
    parser.add_argument("--steps", type=int, default=10, help="steps of each search")
    parser.add_argument("--seed", type=int, default=0, help="seed of the planted neurons and of what is missing")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)

    photos = photo_batch(options.images)
    superclasses = load_superclasses()
    hierarchy = hierarchy_of(superclasses)
    names = ConceptVocabulary.of([*IMAGENET_CLASSNAMES, *superclasses], name="ImageNet's classes and superclasses")
    everything = replace(names, hierarchy=hierarchy)
    cache = Dissector(["units"], everything, "assembled").concepts.cache
    pool = ImagePool(photos, content_ids(photos))
    shown = choose_kinds(photos, superclasses, EmbeddedPool(pool, cache, everything))
    kinds = {name: superclasses[name] for name in shown}
    unknown = {list(kinds)[place] for place in rng.permutation(len(kinds))[: len(kinds) // 2]}
    known = [*kinds, *IMAGENET_CLASSNAMES]
    start = ConceptVocabulary.of(
        [name for name in known if unknown.isdisjoint({name, *hierarchy[name]})], name="what is not missing"
    )
    missing = set(kinds) - set(start.concepts)
    network = PlantedNetwork(Evidence(kinds), list(kinds), plant(shown, rng), NOISE).eval()

    dissector = Dissector(["units"], start, "assembled")
    plan = RefinementPlan(
        ConceptRefinement(words=everything, steps=options.steps, seed=options.seed),
        neurons="all",
        num_neurons=len(network.planted),
        every_n_dissections=1,
        pool_images=len(photos),
    )
    refiner = LabelRefiner(plan, start, dissector.concepts.cache)
    refiner.see(photos)
    half = pool.rows("search")  # those that judge stay unseen
    with torch.inference_mode(), dissector.record(network):
        for batch in photos[half].split(64):
            with dissector.batch(batch):
                network(batch / 255)
    report = dissector.report(dirpath=options.output / "planted")
    found = refiner.refine(report, network, dissector.selected_layers(network), lambda images: images / 255)
    dissector.concepts.flush()
    for writer in (JSONWriter(), CSVWriter(), HTMLWriter()):
        writer.write_refinement(found, [])
    tell(found, network.planted, missing, hierarchy)
    print(f"\nAll searches: {found.folder / 'refinement.html'}")


def tell(found, planted, missing, hierarchy):
    """Print what was found, by the function of the neurons."""
    by_unit = {neuron.unit: neuron for neuron in found.neurons}
    rows = [(unit, by_unit.get(place)) for place, unit in enumerate(planted)]
    singles = [(unit, neuron) for unit, neuron in rows if unit.kind == "single" and neuron is not None]
    for title, chosen in (
        ("single concepts", singles),
        ("  of them missing from the vocabulary", [row for row in singles if row[0].concepts[0] in missing]),
    ):
        for when in ("before", "after"):
            names = [(neuron.label if when == "after" else neuron.start, unit.concepts[0]) for unit, neuron in chosen]
            counts = Counter(relation(*pair, hierarchy) for pair in names)
            told = ", ".join(f"{name} {counts[name]}" for name in ("same", "parent or child", "same line"))
            print(f"{title} ({len(chosen)}), {when}: {told}, other {counts['']}")
    either = [(unit, neuron) for unit, neuron in rows if unit.kind == "or" and neuron is not None]
    both = sum(
        all(any(is_sense(sense.concepts, name, hierarchy) for sense in neuron.senses) for name in unit.concepts)
        and len(neuron.senses) > 1
        for unit, neuron in either
    )
    print(f"both senses of units of two: {both} of {len(either)}")
    single_senses = Counter(len(neuron.senses) for _, neuron in singles)
    print(f"senses of units of one: {dict(sorted(single_senses.items()))}")
    random = [neuron for unit, neuron in rows if unit.kind == "random" and neuron is not None]
    print(f"random units with a label: {sum(bool(neuron.label) for neuron in random)} of {len(random)}")
    gains = np.array(
        [
            neuron.judged.auc - neuron.start_judged.auc
            for unit, neuron in rows
            if unit.kind not in ("random", "dead") and neuron is not None and neuron.judged and neuron.start_judged
        ]
    )
    means = gains[np.random.default_rng(0).integers(len(gains), size=(2000, len(gains)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    print(f"AUC on other photos above that of the first label: {gains.mean():+.3f} ({low:+.3f} to {high:+.3f})")
    metrics = found.metrics
    print(
        f"per neuron: {metrics['images_per_neuron']:.1f} images ({LINE_IMAGES} in LINE), "
        f"{metrics['calls_per_neuron']:.1f} calls ({LINE_CALLS}), {metrics['lookups_per_neuron']:.1f} free lookups, "
        f"{metrics['seconds_per_neuron']:.2f} s"
    )


if __name__ == "__main__":
    main()
