"""What a search for a label costs per neuron, as more and more neurons share one bank of images.

The neurons are channels of EfficientNet-Lite0's last hidden layer. An image that was retrieved for one of them is a
free lookup for all others, so the images per neuron fall. LINE makes 105 images and 11 calls for each.
"""

import argparse
from pathlib import Path

import torch
from planted_neurons import LINE_CALLS, LINE_IMAGES, photo_batch

from lightning_dissect import Dissector
from lightning_dissect.encoders import efficientnet_lite_preprocessing, load_efficientnet_lite
from lightning_dissect.refine import ConceptRefinement, RefinementPlan
from lightning_dissect.refiner import LabelRefiner

LAYER = "bn2"


def main():
    """Search for the labels of 1, 16 and 256 neurons and print what each took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of your own photos")
    parser.add_argument("--neurons", type=int, nargs="+", default=[1, 16, 256], help="how many neurons share a bank")
    options = parser.parse_args()
    photos, model = photo_batch(options.images), load_efficientnet_lite("lite0").eval()
    preprocess = efficientnet_lite_preprocessing("lite0")
    dissector = Dissector([LAYER], "imagenet", "assembled", untrained_networks=0)
    with torch.inference_mode(), dissector.record(model):
        for batch in photos.split(64):
            with dissector.batch(batch):
                model(preprocess(batch))
    report = dissector.report()
    print("| neurons | images made | to judge | calls | free lookups | seconds |")
    print("|---|---|---|---|---|---|")
    print(f"| LINE | {LINE_IMAGES} | - | {LINE_CALLS} | 0 | - |")
    for count in options.neurons:
        plan = RefinementPlan(ConceptRefinement(), neurons="all", num_neurons=count, pool_images=len(photos))
        refiner = LabelRefiner(plan, dissector.concepts.vocabulary, dissector.concepts.cache)
        refiner.see(photos)
        found = refiner.refine(report, model, dissector.selected_layers(model), preprocess)
        costs = ("images", "judging_images", "calls", "lookups", "seconds")
        cells = [f"{found.metrics[f'{name}_per_neuron']:.1f}" for name in costs]
        print(f"| {count} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
