"""How often is a label given where there is nothing to label, and what does caution cost in true labels?

The network is EfficientNet-Lite0 with about 600 photos, its labels come from ImageNet's class names by the assembled
encoder. Every neuron gets its verdict as in a dissection with ``false_discovery_rate=0.05, untrained_networks=4``. The
rate is then measured where every label that is given is false:

* ``photos shuffled``: the trained neurons with the photos in random order, ten times, held against chance;
* ``untrained``: three networks with random weights that had no part in the floor, held against it as if they had been
  trained.

*Called* neurons are those that rise above all that they are held against: labelled or ambiguous. Because nothing at
all should be called there, the last column asks for more: trained and such neurons, all together, are one layer; it is
the share of the false ones among all that are called, and 5 % is what was asked for. The known units, outputs that some
photo drives above a probability of 0.5, show what all of this costs.
"""

import argparse
from collections import Counter
from pathlib import Path

import torch
from ground_truth import TRUTH, photo_batch

from lightning_dissect.encoders import cache_folder, efficientnet_lite_preprocessing, load_efficientnet_lite
from lightning_dissect.labelling import CLIPDissect, resolve_concepts
from lightning_dissect.probe import content_ids, resolve_vocabulary
from lightning_dissect.recording import ActivationRecorder, select_layers, top_images
from lightning_dissect.trust import (
    ConceptAxes,
    UntrainedFloor,
    UntrainedNetworks,
    assess_labels,
    false_discovery_q_values,
    permutation_p_values,
)

LAYERS = ["blocks.5", "blocks.6", "bn2", "classifier"]
RATE = 0.05
SHUFFLES, FURTHER_NETWORKS = 10, 3
VERDICTS = ("labelled", "ambiguous", "no_clear_function")
Q_VALUES = ("q_chance", "q_untrained")
VOCABULARY = resolve_vocabulary("imagenet")


def choose(network):
    """Return the layers of a network or of its copy."""
    return select_layers(network, LAYERS)


def record(photos):
    """Return what the trained network, four untrained ones and further ones say of the photos, by layer."""
    model = load_efficientnet_lite("lite0").to(memory_format=torch.channels_last)
    preprocessing = efficientnet_lite_preprocessing("lite0")
    trained = ActivationRecorder(choose(model))
    floor = UntrainedNetworks(model, choose)
    further = UntrainedNetworks(model, choose, copies=FURTHER_NETWORKS, seed=100, max_units=2048)
    recorders = (trained, floor, further)
    for recorder in recorders:
        recorder.attach()
    with torch.inference_mode():
        for batch in torch.arange(len(photos)).split(32):
            for recorder in recorders:
                recorder.start_batch(batch)
            model(preprocessing(photos[batch]).contiguous(memory_format=torch.channels_last))
            for recorder in recorders:
                recorder.end_batch()
    for recorder in recorders:
        recorder.detach()
    for layer in LAYERS:
        networks = [[state.compute()[1] for state in some.features(layer)] for some in (floor, further)]
        yield layer, trained.activations[layer].compute()[1], *networks


def prepare(photos):
    """Return what labels neurons, and the axes of the concept matrix that floors are made of."""
    concepts = resolve_concepts(VOCABULARY, "assembled", cache_folder(True))
    concepts.start()
    concepts.update(photos, torch.arange(len(photos)), content_ids(photos), None)
    concepts.flush()
    _, matrix = concepts.matrix(2**28)
    return CLIPDissect().prepared(matrix, concepts.presence(matrix, 2**26)), ConceptAxes(matrix)


def judge(labelling, activations, floor):
    """Return the candidates of each neuron and how far they can be trusted."""
    top = top_images(activations, torch.arange(len(activations)), 1)
    candidates = labelling.table(activations, *top, with_quality=False).concepts
    return candidates, assess_labels(activations, labelling.scorer, labelling.presence, candidates, floor)


def called(*p_values):
    """Return which neurons of each part would be called if all parts were one layer."""
    found = false_discovery_q_values(torch.cat(p_values)) <= RATE
    return found.split([len(part) for part in p_values])


