"""How often does a neuron whose meaning is known get its own name?

The target is EfficientNet-Lite0. Each of its 1,000 output units stands for one ImageNet class, so the right label is
known; those that some photo drives above a probability of 0.5 are scored. The vocabulary holds the 998 distinct class
names. Labels come from two labellers, both put together from EfficientNet-Lite2 and MiniLM:

* ``assembled``: the encoder of the examples, for which class names are anchors;
* ``assembled, names withheld``: the same without any text that is a class name; it must find the names by synonyms and
  definitions. It is the harder test, and the one that tells the similarities apart.

Target and labeller are relatives, trained on the same classes. So this proves the pipeline from activations to labels,
not how well labels from an open vocabulary describe hidden units.
"""

import argparse
from pathlib import Path

import torch
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
from photos import load_photos
from torchvision.transforms import v2

from lightning_dissect.encoders import AssembledEncoder, efficientnet_lite_preprocessing, load_efficientnet_lite
from lightning_dissect.encoders.assembled import anchor_texts
from lightning_dissect.encoders.kernel_ridge import KernelRidge
from lightning_dissect.similarity import SIMILARITIES

NAMES = list(dict.fromkeys(IMAGENET_CLASSNAMES))
TRUTH = torch.tensor([NAMES.index(name) for name in IMAGENET_CLASSNAMES])


def photo_batch(images):
    """Return the photos as one uint8 tensor, shape ``(photos, 3, 260, 260)``."""
    square = v2.Compose([v2.PILToTensor(), v2.Resize(260, antialias=True), v2.CenterCrop(260)])
    return torch.stack([square(photo.image) for photo in load_photos(images=images)])


@torch.inference_mode()
def output_activations(photos):
    """Return the logits of EfficientNet-Lite0, shape ``(photos, 1000)``."""
    model, preprocessing = load_efficientnet_lite("lite0"), efficientnet_lite_preprocessing("lite0")
    return torch.cat([model(preprocessing(batch)) for batch in photos.split(64)])


@torch.inference_mode()
def concept_matrices(photos):
    """Return the similarity of every photo and name by each labeller, shape ``(photos, names)``."""
    encoder = AssembledEncoder("lite2")
    image_embeddings = encoder.encode_images(photos)
    yield "assembled", image_embeddings @ encoder.encode_texts(NAMES).T
    encoder.towers.bridge = without_names(encoder.towers)
    yield "assembled, names withheld", image_embeddings @ encoder.encode_texts(NAMES).T


def without_names(towers):
    """Return the bridge from texts to images as it would be if no class name had been an anchor."""
    names = {name.lower() for name in NAMES}
    texts, classes = anchor_texts(definitions=True)
    kept = torch.tensor([text.lower() not in names for text in texts])
    targets = towers.class_directions()[classes[kept]]
    return KernelRidge(towers.bridge.anchors[kept], targets, towers.bridge.gamma, towers.ridge)


def hit_rates(scores, truth):
    """Return the share of units whose name comes first, and among the first five; a tie counts as a miss."""
    own = scores.gather(1, truth[:, None])
    better = (scores.nan_to_num(nan=-torch.inf) >= own).sum(dim=1) - 1
    found = own.squeeze(1).isfinite()
    return [((better < count) & found).double().mean().item() for count in (1, 5)]


def rows(activations, matrix, scored):
    """Yield one row per similarity: all units in the call, each unit alone, and photos permuted as a control."""
    shuffled = matrix[torch.randperm(len(matrix), generator=torch.Generator().manual_seed(0))]
    for name in SIMILARITIES:
        score = SIMILARITIES.resolve(name).score
        together = score(activations, matrix)[scored]
        alone = torch.cat([score(activations[:, [unit]], matrix) for unit in scored.tolist()])
        control = score(activations, shuffled)[scored]
        cells = [hit_rates(scores, TRUTH[scored]) for scores in (together, alone, control)]
        yield [f"`{name}`", *(f"{first:.3f} / {five:.3f}" for first, five in cells)]


def main():
    """Print one Markdown table per labeller."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of your own photos instead of the packages' photos")
    photos = photo_batch(parser.parse_args().images)
    activations = output_activations(photos)
    scored = (activations.softmax(dim=1).amax(dim=0) > 0.5).nonzero().squeeze(1)
    print(f"{len(photos)} photos, {len(scored)} scored units of 1,000, {len(NAMES)} names; top-1 / top-5.")
    print(f"Standard error of an entry p: sqrt(p (1 - p) / {len(scored)}), at most {0.5 / len(scored) ** 0.5:.3f}.")
    for labeller, matrix in concept_matrices(photos):
        print(f"\n| {labeller} | all 1,000 units in the call | each unit alone | photos permuted |")
        print("|---|---|---|---|")
        for cells in rows(activations, matrix, scored):
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
