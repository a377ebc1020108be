"""Networks and precisions as users train them."""

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.helpers.colours import ColourModule

EXPECTED = ["red", "green", "blue", ""]


def labels(writer):
    return [[neuron.label for neuron in report.neurons] for report in writer.reports]


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_precisions(trainer_options, make_dissection, writer, precision):
    Trainer(**trainer_options, precision=precision, callbacks=[make_dissection(layers=["net.paint", "net.act"])]).fit(
        ColourModule()
    )
    assert labels(writer) == [EXPECTED * 2] * 2


def test_channels_last(trainer_options, make_dissection, writer):
    module = ColourModule()
    module.net.to(memory_format=torch.channels_last)
    Trainer(**trainer_options, callbacks=[make_dissection()]).fit(module)
    assert labels(writer) == [EXPECTED] * 2


class Checkpointed(ColourModule):
    def forward(self, images):
        return checkpoint(self.net, images, use_reentrant=False)


def test_gradient_checkpointing(trainer_options, make_dissection, writer):
    Trainer(**trainer_options, callbacks=[make_dissection()]).fit(Checkpointed())
    assert labels(writer) == [EXPECTED] * 2


def compile_inner_layer(module, backend):
    module.net.paint = torch.compile(module.net.paint, backend=backend)


COMPILED = {
    "the module": lambda module, backend: torch.compile(module, backend=backend),
    "a part in place": lambda module, backend: module.net.compile(backend=backend),
    "a wrapped part": lambda module, backend: setattr(module, "net", torch.compile(module.net, backend=backend)),
    "an inner layer": compile_inner_layer,
}


class CountingBackend:
    """A compiler that runs graphs as they are and counts them."""

    def __init__(self):
        self.graphs = 0
        self.runs = 0

    def __call__(self, graph, example_inputs):
        del example_inputs
        self.graphs += 1

        def run(*args):
            self.runs += 1
            return graph(*args)

        return run


def fit_compiled(options, compile_it, callbacks):
    """Train a compiled model for four epochs and return its compiler."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    backend = CountingBackend()
    module = ColourModule(learning_rate=0.1)
    result = compile_it(module, backend)
    Trainer(**{**options, "max_epochs": 4}, callbacks=callbacks).fit(module if result is None else result)
    return backend


@pytest.mark.parametrize("compile_it", COMPILED.values(), ids=COMPILED.keys())
def test_compiled_models_lose_no_activation_and_keep_their_graphs(trainer_options, make_dissection, writer, compile_it):
    options = {"layers": ["net.paint", "net.act"], "every_n_validations": 2}
    fit_compiled(trainer_options, lambda *_: None, [make_dissection(**options)])
    expected = [report.layers for report in writer.reports]
    writer.reports.clear()

    plain = fit_compiled(trainer_options, compile_it, [])
    recorded = fit_compiled(trainer_options, compile_it, [make_dissection(**options)])

    assert [report.layers for report in writer.reports] == expected
    assert [layer.layer for layer in expected[0]] == ["net.paint", "net.act"]
    assert len(expected) == 2
    assert expected[0] != expected[1]
    assert 0 < recorded.graphs == plain.graphs
    assert 0 < recorded.runs < plain.runs


class Doubled(ColourModule):
    def validation_step(self, batch, batch_idx):
        images, _ = batch
        self(torch.zeros_like(images))
        self(images)


def test_the_last_of_several_calls_counts(trainer_options, make_dissection, writer):
    Trainer(**trainer_options, callbacks=[make_dissection()]).validate(Doubled(), verbose=False)
    assert labels(writer) == [EXPECTED]


class Halves(ColourModule):
    def validation_step(self, batch, batch_idx):
        for half in batch[0].chunk(2):
            self(half)


def test_calls_on_parts_of_the_batch_are_joined(trainer_options, make_dissection, writer):
    Trainer(**trainer_options, callbacks=[make_dissection()]).validate(Halves(), verbose=False)
    assert labels(writer) == [EXPECTED]


class Tokens(ColourModule):
    """A transformer layer over patches, with attention outputs that are tuples."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, 4)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def validation_step(self, batch, batch_idx):
        self.block(self.embed(batch[0]).flatten(2).transpose(1, 2))


def test_transformers_are_recorded(trainer_options, make_dissection, writer):
    layers = ["embed", "block", "block.self_attn", "block.linear1"]
    Trainer(**trainer_options, callbacks=[make_dissection(layers=layers)]).validate(Tokens(), verbose=False)
    assert [len(layer.neurons) for layer in writer.reports[0].layers] == [8, 8, 8, 16]
    assert all(neuron.status != "non_finite" for neuron in writer.reports[0].neurons)
