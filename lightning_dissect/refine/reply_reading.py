"""What a language model said, read as concepts: tolerant of form, strict about what a concept may be."""

import html
import json
import re
from collections.abc import Iterator
from itertools import islice

from lightning_dissect.label_refinement import Outcome
from lightning_dissect.refine.base import Proposal
from lightning_dissect.refine.one_line import one_line

MOST_READ = 65_536
"""Characters of a reply that are read: its beginning and its end."""

MOST_ENTRIES = 200
"""Entries of a list that are read, concepts or not."""

MOST_WORDS = 8
MOST_CHARACTERS = 80
"""Limits of a concept; what is longer is a sentence."""

MOST_SHORT_WORDS = 3
"""Words of a concept that stands in none of the forms that were asked for."""

MOST_REASONS = 500
"""Characters of the reasons that are kept."""

# No pattern looks back over what it has read already: a reply may be long, and may be meant to take long.
THINKING_BEGINS, THINKING_ENDS = "<think>", "</think>"
TAG = re.compile(r"<\s?(/?)\s?names?\s?>", re.IGNORECASE)
FENCE = re.compile(r"```[a-z]*", re.IGNORECASE)
FLAT_LIST = re.compile(r"\[[^\[\]\"]*\"[^\[\]]*\]")
STRING = re.compile(r'"(?:[^"\\\n]|\\.){0,400}"')
BULLET = re.compile(r"\s*(?:[-*\u2022\u2013]|\d{1,3}[.)])\s+")
MARKUP = re.compile(r"<[^<>]{0,100}>")
INTRODUCTION = re.compile(r"^\W{0,5}(?:answer|concepts?|names?)\W{0,5}[:=]", re.IGNORECASE)
SCORE = re.compile(r"^[+-]?\d+\.\d+\s+|\s*[:;=(]\s*[+-]?\d+\.\d+\s*\)?$")
EDGES = " \t\"'`*_.,;:\u2018\u2019\u201c\u201d\u00ab\u00bb"
NAME_KEYS = ("names", "name", "concepts", "concept")
NO_CONCEPTS = frozenset({"none", "n/a", "null"})
REFUSAL = re.compile(
    r"(?:i'?m|i am)? ?(?:very |so |really )?sorry\b[,.!]? (?:but |i\b|as |that )"
    r"|(?:but )?i (?:cannot|can not|can't|couldn't|could not|won't|will not|must decline)\b"
    r"|(?:i'?m|i am) (?:unable|not able) to\b"
    r"|as an ai\b|as a (?:large )?language model\b|unfortunately,? i\b|i apologi[sz]e\b",
    re.IGNORECASE,
)


def read_reply(reply: str, count: int) -> Proposal:
    r"""Return the concepts that a reply holds.

    Read are, in this order: what stands between the tags ``<names>``, whose end may be missing; a code block; the last
    JSON list; names in a list with bullets or numbers; a reply of a few words. Within them JSON is understood, also if
    it breaks off, and lines if there is none; commas never part concepts but in a list without quotes. Markup, control
    characters and scores that were repeated are left out. What a reasoning model thought beforehand is not read.

    Args:
        reply: Any text.
        count: Most concepts that are wanted.

    Returns:
        The concepts in order, different ones, each of at most 8 words and 80 characters. If there is none, the outcome
        is ``"refused"`` where the reply begins as refusals do, else ``"unreadable"``.

    Example:
        >>> read_reply('They are all wild.\n<names>["wolf, grey", "fox"]</names>', count=2)
        Proposal(concepts=('wolf, grey', 'fox'), answer='They are all wild.', outcome='scored')
        >>> read_reply("I'm sorry, but I cannot help with that.", count=1).outcome
        'refused'

    """
    text = without_thoughts(bounded(reply))
    block, reasons = found_block(text)
    names: dict[str, str] = {}
    for name in filter(None, map(clean_concept, islice(entries(block), MOST_ENTRIES))):
        names.setdefault(name.casefold(), name)
    if names:
        return Proposal(tuple(names.values())[:count], one_line(reasons[: 4 * MOST_REASONS], MOST_REASONS))
    outcome: Outcome = "refused" if is_refusal(text) or is_refusal(block) else "unreadable"
    return Proposal((), one_line((text or reply)[: 4 * MOST_REASONS], MOST_REASONS), outcome)


def bounded(reply: str) -> str:
    """Return a reply without its middle if it is very long.

    Args:
        reply: Any text.

    """
    half = MOST_READ // 2
    return reply if len(reply) <= MOST_READ else f"{reply[:half]}\n{reply[-half:]}"


def without_thoughts(text: str) -> str:
    """Return what a reasoning model said after it had thought; nothing if it never came to an end.

    Args:
        text: A reply.

    """
    _, ends, said = text.rpartition(THINKING_ENDS)
    if ends:
        return said
    return "" if text.lstrip().startswith(THINKING_BEGINS) else text


