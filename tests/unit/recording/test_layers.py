import pytest
import torch
from torch import nn

from lightning_dissect.recording.layers import SelectedLayer, named_layers, select_layers
from lightning_dissect.recording.pooling import AutoPooling, ClsPooling, MaxPooling, MeanPooling


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1)
        self.act = nn.ReLU()
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv2(self.act(self.conv1(x)))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.layer1 = nn.Sequential(Block(), Block())
        self.layer2 = nn.Sequential(Block(), Block())
        self.fc = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.layer2(self.layer1(self.stem(x))).mean((2, 3)))


class Task(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x)


class Conv2dSame(nn.Conv2d):
    pass


def names(model: nn.Module, layers: object) -> list[str]:
    return list(select_layers(model, layers))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("model.layer2", ["model.layer2"]),
        ("layer2", ["model.layer2"]),
        ("layer2.0.conv1", ["model.layer2.0.conv1"]),
        (["fc", "stem"], ["model.fc", "model.stem"]),
        ("model.layer?", ["model.layer1", "model.layer2"]),
        ("model.layer*.1", ["model.layer1.1", "model.layer2.1"]),
        ("*.conv2", [f"model.layer{i}.{j}.conv2" for i in (1, 2) for j in (0, 1)]),
        ("model.layer[2].0.act", ["model.layer2.0.act"]),
        ("Linear", ["model.fc"]),
        (nn.Linear, ["model.fc"]),
        ("Block", [f"model.layer{i}.{j}" for i in (1, 2) for j in (0, 1)]),
        (["fc", "model.layer?", "layer1", nn.Linear], ["model.fc", "model.layer1", "model.layer2"]),
    ],
)
def test_selects_in_the_order_asked_for_without_duplicates(layers: object, expected: list[str]) -> None:
    assert names(Task(Net()), layers) == expected


def test_a_pattern_also_matches_dots() -> None:
    assert names(Task(Net()), "model.layer1*") == [name for name in named_layers(Task(Net())) if "layer1" in name]


def test_full_name_goes_before_end_of_name_and_end_before_class() -> None:
    model = nn.ModuleDict({"fc": nn.Linear(1, 1), "head": nn.ModuleDict({"fc": nn.Linear(1, 1)})})
    assert names(model, "fc") == ["fc"]
    model = nn.ModuleDict({"a": nn.ModuleDict({"ReLU": nn.Linear(1, 1)}), "b": nn.ReLU()})
    assert names(model, "ReLU") == ["a.ReLU"]


def test_classes_include_subclasses() -> None:
    model = nn.Sequential(Conv2dSame(3, 3, 1), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    assert names(model, "Conv2d") == ["0", "1"]
    assert names(model, nn.Conv2d) == ["0", "1"]
    assert names(model, "Conv2dSame") == ["0"]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("layr2", r"'layr2' fits none of its 21 modules. Did you mean 'model.layer2'"),
        ("model.foo*", r"'model.foo\*' fits none"),
        (nn.LSTM, "'LSTM' fits none"),
        ("conv1", r"'conv1' is the end of 4 names: 'model.layer1.0.conv1', .* or '\*.conv1' for all"),
        ([], "at least one layer"),
        ({}, "at least one layer"),
        ({"layer1": "median"}, "Expected a pooling or one of .*'auto', 'cls', 'max', 'mean'.* got 'median'"),
        ("Module", "'Module' fits none"),
        ("", "'' fits none"),
    ],
)
def test_explains_what_it_cannot_select(layers: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        names(Task(Net()), layers)


@pytest.mark.parametrize(
    ("layers", "pooling", "message"),
    [
        ([3], "auto", "module names, patterns or classes but got 3"),
        ("fc", 7, "an object with the method `pool` but got 7"),
        ("fc", MeanPooling, "an object with the method `pool` but got <class"),
    ],
)
def test_rejects_wrong_types(layers: object, pooling: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        select_layers(Net(), layers, pooling)  # type: ignore[arg-type]


def test_pooling_is_shared_or_per_choice() -> None:
    shared = select_layers(Net(), ["stem", "fc"], "max")
    assert [layer.pooling for layer in shared.values()] == [MaxPooling(), MaxPooling()]
    assert select_layers(Net(), "fc")["fc"].pooling == AutoPooling()
    own = MeanPooling(channel_axis=1)
    mixed = select_layers(Net(), {"layer*": "mean", "layer2": own, "fc": "cls", "layer?": "max", "Linear": "max"})
    assert mixed["layer1"].pooling == MeanPooling()
    assert mixed["layer2"].pooling is own, "a layer named outright keeps its pooling, even after a pattern"
    assert mixed["fc"].pooling == ClsPooling()
    assert select_layers(Net(), {"layer2": "max", "layer?": "mean"})["layer2"].pooling == MaxPooling()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda net: torch.compile(net, backend="eager"),
        lambda net: Task(torch.compile(net, backend="eager")).model,
        nn.DataParallel,
        lambda net: nn.DataParallel(torch.compile(net, backend="eager")),
    ],
    ids=["compiled", "compiled inside", "data parallel", "both"],
)
def test_names_do_not_depend_on_wrappers(wrap: object) -> None:
    plain = Net()
    wrapped = named_layers(wrap(plain))  # type: ignore[operator]
    assert list(wrapped) == list(named_layers(plain))
    assert wrapped[""] is plain
    assert wrapped["layer1.0.conv1"] is plain.layer1[0].conv1


@pytest.mark.parametrize(
    "component", ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"]
)
def test_wrappers_inside_the_model_leave_no_trace(component: str) -> None:
    net = Net()
    inner = net.layer1
    wrapper = nn.Module()
    wrapper.add_module(component, inner)
    net.layer1 = wrapper
    assert list(named_layers(net)) == list(named_layers(Net()))
    assert select_layers(net, "layer1")["layer1"].module is inner


def test_fabric_keeps_the_original_module_too() -> None:
    from lightning.fabric.wrappers import _FabricModule

    net = Net()
    fabric = _FabricModule(net, strategy=None)  # type: ignore[arg-type]
    assert list(named_layers(fabric)) == list(named_layers(net))


def test_distributed_data_parallel_leaves_no_trace() -> None:
    from torch import distributed

    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(Net())
        assert list(named_layers(wrapped)) == list(named_layers(Net()))
    finally:
        distributed.destroy_process_group()


def test_a_module_called_module_keeps_its_name() -> None:
    assert list(named_layers(nn.ModuleDict({"module": nn.ReLU()}))) == ["", "module"]


def test_shared_modules_have_all_their_names_but_patterns_find_them_once() -> None:
    shared = nn.Linear(2, 2)
    model = nn.ModuleDict({"a": shared, "b": nn.ModuleDict({"c": shared})})
    assert list(select_layers(model, ["a", "b.c"])) == ["a", "b.c"]
    assert list(select_layers(model, "*")) == ["a", "b"]
    assert list(select_layers(model, "Linear")) == ["a"]


def test_layers_know_what_the_model_tells() -> None:
    layer = select_layers(Net(), "layer1.0.act")["layer1.0.act"]
    assert isinstance(layer, SelectedLayer)
    assert layer.traits is not None
    assert layer.traits.kind == "first"
    assert layer.traits.widths == {4}
