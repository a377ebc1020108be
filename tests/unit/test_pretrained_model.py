import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer
from transformers.utils import logging

from lightning_dissect.pretrained_model import ModelSource, chosen_device, quiet_transformers
from tests.helpers import tiny_chat, tiny_vlm

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    return partial(tiny_vlm.folder_of, root=tmp_path_factory.mktemp("models"))


@pytest.fixture
def folder(tiny: Callable[[str], str], tmp_path: Path) -> Path:
    """A model that a test may spoil."""
    return Path(shutil.copytree(tiny("blip-2 opt"), tmp_path / "model"))


def load(model: object, model_class: str = "Blip2ForConditionalGeneration") -> None:
    ModelSource(str(model)).load(model_class, torch.float32)


def test_a_folder_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ModelSource(str(folder))
    assert source.family == "blip-2"
    assert source.config["num_query_tokens"] == 3
    monkeypatch.setenv("HOME", str(folder.parent))
    assert ModelSource("~/model").family == "blip-2"
    assert ModelSource("~/model").place == str(folder)


def test_defaults_of_a_training_do_not_matter(folder: Path) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        model, _ = ModelSource(str(folder)).load("Blip2ForConditionalGeneration", torch.float32)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {weights.dtype for weights in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("saved", "name", "device", "dtype"),
    [
        ({"dtype": "float16"}, "auto", CPU, torch.float32),
        ({"dtype": "float16"}, "auto", GPU, torch.float16),
        ({"torch_dtype": "torch.float16"}, "auto", GPU, torch.float16),
        ({"dtype": "bfloat16"}, "auto", GPU, torch.bfloat16),
        ({"dtype": "float32"}, "auto", GPU, torch.bfloat16),
        ({}, "auto", GPU, torch.bfloat16),
        ({"dtype": "float16"}, "float32", GPU, torch.float32),
        ({}, "float16", CPU, torch.float16),
    ],
)
def test_dtypes(saved: dict[str, str], name: str, device: torch.device, dtype: torch.dtype, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config.pop("dtype")
    (folder / "config.json").write_text(json.dumps(config | saved))
    assert ModelSource(str(folder)).dtype(name, device) == dtype


def test_a_folder_without_weights_holds_no_model(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(RuntimeError, match=r"holds no \*.safetensors or \*.bin"):
        _ = ModelSource(str(folder)).config


def test_a_folder_without_a_configuration_holds_no_model(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(RuntimeError, match=r"holds no config.json"):
        _ = ModelSource(str(folder)).config


def test_a_configuration_of_something_else_is_an_error(folder: Path) -> None:
    (folder / "config.json").write_text('{"model": 3}')
    with pytest.raises(RuntimeError, match="names no `model_type`"):
        _ = ModelSource(str(folder)).config


def test_a_configuration_that_is_no_json_is_an_error(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(RuntimeError, match="a folder with a model and its processor but got"):
        _ = ModelSource(str(folder)).config


@pytest.mark.parametrize("local_files_only", [False, True])
def test_without_a_network_the_error_says_what_to_do(local_files_only: bool) -> None:
    source = ModelSource("nobody/nothing", local_files_only)
    with pytest.raises(RuntimeError, match="hf download nobody/nothing --local-dir FOLDER"):
        _ = source.config
    with pytest.raises(RuntimeError, match="hf download nobody/nothing --local-dir FOLDER"):
        source.load("Blip2ForConditionalGeneration", torch.float32)


def test_missing_weights_are_an_error(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["query_tokens"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RuntimeError, match=r"lacks \['query_tokens'\]\. Untrained weights are never used"):
        load(folder)


def test_a_model_of_another_class_is_an_error(tiny: Callable[[str], str]) -> None:
    with pytest.raises(RuntimeError, match="all weights of BlipForQuestionAnswering but"):
        load(tiny("blip"), "BlipForQuestionAnswering")


def test_spoilt_weights_are_an_error(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(RuntimeError, match="a folder with a model and its processor but got"):
        load(folder)


def test_a_folder_without_a_processor_is_an_error(folder: Path) -> None:
    for file in folder.glob("*"):
        if file.name not in {"config.json", "model.safetensors"}:
            file.unlink()
    with pytest.raises(RuntimeError, match="processor"):
        load(folder)


def test_a_tokenizer_alone_is_no_processor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    monkeypatch.setattr("transformers.AutoProcessor.from_pretrained", lambda *_, **__: tokenizer)
    with pytest.raises(RuntimeError, match=r"a processor of images and texts but got .* only"):
        load(folder)


def test_a_missing_package_is_named(tiny: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.models.smolvlm.processing_smolvlm.num2words", None)
    with pytest.raises(RuntimeError, match=r"can load as AutoModelForImageTextToText .*pip install num2words"):
        load(tiny("smolvlm"), "AutoModelForImageTextToText")


def test_a_broken_file_of_another_format_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    monkeypatch.setenv("HOME", str(tmp_path))
    for source in (ModelSource(str(file)), ModelSource("~/model.gguf")):
        assert source.place == str(tmp_path)
        with pytest.raises(RuntimeError, match=r"one to read but got .*model\.gguf': "):
            _ = source.config
        with pytest.raises(RuntimeError, match=r"can load as AutoModelForCausalLM but got .*model\.gguf': "):
            source.load_language_model(torch.float32)


def test_a_file_of_another_format_is_read_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    file = tmp_path / "model.gguf"
    file.touch()
    monkeypatch.setattr(
        "transformers.PretrainedConfig.get_config_dict",
        lambda place, **options: (asked.append({"place": place, **options}) or {"model_type": "llama"}, {}),
    )
    assert ModelSource(str(file), local_files_only=True).family == "llama"
    assert asked == [{"place": str(tmp_path), "local_files_only": True, "gguf_file": "model.gguf"}]


def test_a_language_model_comes_with_its_tokenizer(tmp_path: Path) -> None:
    folder = tiny_chat.save(tmp_path / "model")
    state = torch.get_rng_state()
    model, tokenizer = ModelSource(folder).load_language_model(torch.bfloat16)
    assert torch.equal(torch.get_rng_state(), state)
    assert (type(model).__name__, model.dtype, model.training) == ("LlamaForCausalLM", torch.bfloat16, False)
    assert tokenizer.chat_template == tiny_chat.TEMPLATE


@pytest.mark.parametrize("bars", [True, False])
def test_what_transformers_writes_is_set_back(bars: bool) -> None:
    def set_bars(shown: bool) -> None:
        (logging.enable_progress_bar if shown else logging.disable_progress_bar)()

    verbosity, before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    set_bars(bars)
    try:
        with suppress(KeyError), quiet_transformers():
            assert not logging.is_progress_bar_enabled()
            raise KeyError
        assert logging.get_verbosity() == verbosity
        assert logging.is_progress_bar_enabled() == bars
    finally:
        set_bars(before)


def test_a_gpu_is_taken_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert (chosen_device("auto"), chosen_device("cuda:1")) == (GPU, torch.device("cuda:1"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert chosen_device("auto") == CPU
    with pytest.raises(ValueError, match="'cuda:1' without a GPU"):
        chosen_device("cuda:1")
    with pytest.raises(ValueError, match="'auto' or a device of torch but got 'toaster'"):
        chosen_device("toaster")
