"""Ids to text, one by one: what is given out is whole characters."""

import codecs
from collections.abc import Mapping
from typing import Any, Protocol

from slangmod.text.breakdown import sound_use
from slangmod.text.bytelevel import unspelled


class StreamDecoder(Protocol):
    """Turns ids into text as they come."""

    def push(self, token: int) -> str:
        """The text that is certain now that ``token`` has come; it may be empty."""

    def finish(self) -> str:
        """What was held back, with U+FFFD for bytes that are no character."""


class ByteDecoder:
    """Decodes ids that stand for bytes each."""

    def __init__(self, pieces: list[bytes], end: int, eos_string: str) -> None:
        self._pieces, self._end, self._eos_string = pieces, end, eos_string
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """The characters that ``token`` completes."""
        if token == self._end:
            return self.finish() + self._eos_string
        return self._decoder.decode(self._pieces[token])

    def finish(self) -> str:
        """U+FFFD for what was begun and not completed."""
        text = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return text


class LibraryDecoder:
    """Decodes ids as the tokenizer's own rules say, which may look at neighbours."""

    def __init__(self, tokenizer: Any, end: int, eos_string: str) -> None:
        self._tokenizer, self._end, self._eos_string = tokenizer, end, eos_string
        self.place = "the tokenizer"
        """what an error calls it"""
        self._begin()

    def _begin(self) -> None:
        from tokenizers.decoders import DecodeStream

        self._stream = DecodeStream(skip_special_tokens=True)
        self._ids: list[int] = []
        self._given = 0

    def push(self, token: int) -> str:
        """The text that ``token`` makes certain."""
        if token == self._end:
            return self.finish() + self._eos_string
        self._ids.append(token)
        with sound_use(self.place):
            text = self._stream.step(self._tokenizer, token) or ""
        self._given += len(text)
        return text

    def finish(self) -> str:
        """The rest of what the ids since the last end symbol say."""
        with sound_use(self.place):
            text: str = self._tokenizer.decode(self._ids)
        rest = text[self._given :]
        self._begin()
        return rest


WORDPIECE_DECODER = {
    "type": "Sequence",
    "decoders": [
        {"type": "Replace", "pattern": {"Regex": "^##"}, "content": ""},
        {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": False,
            "use_regex": False,
        },
    ],
}
"""How our byte-level WordPiece is joined: nothing but "##" falls away."""


def byte_pieces(spec: Mapping[str, Any], ids: Mapping[str, int]) -> list[bytes] | None:
    """The bytes of each id, or None if the tokenizer does not spell bytes.

    ``spec`` is the tokenizer file as a dictionary, ``ids`` its vocabulary with all that
    was added. Special tokens stand for no bytes.
    """
    decoder = spec["decoder"]
    prefix = "##" if decoder == WORDPIECE_DECODER else ""
    if not prefix and (not decoder or decoder["type"] != "ByteLevel"):
        return None
    pieces = [b""] * (max(ids.values(), default=-1) + 1)
    for name, token in ids.items():
        inner = name.removeprefix(prefix) or name
        letters = unspelled(inner)
        pieces[token] = inner.encode("utf-8") if letters is None else letters
    for added in spec["added_tokens"]:
        content = "" if added["special"] else added["content"]
        pieces[added["id"]] = content.encode("utf-8")
    return pieces


def guessed_lengths(spec: Mapping[str, Any], ids: Mapping[str, int]) -> list[int]:
    """Bytes of text for each id of a tokenizer that does not spell bytes.

    A guess, because what such an id decodes to depends on its neighbours.
    """
    lengths = [0] * (max(ids.values(), default=-1) + 1)
    for name, token in ids.items():
        if len(name) == 6 and name.startswith("<0x") and name.endswith(">"):
            lengths[token] = 1
        else:
            inner = name.replace("▁", " ").removeprefix("##")
            lengths[token] = len(inner.encode("utf-8"))
    for added in spec["added_tokens"]:
        lengths[added["id"]] *= not added["special"]
    return lengths