def share_of_false(true, null):
    """Return the share of neurons of the null among all that are called."""
    right, wrong = (part.sum().item() for part in called(true, null))
    return wrong / max(1, right + wrong)


def percent(shares, count=0):
    """Return the mean of shares in percent.

    Args:
        shares: One share, or those of several networks or shuffles; the largest of these is named.
        count: Neurons behind the mean, for its binomial standard error, or the 95 % limit of a share that is 0.

    """
    mean, most = sum(shares) / len(shares), max(shares)
    if not count:
        spread = ""
    elif most == 0:
        return f"0 (< {300 / count:.2f})"
    else:
        spread = f" ± {100 * (mean * (1 - mean) / count) ** 0.5:.1f}"
    return f"{100 * mean:.1f}{spread}" + (f" (most {100 * most:.1f})" if len(shares) > 1 else "")


def verdicts(candidates, table):
    """Return each neuron's verdict, ``None`` for neurons that are constant."""
    names = [[VOCABULARY.concepts[concept] for concept in chosen if concept >= 0] for chosen in candidates.tolist()]
    return [judged and judged[0] for judged in table.records(names, RATE)]


def row(layer, kind, found, *others):
    """Return a row of the table: how many neurons there are, the share of each verdict, other columns."""
    counts = Counter(found)
    shares = [percent([counts[verdict] / max(1, len(found))]) for verdict in VERDICTS]
    return [layer, kind, f"{len(found):,}", *shares, *others]


def share_called(tables, name):
    """Return the share of neurons whose q-value holds, for each network."""
    return [(getattr(table, name) <= RATE).double().mean().item() for table in tables]


def rows(recorded, labelling, axes):
    """Yield the rows of a layer."""
    layer, activations, copies, further = recorded
    floor = UntrainedFloor(axes, copies)
    candidates, trained = judge(labelling, activations, floor)
    found = verdicts(candidates, trained)
    yield row(layer, "trained", found, *(percent(share_called([trained], name)) for name in Q_VALUES), "")

    generator = torch.Generator().manual_seed(0)
    orders = [torch.randperm(len(activations), generator=generator) for _ in range(SHUFFLES)]
    shuffled = [permutation_p_values(activations[order], labelling.scorer, seed=1) for order in orders]
    count = SHUFFLES * activations.shape[1]
    chance = percent([called(p_values)[0].double().mean().item() for p_values in shuffled], count)
    false = percent([share_of_false(trained.p_chance, p_values) for p_values in shuffled])
    yield [layer, "photos shuffled", f"{count:,}", "", "", "", chance, "", false]

    judged = [judge(labelling, network, floor) for network in further]
    tables = [table for _, table in judged]
    null = [verdict for one in judged for verdict in verdicts(*one)]
    false = percent([share_of_false(trained.p_untrained, table.p_untrained) for table in tables])
    yield row(layer, "untrained", null, *(percent(share_called(tables, name), len(null)) for name in Q_VALUES), false)

    if layer == "classifier":
        known = (activations.softmax(dim=1).amax(dim=0) > 0.5).nonzero().flatten()
        right = int((candidates[known, 0] == TRUTH[known]).sum())
        yield row(layer, f"known units, {right} right", [found[unit] for unit in known.tolist()], "", "", "")


def main():
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder of your own photos instead of the packages' photos")
    photos = photo_batch(parser.parse_args().images)
    labelling, axes = prepare(photos)
    columns = ["labelled", "ambiguous", "no clear function", "above chance", "above untrained", "false among called"]
    print(
        f"{len(photos)} photos, false-discovery rate {RATE:g}; percent, ± binomial standard error; of 0 the 95 % limit."
    )
    print()
    print(f"| layer | network and photos | neurons | {' | '.join(columns)} |")
    print("|---|---|---|---|---|---|---|---|---|")
    for recorded in record(photos):
        for line in rows(recorded, labelling, axes):
            print(f"| {' | '.join(line)} |", flush=True)


if __name__ == "__main__":
    main()
