import copy
import pickle

import pytest
import torch

from lightning_dissect.refine.base import PROPOSERS, ConceptProposer, ProposalRequest, Releasable, ScoredName
from lightning_dissect.refine.chat_model import ChatModel, Message
from lightning_dissect.refine.chat_proposer import ChatProposer
from lightning_dissect.refine.transformers_chat import TransformersChat
from tests.helpers import tiny_chat

HELLO = [Message("user", "hello"), Message("assistant", "yes?"), Message("user", "who is there?")]


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_chat.save(tmp_path_factory.mktemp("chat") / "model")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return tiny_chat.save(tmp_path_factory.mktemp("chat") / "plain", template=None)


def chat(folder, **settings):
    return TransformersChat(folder, **{"max_new_tokens": 12, "temperature": 1.0, "device": "cpu", **settings})


def test_it_is_a_chat_model_that_gives_memory_back(folder):
    assert isinstance(chat(folder), ChatModel)
    assert isinstance(chat(folder), Releasable)


def test_equal_seeds_give_equal_replies_and_leave_random_states_alone(folder):
    state = torch.get_rng_state()
    model = chat(folder)
    first = [model.reply(HELLO, seed) for seed in range(4)]
    assert torch.equal(torch.get_rng_state(), state)
    assert len(set(first)) == 4
    torch.manual_seed(3)
    assert [chat(folder).reply(HELLO, seed) for seed in range(4)] == first
    torch.set_rng_state(state)


def test_without_temperature_the_seed_does_not_matter(folder):
    model = chat(folder, temperature=0.0)
    assert model.reply(HELLO, 0) == model.reply(HELLO, 1)


def test_the_likeliest_tokens_follow_from_the_model_alone(folder):
    """A loop over forward passes gives the greedy reply."""
    model = chat(folder, temperature=0.0)
    reply = model.reply(HELLO, 0)
    network, words = model._loaded
    text = "".join(f"<|turn|>{turn.role}: {turn.content}<|end|>" for turn in HELLO) + "<|turn|>assistant: "
    tokens = words(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    length = tokens.shape[1]
    for _ in range(12):
        with torch.no_grad():
            following = network(tokens).logits[:, -1:].argmax(dim=-1)
        tokens = torch.cat([tokens, following], dim=1)
        if following.item() == words.eos_token_id:
            break
    assert reply == words.decode(tokens[0, length:], skip_special_tokens=True)


def test_settings_that_a_model_was_saved_with_do_not_matter(folder):
    model = chat(folder)
    reply = model.reply(HELLO, 0)
    config = model._loaded[0].generation_config
    config.do_sample, config.temperature, config.top_k, config.num_beams = True, 0.1, 1, 3
    assert model.reply(HELLO, 0) == reply


def test_a_reply_is_computed_outside_of_autocast_and_inference_mode(folder):
    model = chat(folder)
    reply = model.reply(HELLO, 0)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert model.reply(HELLO, 0) == reply
    assert {weights.requires_grad for weights in model._loaded[0].parameters()} == {False}


def test_a_model_without_a_template_continues_a_transcript(plain, monkeypatch):
    model = chat(plain)
    assert isinstance(model.reply(HELLO, 0), str)
    words = model._loaded[1]
    monkeypatch.setattr(type(words), "decode", lambda *_, **__: " A cat.\n\nUser: thanks\n\nAssistant: bye")
    assert model.reply(HELLO, 0) == " A cat.\n"


def test_a_released_model_is_read_again(folder):
    model = chat(folder)
    model.release()
    reply = model.reply(HELLO, 0)
    model.release()
    assert model._loaded is None
    assert model.reply(HELLO, 0) == reply


def test_memory_of_a_gpu_is_given_back(folder, monkeypatch):
    emptied = []
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: emptied.append(True))
    model = chat(folder)
    model.reply(HELLO, 0)
    _, words = model._loaded

    class OnGPU:
        device = torch.device("cuda")

    model._loaded = OnGPU(), words
    model.release()
    assert emptied == [True]


def test_copies_carry_no_weights(folder):
    model = chat(folder)
    reply = model.reply(HELLO, 0)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):  # noqa: S301
        assert other._loaded is None
        assert other == model
        assert other.reply(HELLO, 0) == reply


def test_a_fingerprint_depends_on_what_replies_depend_on(folder, plain):
    model = chat(folder)
    known = model.fingerprint()
    assert (
        model.fingerprint() == known == chat(folder).fingerprint() == chat(folder, local_files_only=True).fingerprint()
    )
    others = [chat(plain), chat(folder, top_p=0.5), chat(folder, temperature=0.3), chat(folder, max_new_tokens=3)]
    others.append(chat(folder, dtype="bfloat16"))
    assert len({known, *(other.fingerprint() for other in others)}) == 6


def test_a_conversation_that_does_not_fit_is_an_error(tmp_path):
    folder = tiny_chat.save(tmp_path / "small", context=50)
    with pytest.raises(ValueError, match=r"to fit the 50 tokens of .* but got \d+ and 12\. Lower `max_new_tokens`, or"):
        chat(folder).reply(HELLO, 0)


def test_a_conversation_that_the_template_refuses_is_an_error(folder):
    with pytest.raises(ValueError, match=r"the chat template takes but got \['system', 'user'\]: no system turns"):
        chat(folder).reply([Message("system", "be brief"), Message("user", "hello")], 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": ""}, "Expected `model` to be a folder, a file or a name"),
        ({"max_new_tokens": 0}, "Expected `max_new_tokens` to be greater than 0"),
        ({"temperature": -1.0}, "Expected `temperature`"),
        ({"top_p": 0.0}, "Expected `top_p`"),
        ({"dtype": "int8"}, r"Expected `dtype` to be one of \('auto', .*\) but got 'int8'"),
    ],
)
def test_settings_out_of_range_are_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        TransformersChat(**{"model": "folder", **settings})


def test_a_model_that_is_not_there_is_an_error():
    with pytest.raises(RuntimeError, match="hf download nobody/nothing --local-dir FOLDER"):
        chat("nobody/nothing").reply(HELLO, 0)


def test_the_whole_path_from_a_name(folder):
    proposer = PROPOSERS.resolve(f"chat:{folder}")
    assert isinstance(proposer, ConceptProposer)
    assert isinstance(proposer.model, TransformersChat)
    proposer = ChatProposer(chat(folder))
    request = ProposalRequest((ScoredName("zebra", 2.5), ScoredName("sky", 0.1)), ("zebra", "sky"), step=1, seed=5)
    proposal = proposer.propose(request)
    assert proposal == proposer.propose(request)
    assert proposal.outcome in {"scored", "unreadable"}
    proposer.release()
    assert proposer.model._loaded is None


def test_a_name_without_a_model_is_an_error():
    for spec in ("chat", "chat:"):
        with pytest.raises(ValueError, match="Expected a model behind 'chat:'"):
            PROPOSERS.resolve(spec)
