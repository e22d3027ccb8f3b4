"""Small texts that are hard to get right, and tokenizers learnt from them."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from slangmod.settings.sections import Settings
from slangmod.text.learning import train_codec
from slangmod.text.tokenizer import Codec

ALGORITHMS = ("bpe", "wordpiece", "unigram", "byte")

PROSE = (
    "The quick brown fox jumps over the lazy dog. It's 1234 times quicker!\n\n"
    "## Größe: the fox's own words -- \"quick, quicker, quickest\" -- don't count.\n"
) * 20

HARD = (
    "",
    " ",
    "\n",
    "a",
    "  two  spaces  ",
    "tabs\tand\r\nlines\r\n\r\n",
    "###!##a # ##x #! ##",
    "<|endoftext|> is text<|endoftext|>",
    "it's we'll 'sx 'S don't'",
    "0123456789 ½ ² ٣",
    "héllo e\u0301 中文字符 русский हिन्दी ไทย",
    "\U0001f937\U0001f3fd\u200d♀\ufe0f",
    "\x00\x01\x1c\x1f\x7f\x85\u2028\u3000\ufeff\ufffd",
    "x" * 400,
    "中" * 400,
    "\n" * 100 + " " * 100,
    "Ġ Ċ ĠĠ ##Ġ",
)
"""Texts on which tokenizers have been known to lose something."""


@cache
def learnt(algo: str, text: str = PROSE, **tokens: Any) -> Codec:
    """A tokenizer of a few hundred tokens."""
    content = {"algo": algo, "vocab": 600, **tokens}
    return train_codec(Settings.model_validate({"tokens": content}), [text])


@pytest.fixture(params=ALGORITHMS)
def codec(request: pytest.FixtureRequest) -> Codec:
    """A tokenizer of each kind."""
    return learnt(request.param)


@pytest.fixture
def with_tokens() -> Callable[..., Settings]:
    """Settings with these in [tokens]."""

    def make(**tokens: Any) -> Settings:
        return Settings.model_validate({"tokens": tokens})

    return make
