"""A world in which every word is a pixel: images of a text show the pixels of its words, and neurons look for them."""

import numpy as np
import torch

from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.probe import ConceptVocabulary, content_ids
from lightning_dissect.recording import ActivationReader, select_layers
from lightning_dissect.refine.base import ImagePool, Proposal, Surroundings
from lightning_dissect.refine.planted import PlantedNetwork, PlantedUnit

SIDE = 6
KINDS = ("ba", "do", "ki", "lu", "me", "ro")
WORDS = [first + second for first in KINDS for second in "nprstx"]


def paint(words, seed):
    """Return an image that shows the pixels of words, and noise."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(60, (3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    for word in words:
        place = WORDS.index(word)
        image[:, place // SIDE, place % SIDE] += 180
    return image


def evidence(images):
    """Return how bright the pixel of each word is."""
    return ((images.mean(dim=1).flatten(1) - 0.2) / 0.6).clamp(0, 1)


class WordEncoder:
    """Sees the pixels of words."""

    temperature = 1.0

    def encode_images(self, images):
        return torch.nn.functional.normalize(evidence(images / 255) + 1e-3, dim=1)

    def encode_texts(self, texts):
        rows = [[float(word in text.split()) + 1e-3 for word in WORDS] for text in texts]
        return torch.nn.functional.normalize(torch.tensor(rows), dim=1)

    def fingerprint(self):
        return f"words {SIDE}"


class Painter:
    """Paints the words of a text, per image and purpose with another noise."""

    def __init__(self):
        self.asked = []

    def generate(self, concept, count, purpose):
        self.asked.append((concept, purpose))
        words = [word for word in concept.split() if word in WORDS]
        if concept == "unpaintable":
            return torch.empty(0, 3, SIDE, SIDE, dtype=torch.uint8)
        seeds = (int(fingerprint(concept, purpose, place)[:8], 16) for place in range(count))
        return torch.stack([paint(words, seed) for seed in seeds])

    def fingerprint(self):
        return "painter"


class Reader(ActivationReader):
    """Counts the images that it reads."""

    def __init__(self, units, noise=0.0):
        network = PlantedNetwork(evidence, WORDS, units, noise)
        super().__init__(network, select_layers(network, ["units"]), lambda images: images / 255)
        self.network, self.num_read = network, 0

    def read(self, images):
        self.num_read += len(images)
        return super().read(images)

    def fingerprint(self):
        return fingerprint(super().fingerprint(), repr(self.network.planted), self.network.noise)


class Neighbours:
    """Names words that begin as the best ones do, then any; deterministic."""

    def __init__(self, answers=None):
        self.requests, self._answers = [], list(answers or ())

    def propose(self, request):
        self.requests.append(request)
        if self._answers:
            answer = self._answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        best = [name.concept.split()[0][:2] for name in request.scored[:3]]
        left = [word for word in WORDS if word not in request.tried]
        left.sort(key=lambda word: best.index(word[:2]) if word[:2] in best else len(best))
        if request.is_summary:
            left = [" ".join(name.concept for name in request.scored[:2])]
        return Proposal(tuple(left[: request.count]), answer="because")

    def fingerprint(self):
        return "neighbours"


def pool(count=200, seed=0):
    """Return images that show a few words each."""
    rng = np.random.default_rng(seed)
    images = torch.stack([paint(rng.choice(WORDS, 3, replace=False), seed * count + number) for number in range(count)])
    return ImagePool(images, content_ids(images))


def surroundings(words=WORDS, count=200):
    return Surroundings(ConceptVocabulary(tuple(words)), pool(count))


def unit(kind, *concepts):
    return PlantedUnit(kind, concepts)
