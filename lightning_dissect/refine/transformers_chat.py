"""Language models of transformers: from a folder, a GGUF file or the Hugging Face hub."""

import gc
import json
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass, field
from itertools import chain
from typing import Any, Literal

import torch

from lightning_dissect.checks import check_positive, require_package
from lightning_dissect.encoders.isolation import isolated_inference
from lightning_dissect.encoders.tokenizer_content import vocabulary
from lightning_dissect.fingerprint import fingerprint
from lightning_dissect.pretrained_model import ModelSource, chosen_device, quiet_transformers
from lightning_dissect.refine.base import PROPOSERS
from lightning_dissect.refine.chat_model import Message, check_sampling
from lightning_dissect.refine.chat_proposer import ChatProposer
from lightning_dissect.refine.seeded_sampling import SeededSampling

DTYPES = ("auto", "float16", "bfloat16", "float32")

SPEAKERS = {"system": "Instructions", "user": "User", "assistant": "Assistant"}
"""How a transcript calls who speaks, for a model without a chat template."""

IGNORED = ("_name_or_path", "transformers_version")
"""Entries of a configuration that change no reply."""


@dataclass
class TransformersChat:
    """A language model that runs here, loaded by the first reply.

    A model with a chat template is asked through it; another one is given a transcript to continue. Draws depend on
    the seed alone, and no random state is touched. A pickled or copied model carries no weights; it loads them again.

    Args:
        model: Folder as ``save_pretrained`` writes it, a GGUF file, or name on the Hugging Face hub.
        max_new_tokens: Most tokens of a reply.
        temperature: Divides the log-odds of tokens; 0 takes the likeliest.
        top_p: The likeliest tokens whose probabilities reach it are drawn from.
        device: ``"auto"`` takes the GPU if there is one.
        dtype: Of the weights; ``"auto"`` is float32 on the CPU and 16 bits elsewhere, see `ModelSource.dtype`.
        local_files_only: Whether nothing may be downloaded.

    Raises:
        ValueError:
            If an argument is out of its range.

    Example:
        >>> chat = TransformersChat("folder/with/model", temperature=0.7)
        >>> chat.reply([Message("user", "Who is there?")], seed=0)
        Traceback (most recent call last):
        RuntimeError: Expected `model` to be a folder with a model but there is no folder 'folder/with/model'.

    """

    model: str
    _: KW_ONLY
    max_new_tokens: int = 256
    temperature: float = 0.5
    top_p: float = 0.9
    device: str = "auto"
    dtype: Literal["auto", "float16", "bfloat16", "float32"] = "auto"
    local_files_only: bool = False
    _loaded: tuple[Any, Any] | None = field(default=None, init=False, repr=False, compare=False)
    _fingerprint: str | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("Expected `model` to be a folder, a file or a name on the Hugging Face hub but got ''.")
        check_positive("max_new_tokens", self.max_new_tokens)
        check_sampling(self.temperature, self.top_p)
        if self.dtype not in DTYPES:
            raise ValueError(f"Expected `dtype` to be one of {DTYPES} but got {self.dtype!r}.")

    def reply(self, messages: Sequence[Message], seed: int) -> str:
        """See `ChatModel.reply`.

        Args:
            messages: The conversation.
            seed: Seed of the draws.

        Raises:
            ValueError:
                If the conversation does not fit the model's context, or its chat template.
            RuntimeError:
                If the model cannot be loaded.

        """
        model, tokenizer = self._on_device()
        inputs = tokens_of(tokenizer, messages)
        length = inputs["input_ids"].shape[1]
        self._check_length(model, length)
        sampling = SeededSampling(seed, self.temperature, self.top_p)
        with isolated_inference(model.device), quiet_transformers():
            tokens = model.generate(
                **{name: tensor.to(model.device) for name, tensor in inputs.items()},
                max_new_tokens=self.max_new_tokens,
                logits_processor=[sampling],
                do_sample=False,
                num_beams=1,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=_padding(tokenizer),
            )
        said: str = tokenizer.decode(tokens[0, length:], skip_special_tokens=True)
        return said if has_template(tokenizer) else said.partition(f"\n{SPEAKERS['user']}:")[0]

    def fingerprint(self) -> str:
        """See `ChatModel.fingerprint`: weights, tokeniser, template and settings; the model is loaded to know it."""
        if self._fingerprint is None:
            model, tokenizer = self._on_device()
            weights = chain.from_iterable(sorted(model.state_dict().items()))
            configs = (model.config.to_dict(), model.generation_config.to_dict())
            self._fingerprint = fingerprint(
                *weights,
                *(json.dumps({k: v for k, v in config.items() if k not in IGNORED}, default=str) for config in configs),
                json.dumps(sorted(vocabulary(tokenizer).items())),
                str(tokenizer.chat_template),
                self.max_new_tokens,
                self.temperature,
                self.top_p,
            )
        return self._fingerprint

    def release(self) -> None:
        """Drop the model; the next reply reads it again."""
        if self._loaded is None:
            return
        on_gpu = self._loaded[0].device.type == "cuda"
        self._loaded = None
        gc.collect()
        if on_gpu:
            torch.cuda.empty_cache()

    def _on_device(self) -> tuple[Any, Any]:
        if self._loaded is None:
            require_package("transformers", "transformers", "A language model")
            device = chosen_device(self.device)
            source = ModelSource(self.model, self.local_files_only)
            model, tokenizer = source.load_language_model(source.dtype(self.dtype, device))
            self._loaded = model.to(device), tokenizer
        return self._loaded

    def _check_length(self, model: Any, length: int) -> None:  # noqa: ANN401 - transformers has no common type
        context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        if context is not None and length + self.max_new_tokens > context:
            raise ValueError(
                f"Expected the conversation and `max_new_tokens` to fit the {context} tokens of {self.model!r} "
                f"but got {length} and {self.max_new_tokens}. Lower `max_new_tokens`, or `most_used` of the proposer."
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}


