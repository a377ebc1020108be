"""Vision-language models of a few thousand weights, made from configurations and saved as `save_pretrained` does."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from lightning_dissect.pretrained_model import quiet_transformers

SIDE, PATCH, QUERIES, WIDTH = 16, 8, 3, 16
IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
WORDS = ("yes", "Yes", "YES", "no", "No", "NO")
CHAT_TEMPLATE = (
    "{% for message in messages %}<|turn|>{{ message['role'] }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant: {% endif %}"
)


def tokenizer(first: str = "", last: str = "", extra: tuple[str, ...] = ()) -> PreTrainedTokenizerFast:
    """Bytes as tokens, besides yes and no in all spellings, which are one token each."""
    special = ["<pad>", "<s>", "</s>", "<unk>", *extra]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*special, *alphabet])}
    merges = []
    for word in WORDS:
        parts = [(word[:end], word[end]) for end in range(1, len(word))] + [("Ġ", word)]
        merges += [part for part in parts if part not in merges]
        for part in parts:
            vocabulary.setdefault("".join(part), len(vocabulary))
    made = Tokenizer(models.BPE(vocabulary, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    if first or last:
        template = " ".join(filter(None, (first, "$A", last)))
        ids = [(token, vocabulary[token]) for token in (first, last) if token]
        made.post_processor = processors.TemplateProcessing(single=template, special_tokens=ids)
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        **dict(zip(("pad_token", "bos_token", "eos_token", "unk_token"), special, strict=False)),
        additional_special_tokens=list(extra),
    )


def tower(**more: object) -> dict[str, object]:
    """Sizes that every part shares."""
    sizes = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2}
    return {**sizes, **more}


def vision() -> dict[str, object]:
    return tower(image_size=SIDE, patch_size=PATCH)


def save(model: torch.nn.Module, processor: object, folder: Path) -> Path:
    """Save a model whose answers differ much between images and texts: fresh weights are too small for that."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim > 1:
                noise = torch.randn(weights.shape, generator=generator)
                weights.copy_(noise * (1.0 if weights.ndim > 2 else 0.5))
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def pictures() -> transformers.BlipImageProcessor:
    return transformers.BlipImageProcessor(size={"height": SIDE, "width": SIDE})