def found_block(text: str) -> tuple[str, str]:
    """Return the part of a reply that holds concepts, empty if there is none, and the rest of it.

    Args:
        text: A reply.

    """
    tags = list(TAG.finditer(text))
    if tags:
        return tagged_block(text, tags)
    fences = list(FENCE.finditer(text))
    if len(fences) > 1:
        return text[fences[-2].end() : fences[-1].start()], text[: fences[-2].start()]
    lists = list(FLAT_LIST.finditer(text))
    if lists:
        return lists[-1].group(), text[: lists[-1].start()]
    lines = text.strip().splitlines()
    bullets = [line for line in lines if BULLET.match(line)]
    if bullets:
        short = "\n".join(line for line in bullets if is_short(BULLET.sub("", line, count=1)))
        return short, "\n".join(line for line in lines if not BULLET.match(line))
    is_name = len(lines) == 1 and lines[0].isprintable() and not MARKUP.search(lines[0]) and is_short(lines[0])
    return (lines[0], "") if is_name else ("", text)


def is_short(line: str) -> bool:
    """Return whether a line without quotes or tags is short enough for a name.

    Args:
        line: With or without an introduction and a score.

    """
    return len(SCORE.sub("", INTRODUCTION.sub("", line)[: 2 * MOST_CHARACTERS]).split()) <= MOST_SHORT_WORDS


def tagged_block(text: str, tags: list[re.Match[str]]) -> tuple[str, str]:
    """Return the last block behind an opening tag, and what stands before it.

    A block with a quote or a bracket is preferred, since some models open a block again where they should close it.
    Where the closing tag is missing, the block ends with the paragraph.

    Args:
        text: A reply.
        tags: All tags in it, in order.

    """
    ends = [*(tag.start() for tag in tags[1:]), None]
    blocks = [
        (tag.start(), text[tag.end() : end].strip(), end) for tag, end in zip(tags, ends, strict=True) if not tag[1]
    ]
    blocks = [(start, block if end else block.split("\n\n")[0], end) for start, block, end in blocks if block]
    if not blocks:
        return "", text
    start, block, _ = next((item for item in reversed(blocks) if set('["') & set(item[1])), blocks[-1])
    return block, TAG.sub(" ", text[:start])


def entries(block: str) -> Iterator[str]:
    """Return what a block lists, unchanged.

    Args:
        block: JSON, a part of it, or lines.

    """
    bare = FENCE.sub("", block).strip()
    try:
        return strings_of(json.loads(bare))
    except (ValueError, RecursionError):
        strings = STRING.findall(bare) if bare.startswith(("[", "{")) else []
    if strings:
        return map(string_of, strings)
    if bare.startswith("["):
        return iter(bare.strip("[]").split(","))
    return (BULLET.sub("", line, count=1) for line in bare.splitlines())


def strings_of(value: object) -> Iterator[str]:
    """Yield the strings of a JSON value: a string, a list of strings, or objects with a name.

    Args:
        value: What JSON gave.

    """
    for item in value if isinstance(value, list) else [value]:
        named = [item[key] for key in NAME_KEYS if key in item] if isinstance(item, dict) else [item]
        for name in named:
            yield from (text for text in (name if isinstance(name, list) else [name]) if isinstance(text, str))


def string_of(quoted: str) -> str:
    """Return what a JSON string says, whatever control characters it holds; nothing if it is none.

    Args:
        quoted: In double quotes.

    """
    try:
        return str(json.loads(quoted, strict=False))
    except ValueError:
        return ""


def clean_concept(entry: str) -> str:
    """Return an entry as a concept, empty if it is none.

    Args:
        entry: Any text.

    Example:
        >>> clean_concept(" **Golden <b>Retriever</b>**: 2.31 ")
        'Golden Retriever'
        >>> clean_concept("this is by no means something that anyone would call a name")
        ''

    """
    text = MARKUP.sub(" ", html.unescape(entry[:MOST_READ]))
    line = INTRODUCTION.sub("", SCORE.sub("", one_line(text, 2 * MOST_CHARACTERS)), count=1).strip(EDGES)
    is_bounded = len(line) <= MOST_CHARACTERS and len(line.split()) <= MOST_WORDS
    is_name = any(map(str.isalnum, line)) and line.casefold() not in NO_CONCEPTS and not line.endswith("?")
    return line if is_bounded and is_name and not is_refusal(line) else ""


def is_refusal(text: str) -> bool:
    """Return whether a text begins as refusals do.

    Args:
        text: Any text.

    """
    line = one_line(text[:MOST_REASONS], MOST_REASONS).replace("\u2019", "'").lstrip(EDGES + "[")
    return REFUSAL.match(line) is not None
