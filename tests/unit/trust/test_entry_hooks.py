import copy
import pickle

import pytest
import torch
from torch import nn

from lightning_dissect.trust.entry_hooks import EntryHooks

IMAGES = torch.ones(2, 4)


class Listener:
    def __init__(self):
        self.heard = []

    def listen(self, name, args, kwargs):
        self.heard.append((name, len(args), sorted(kwargs)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.fails = False

    def forward(self, x, scale=1.0):
        x = self.body(x) * scale
        if self.fails:
            raise KeyError("of the user")
        return self.body(x)


@pytest.fixture
def net():
    return Net()


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
def hooks(net, listener):
    hooks = EntryHooks({"": net, "body": net.body, "body.0": net.body[0]}, listener.listen)
    hooks.attach()
    return hooks


def num_hooks(model):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_only_the_outermost_call_is_heard(net, hooks, listener):
    net(IMAGES, scale=2.0)
    net.body(IMAGES)
    net.body[0](IMAGES)
    assert listener.heard == [("", 1, ["scale"]), ("body", 1, []), ("body.0", 1, [])]


def test_an_error_of_the_model_ends_its_call(net, hooks, listener):
    net.fails = True
    with pytest.raises(KeyError):
        net(IMAGES)
    net.body(IMAGES)
    assert [name for name, *_ in listener.heard] == ["", "body"]


def test_an_interrupted_call_is_forgotten(net, hooks, listener):
    def interrupt(*_):
        raise KeyboardInterrupt

    handle = net.body.register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        net(IMAGES)
    handle.remove()
    hooks.reset()
    net.body(IMAGES)
    assert [name for name, *_ in listener.heard] == ["", "body"]


def test_a_redirected_forward_is_no_entry(net, hooks, listener):
    original = net.forward

    def step(images):
        net.forward = original
        return net.body(images), net(images)

    net.forward = step
    net(IMAGES)
    net(IMAGES)
    assert [name for name, *_ in listener.heard] == ["body", "", ""]


def test_detach_and_being_thrown_away(net, listener):
    hooks = EntryHooks({"": net}, listener.listen)
    hooks.detach()
    hooks.attach()
    hooks.attach()
    assert num_hooks(net) == 2
    hooks.detach()
    assert num_hooks(net) == 0
    hooks.attach()
    del hooks
    assert num_hooks(net) == 0


def test_the_listener_is_held_weakly(net):
    listener = Listener()
    hooks = EntryHooks({"": net}, listener.listen)
    hooks.attach()
    del listener
    net(IMAGES)
    assert num_hooks(net) == 2


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])  # noqa: S301
def test_copies_do_nothing(net, hooks, listener, duplicate):
    duplicate(net)(IMAGES)
    duplicate(hooks).detach()
    assert listener.heard == []
    assert num_hooks(net) == 6


def test_a_listener_must_not_call_what_is_watched(net):
    errors = []

    def listen(name, args, kwargs):
        with pytest.raises(RuntimeError, match="Expected an untrained copy to run by itself but it calls 'body'"):
            net.body(*args)
        errors.append(name)

    hooks = EntryHooks({"": net, "body": net.body}, listen)
    hooks.attach()
    net(IMAGES)
    net(IMAGES)
    assert errors == ["", ""]
