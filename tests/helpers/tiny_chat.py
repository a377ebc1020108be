"""A language model of a few thousand weights that talks nonsense, saved as `save_pretrained` does."""

from pathlib import Path

import transformers

from lightning_dissect.pretrained_model import quiet_transformers
from tests.helpers import tiny_vlm

TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('no system turns') }}{% endif %}"
    "<|turn|>{{ message['role'] }}: {{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant: {% endif %}"
)


def save(folder: Path, template: str | None = TEMPLATE, context: int = 8192) -> str:
    """A Llama of one layer whose tokens are bytes."""
    words = tiny_vlm.tokenizer(first="<s>", extra=("<|turn|>", "<|end|>"))
    words.chat_template = template
    config = transformers.LlamaConfig(
        **tiny_vlm.tower(vocab_size=len(words), **tiny_vlm.IDS, num_key_value_heads=2, max_position_embeddings=context)
    )
    with quiet_transformers():
        return str(tiny_vlm.save(transformers.LlamaForCausalLM(config), words, folder))