def has_template(tokenizer: Any) -> bool:  # noqa: ANN401
    """Return whether a tokeniser knows how conversations with its model are written.

    Args:
        tokenizer: Of transformers.

    """
    return bool(getattr(tokenizer, "chat_template", None))


def tokens_of(tokenizer: Any, messages: Sequence[Message]) -> Mapping[str, torch.Tensor]:  # noqa: ANN401
    """Return a conversation as the model reads it, up to where it is to reply.

    Args:
        tokenizer: Of transformers.
        messages: The conversation.

    Returns:
        Token ids and attention mask, each of shape ``(1, length)``.

    Raises:
        ValueError:
            If the chat template refuses the conversation.

    """
    from jinja2 import TemplateError

    if not has_template(tokenizer):
        encoded = tokenizer(transcript(messages), return_tensors="pt")
    else:
        try:
            encoded = tokenizer.apply_chat_template(
                [asdict(message) for message in messages],
                add_generation_prompt=True,
                return_dict=True,
                return_tensors="pt",
                enable_thinking=False,  # templates that do not know it ignore it; thoughts would use up the reply
            )
        except TemplateError as error:
            roles = [message.role for message in messages]
            raise ValueError(f"Expected turns that the chat template takes but got {roles}: {error}") from error
    return {name: encoded[name] for name in ("input_ids", "attention_mask")}


def transcript(messages: Sequence[Message]) -> str:
    r"""Return a conversation as text that a model without a chat template can continue.

    Args:
        messages: The conversation.

    Example:
        >>> transcript([Message("user", "Who is there?")])
        'User: Who is there?\n\nAssistant:'

    """
    turns = [f"{SPEAKERS[message.role]}: {message.content}" for message in messages]
    return "\n\n".join([*turns, f"{SPEAKERS['assistant']}:"])


def _padding(tokenizer: Any) -> int | None:  # noqa: ANN401
    """Return the token that fills up texts; a single text needs none, but transformers asks for one."""
    padding: int | None = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    return padding


@PROPOSERS.register("chat")
def transformers_proposer(model: str = "") -> ChatProposer:
    """Return the proposer that ``"chat:MODEL"`` stands for.

    Args:
        model: Folder, GGUF file or name on the Hugging Face hub.

    Raises:
        ValueError:
            If there is none.

    Example:
        >>> PROPOSERS.resolve("chat:folder/with/model").model.model
        'folder/with/model'

    """
    if not model:
        raise ValueError("Expected a model behind 'chat:', such as 'chat:FOLDER' or 'chat:ORG/REPO', but got none.")
    return ChatProposer(TransformersChat(model))
