import functools
import gc
import logging
import threading
import weakref

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.demos.boring_classes import RandomDataset
from torch import nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader
from torchmetrics import MeanMetric

from lightning_dissect.trust.bare_copy import bare_copy

IMAGES = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))


class Uncopyable:
    def __deepcopy__(self, memo):
        raise AssertionError("This must not be copied.")


class Module(LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 2)
        self.metric = MeanMetric()
        self.save_hyperparameters({"scale": 3.0})
        self.data = RandomDataset(4, 8)

    def forward(self, x):
        return self.net(x) * self.hparams.scale

    def validation_step(self, batch, batch_idx):
        self.found = (bare_copy(self), self(batch))

    def val_dataloader(self):
        return DataLoader(self.data, batch_size=4)


class Helper:
    def __init__(self, trainer):
        self.trainer = trainer


@pytest.fixture
def model():
    return nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))


def test_nothing_is_shared(model):
    copy = bare_copy(model)
    assert torch.equal(copy(IMAGES), model(IMAGES))
    addresses = {parameter.data_ptr() for parameter in model.parameters()}
    assert addresses.isdisjoint(parameter.data_ptr() for parameter in copy.parameters())


def test_a_running_trainer_stays_behind(tmp_path):
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    module = Module()
    trainer = Trainer(default_root_dir=tmp_path, barebones=True)
    trainer.not_for_copies = Uncopyable()
    module.strong, module.helper = trainer, Helper(trainer)
    passing = Helper(None)
    module.weak, module.dead = weakref.proxy(trainer), weakref.proxy(passing)
    del passing
    trainer.validate(module, verbose=False)
    copy, _ = module.found
    assert copy._trainer is None
    assert not any(hasattr(copy, name) for name in ("strong", "weak", "dead", "data", "metric"))
    gc.collect()
    assert sum(type(thing) is Trainer for thing in gc.get_objects()) == 1
    assert torch.equal(copy(IMAGES), module(IMAGES))
    assert copy.helper.trainer is not trainer


def test_a_module_under_fabric_is_copied_without_it():
    module, fabric = Module(), Helper(None)
    module._fabric = weakref.proxy(fabric)
    assert bare_copy(module)._fabric is None


def test_optimisers_and_what_cannot_be_copied_stay_behind(model):
    model.optimizer = torch.optim.Adam(model.parameters())
    model.scheduler = torch.optim.lr_scheduler.StepLR(model.optimizer, 1)
    model.lock, model.stream, model.uncopyable = threading.Lock(), (i for i in range(3)), [Uncopyable()]
    model.settings = {"width": 4, "parts": [model[0]]}
    copy = bare_copy(model)
    for name in ("optimizer", "scheduler", "lock", "stream", "uncopyable"):
        with pytest.raises(AttributeError, match=f"'Sequential' object has no attribute '{name}'"):
            getattr(copy, name)
        assert hasattr(model, name)
    assert copy.settings["parts"][0] is copy[0]


def test_averaged_models_are_copied(model):
    model.ema = torch.optim.swa_utils.AveragedModel(nn.Linear(4, 2))
    assert isinstance(bare_copy(model).ema, torch.optim.swa_utils.AveragedModel)


def test_intermediate_results_are_copied_without_their_graph(model):
    model.kept = model[0](IMAGES)
    copy = bare_copy(model)
    assert torch.equal(copy.kept, model.kept)
    assert not copy.kept.requires_grad


def test_hooks_stay_behind(model):
    fired = []
    model.register_forward_hook(lambda *_: fired.append("after"))
    model[0].register_forward_pre_hook(lambda *_: fired.append("before"))
    model[1].register_full_backward_hook(lambda *_: fired.append("backward"))
    bare_copy(model)(IMAGES).sum().backward()
    assert fired == []


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
@pytest.mark.parametrize(
    "changed",
    [
        torch.nn.utils.weight_norm,
        torch.nn.utils.spectral_norm,
        functools.partial(prune.l1_unstructured, name="weight", amount=0.5),
        torch.nn.utils.parametrizations.weight_norm,
    ],
)
def test_hooks_that_make_weights_come_along(model, changed):
    changed(model[1])
    model.eval()(IMAGES)
    copy = bare_copy(model)
    assert torch.equal(copy(IMAGES), model(IMAGES))
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.copy_(torch.rand(parameter.shape))
    assert not torch.isclose(copy(IMAGES), model(IMAGES)).any()
    assert not torch.isclose(copy[1].weight, model[1].weight).all()


def test_compiled_modules_are_unwrapped(model):
    whole = nn.Sequential(torch.compile(model, backend="eager"), nn.ReLU())
    whole.compile(backend="eager")
    copy = bare_copy(whole)
    assert type(copy[0]) is nn.Sequential
    assert copy[0] is not model
    assert copy._compiled_call_impl is None
    assert torch.equal(copy(IMAGES), model(IMAGES).relu())


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_scripted_modules_are_copied(model):
    whole = nn.Sequential(torch.jit.script(model), nn.ReLU())
    copy = bare_copy(whole)
    assert torch.equal(copy(IMAGES), whole(IMAGES))
    with torch.no_grad():
        next(copy.parameters()).zero_()
    assert next(whole.parameters()).any()


def test_a_forward_on_the_instance_is_bound_anew(model):
    model.forward = functools.partial(model.forward)
    model[0].forward = model[0].forward
    copy = bare_copy(model)
    assert copy[0].forward.__self__ is copy[0]
    assert copy.forward.func.__self__ is copy


def test_functions_that_hold_a_module(model):
    model.encode = lambda images: model[0](images + 1)
    with pytest.raises(ValueError, match="'encode' of Sequential is a function that holds on to a module"):
        bare_copy(model)
    model.encode = lambda images: images + IMAGES
    assert torch.equal(bare_copy(model).encode(IMAGES), IMAGES * 2)
