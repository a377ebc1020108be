"""How many labels are called changed where nothing has changed?

The network is EfficientNet-Lite0 with about 600 photos, its labels come from ImageNet's class names by the assembled
encoder. The same weights are dissected on six draws of as many photos with replacement: what differs between two of
them, differs by chance. A set of contenders misses the best concept at most once in twenty times, so that the sets of
two draws have one in common but for at most 10 % of the labels. That is what ``changed_share`` must stay below; a
comparison of names would say ``churn``.
"""

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from ground_truth import photo_batch

from lightning_dissect import Dissector
from lightning_dissect.encoders import efficientnet_lite_preprocessing, load_efficientnet_lite
from lightning_dissect.history import DissectionHistory, compare

LAYERS = ["blocks.5", "blocks.6", "bn2"]
DRAWS = 6
SHOWN = ("churn", "churn_floor", "semantic_churn", "semantic_churn_floor", "changed_share")


def dissect(photos):
    """Return a history of the same weights on other photos."""
    model = load_efficientnet_lite("lite0").to(memory_format=torch.channels_last)
    preprocessing = efficientnet_lite_preprocessing("lite0")
    dissector = Dissector(LAYERS, vocabulary="imagenet", encoder="assembled", untrained_networks=0)
    generator = torch.Generator().manual_seed(0)
    history = DissectionHistory()
    for draw in range(DRAWS):
        drawn = photos[torch.randint(len(photos), (len(photos),), generator=generator)]
        with torch.inference_mode(), dissector.record(model):
            for places in torch.arange(len(photos)).split(32):
                with dissector.batch(drawn[places], sample_ids=places):
                    model(preprocessing(drawn[places]).contiguous(memory_format=torch.channels_last))
        history.append(dissector.report(cycle=draw))
    return history


def main() -> None:
    """Compare all pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="folder of your own photos")
    history = dissect(photo_batch(parser.parse_args().images))
    pairs = [compare(history[one], history[other], history.embeddings) for one, other in combinations(range(DRAWS), 2)]
    print(f"\n{len(pairs)} pairs of dissections of the same weights\n")
    print("layer".ljust(12) + "neurons".rjust(9) + "".join(name.rjust(22) for name in SHOWN))
    for layer in (*LAYERS, ""):
        rows = history[0].of_layer(layer) if layer else np.arange(len(history[0]))
        shares = [changes.shares(np.isin(changes.rows_after, rows)) for changes in pairs]
        numbers = "".join(f"{np.mean([share[name] for share in shares]):22.3f}" for name in SHOWN)
        print(f"{layer or 'all layers':12}{len(rows):9}{numbers}")


if __name__ == "__main__":
    main()
