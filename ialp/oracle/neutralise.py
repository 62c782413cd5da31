"""Sanitise untrusted item titles before they enter a prompt."""

import re
import unicodedata
from functools import lru_cache

MAX_CHARS = 400
REMEMBERED = 1 << 18  # texts; a catalogue is rendered over and over
JOINERS = "\u200c\u200d"  # within Persian words and emoji
SELECTORS = range(0xE0100, 0xE01F0)  # variation selectors that no title needs, and that carry hidden bytes

SPECIAL_TOKEN = re.compile(r"<([^<>\s\d][^<>]{0,60})>")  # </s>, <|im_end|>, <start_of_turn>, twice around <<SYS>>
BRACKETED = re.compile(
    r"\[(/?(?:INST|SYS|TOOL_\w+|AVAILABLE_TOOLS|IMG\w*|CLS|SEP|MASK|PAD|UNK|BOS|EOS))\]", re.IGNORECASE
)
HEADING = re.compile(r"#(?:\s*#)+")  # ### Response
OPTION = re.compile(r"(?<!\S)([a-z])\.(?:\s+|$)")  # k. None
ANSWER = re.compile(r"(?<![\"\w])(select)(?=\s+[a-z](?:\s*[.,;:!?]|\s*$))", re.IGNORECASE)  # select a
LEAST_WORDS = 3  # of a clause that is the template's alone


@lru_cache(maxsize=REMEMBERED)
def neutralise(text: str, max_chars: int = MAX_CHARS, reserved: tuple[str, ...] = ()) -> str:
    """A title on one line that can neither end the prompt's parts, nor add options, nor hide its content.

    Control, format and private characters go (right-to-left marks, zero-width and tag characters; joiners within words
    and emoji stay). What tokenizers may take for special tokens loses its brackets, headings their number of signs,
    labels their space (`k. None` becomes `k.None`), and `select a` gets quotes. Phrases that are `reserved`, as those
    that end a prompt, become "…". Ordinary titles stay as they are. At most max_chars characters, cut at a word.

    Instructions in plain words stay readable, and a model may follow them: benchmarks/injection.py measures how often.
    """
    text = " ".join(visible(text).split())
    while (plain := SPECIAL_TOKEN.sub(r"‹\1›", text)) != text:
        text = plain
    text = BRACKETED.sub(r"(\1)", text)
    text = HEADING.sub("#", text)
    for phrase in reserved:
        text = re.sub(re.escape(phrase), "…", text, flags=re.IGNORECASE)
    text = OPTION.sub(lambda found: found[1] + ("." if found.end() < len(text) else ""), text)
    text = ANSWER.sub(r'"\1"', text)
    return shorten(text, max_chars)


def clauses(line: str) -> tuple[str, ...]:
    """The parts of a line between its commas that are phrases rather than words."""
    return tuple(part.strip() for part in line.split(",") if len(part.split()) >= LEAST_WORDS)


def visible(text: str) -> str:
    """Without characters that print nothing; those that break lines are spaces."""
    if text.isascii() and text.isprintable():
        return text
    kept = []
    for place, char in enumerate(text):
        kind = unicodedata.category(char)
        if kind in ("Cc", "Zl", "Zp"):
            kept.append(" ")
        elif char in JOINERS:
            if not (text[place - 1 : place] + text[place + 1 : place + 2]).isascii():
                kept.append(char)
        elif kind not in ("Cf", "Co", "Cs") and ord(char) not in SELECTORS:
            kept.append(char)
    return "".join(kept)


def shorten(text: str, max_chars: int) -> str:
    """Cut at the last word that fits, or within it where it alone is longer than half of what fits."""
    if len(text) <= max_chars:
        return text
    head = text[: max_chars - 1]
    space = head.rfind(" ")
    return (head[:space] if space > max_chars // 2 else head).rstrip() + "…"