def blip_2(folder: Path, language: str = "opt") -> Path:
    """BLIP-2 with OPT, which continues a text, or T5, which answers it."""
    words = tokenizer(**({"first": "</s>"} if language == "opt" else {"last": "</s>"}), extra=("<image>",))
    ids = {"vocab_size": len(words), **IDS}
    text = (
        transformers.OPTConfig(
            **ids, hidden_size=WIDTH, ffn_dim=WIDTH, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=1024, word_embed_proj_dim=WIDTH,
        )
        if language == "opt"
        else transformers.T5Config(
            **ids, d_model=WIDTH, d_kv=8, d_ff=WIDTH, num_layers=1, num_heads=2, decoder_start_token_id=0
        )
    )  # fmt: skip
    config = transformers.Blip2Config(
        vision_config=vision(),
        qformer_config=tower(encoder_hidden_size=WIDTH, vocab_size=len(words), cross_attention_frequency=1),
        text_config=text.to_dict(),
        num_query_tokens=QUERIES,
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    processor = transformers.Blip2Processor(pictures(), words, num_query_tokens=QUERIES)
    return save(transformers.Blip2ForConditionalGeneration(config), processor, folder)


def blip_2_matching(folder: Path) -> Path:
    """BLIP-2 with its image-text matching head."""
    words = tokenizer(first="<s>", last="</s>", extra=("<image>",))
    config = transformers.Blip2Config(
        vision_config=vision(),
        qformer_config=tower(
            encoder_hidden_size=WIDTH, vocab_size=len(words), cross_attention_frequency=1, use_qformer_text_input=True
        ),
        num_query_tokens=QUERIES,
        image_text_hidden_size=WIDTH,
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    processor = transformers.Blip2Processor(pictures(), words, num_query_tokens=QUERIES)
    return save(transformers.Blip2ForImageTextRetrieval(config), processor, folder)


def blip(folder: Path, kind: str = "ImageTextRetrieval") -> Path:
    """BLIP with its image-text matching head, or for question answering."""
    words = tokenizer(first="<s>", last="</s>")
    ids = {"vocab_size": len(words), **IDS, "sep_token_id": 2}
    config = transformers.BlipConfig(
        vision_config=vision(),
        text_config=tower(**ids, encoder_hidden_size=WIDTH, max_position_embeddings=512),
        image_text_hidden_size=WIDTH,
        projection_dim=WIDTH,
    )
    processor = transformers.BlipProcessor(pictures(), words)
    return save(getattr(transformers, f"BlipFor{kind}")(config), processor, folder)


def llava(folder: Path, chat_template: str | None = CHAT_TEMPLATE) -> Path:
    """LLaVA: a Llama that is given the patches of a CLIP image tower."""
    words = tokenizer(extra=("<image>", "<|turn|>", "<|end|>"))
    ids = {"vocab_size": len(words), **IDS}
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**vision()).to_dict(),
        text_config=transformers.LlamaConfig(**tower(**ids, num_key_value_heads=2)).to_dict(),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    crops = transformers.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    processor = transformers.LlavaProcessor(
        crops,
        words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template,
    )
    return save(transformers.LlavaForConditionalGeneration(config), processor, folder)


def qwen_vl(folder: Path) -> Path:
    """Qwen2-VL: positions in three dimensions, as many tokens per image as it has patches."""
    places = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    words = tokenizer(extra=("<|turn|>", "<|end|>", *places))
    start, end, image, video = words.convert_tokens_to_ids(list(places))
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
    eyes = {"depth": 1, "embed_dim": WIDTH, "hidden_size": WIDTH, "num_heads": 2, "mlp_ratio": 1, "patch_size": 4}
    config = transformers.Qwen2VLConfig(
        text_config=tower(vocab_size=len(words), **IDS, num_key_value_heads=2, rope_parameters=rope),
        vision_config=eyes,
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
    )
    crops = transformers.Qwen2VLImageProcessor(patch_size=4, min_pixels=64, max_pixels=1024)
    videos = transformers.Qwen2VLVideoProcessor(patch_size=4)
    template = CHAT_TEMPLATE.replace("<image>", "".join((places[0], places[2], places[1])))
    processor = transformers.Qwen2VLProcessor(crops, words, videos, chat_template=template)
    return save(transformers.Qwen2VLForConditionalGeneration(config), processor, folder)


def smol_vlm(folder: Path) -> Path:
    """SmolVLM: an Idefics 3 of few weights, whose images stand between tokens of their own."""
    places = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", "<video>")
    words = tokenizer(extra=("<|turn|>", "<|end|>", *places))
    image = words.convert_tokens_to_ids("<image>")
    config = transformers.SmolVLMConfig(
        vision_config=vision(),
        text_config={"model_type": "llama", **tower(vocab_size=len(words), **IDS, num_key_value_heads=2)},
        image_token_id=image,
        scale_factor=2,
    )
    crops = transformers.SmolVLMImageProcessor(
        size={"longest_edge": SIDE}, max_image_size={"longest_edge": SIDE}, do_image_splitting=False
    )
    videos = transformers.SmolVLMVideoProcessor()
    processor = transformers.SmolVLMProcessor(crops, words, videos, image_seq_len=1, chat_template=CHAT_TEMPLATE)
    return save(transformers.SmolVLMForConditionalGeneration(config), processor, folder)


MODELS: dict[str, Callable[[Path], Path]] = {
    "blip": blip,
    "blip vqa": partial(blip, kind="QuestionAnswering"),
    "blip-2 itm": blip_2_matching,
    "blip-2 opt": blip_2,
    "blip-2 t5": partial(blip_2, language="t5"),
    "llava": llava,
    "qwen-vl": qwen_vl,
    "smolvlm": smol_vlm,
}


def folder_of(name: str, root: Path) -> str:
    """The folder of a model, made when it is first asked for."""
    place = root / name.replace(" ", "_")
    if not place.exists():
        with quiet_transformers(), pytest.MonkeyPatch.context() as patch:
            patch.setattr("transformers.models.smolvlm.processing_smolvlm.num2words", str)
            MODELS[name](place)
    return str(place)
