"""Text to ids and back, with any tokenizer in the format of the tokenizers library.

Our own spell bytes, so that nothing is unrepresentable: ids 0 .. 255 are the bytes, 256
is the end symbol, and what was learnt follows. They split text as ``segments`` says;
that allows a cache of segments, which is several times faster than the library alone
and gives the same ids.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from slangmod.errors import DataError
from slangmod.reading import read_limited
from slangmod.settings.paths import tokenizer_path
from slangmod.settings.sections import Settings
from slangmod.text.breakdown import of_library, sound_use
from slangmod.text.bytelevel import SPELLING
from slangmod.text.decoding import (
    ByteDecoder,
    LibraryDecoder,
    StreamDecoder,
    byte_pieces,
    guessed_lengths,
)
from slangmod.text.dropout import Merges
from slangmod.text.growth import refuse_growth
from slangmod.text.memory import Segments
from slangmod.text.provenance import LARGEST, SPARE_IDS, try_out
from slangmod.text.readers import without_surrogates
from slangmod.text.segments import pattern_of, segments, whole_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["END", "Codec", "open_codec", "tokenizer_path"]

END: Final = "<|endoftext|>"
ENDS: Final = (END, "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "[EOS]", "[SEP]")
"""What an end symbol may be called; the first that a tokenizer has is the one."""

BETWEEN: Final = "\u2028"
"""Parts words; no byte-level letter."""

LETTERS: Final = dict(enumerate(SPELLING[:128]))
"""How ASCII is spelled."""

MOST_WORDS: Final = 1 << 12
"""Words for which the library is asked at a time: what it answers is large."""


class Codec:
    """A tokenizer, ready for use: no id is outside of ``range(vocab_size)``."""

    def __init__(self, tokenizer: Any, eos_string: str = "\n\n") -> None:
        """Take over ``tokenizer``, of the class ``tokenizers.Tokenizer``.

        Raises DataError if it has no end symbol, or could blow up text.
        """
        tokenizer.encode_special_tokens = True  # the library forgets this on saving
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.post_processor = None  # what it adds is never asked for
        ids = tokenizer.get_vocab(with_added_tokens=True)
        self.eos_string = eos_string
        self.vocab_size: int = max(ids.values(), default=-1) + 1
        if self.vocab_size > 2 * len(ids) + SPARE_IDS:
            raise DataError(f"has {len(ids)} tokens, but ids up to {self.vocab_size}")
        self.end: int = _end_of(ids)
        if hasattr(tokenizer.model, "_resize_cache"):
            tokenizer.model._resize_cache(0)  # of words, beside ours of segments
        self._tokenizer = tokenizer
        self._ids = ids
        self._spec = json.loads(tokenizer.to_str())
        refuse_growth(self._spec, ids)
        self.place = "the tokenizer"
        """what an error calls it"""
        if self._spec["model"].get("dropout"):
            tokenizer.model.dropout = None
        self._pieces = byte_pieces(self._spec, ids)
        pattern = pattern_of(self._spec)
        self.pattern = pattern or ""
        """how text is split into words, if that is done as we do it"""
        self.segmented: bool = pattern is not None
        """whether ``segments``, and ``whole_words``, may be encoded one by one"""
        self._segments = Segments(self._spell, self._spell_words, self.pattern)
        self._of_words = _without_splitting(tokenizer)

    @classmethod
    def from_json(cls, content: str, eos_string: str = "\n\n") -> "Codec":
        """A codec out of the text of a tokenizer file; raises DataError."""
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_str(content)
        except BaseException as error:  # a panic of the library is no Exception
            if not (isinstance(error, Exception) or of_library(error)):
                raise
            reason = " ".join(str(error).split())
            raise DataError(f"not a sound tokenizer file: {reason}") from None
        return cls(tokenizer, eos_string)

    @classmethod
    def load(cls, path: Path, eos_string: str = "\n\n") -> "Codec":
        """A codec out of a tokenizer file; raises DataError, naming the file.

        The file is first tried in a process of its own, because the library may abort
        on a broken one.
        """
        try:
            content = read_limited(path, LARGEST)
        except FileNotFoundError:
            way = "run `slangmod tokenize`"
            raise DataError(f"{path}: there is no tokenizer; {way}") from None
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}") from None
        except ValueError as error:
            raise DataError(f"{path}: not a tokenizer file: {error}") from None
        return cls.from_content(content, path, eos_string)

    @classmethod
    def from_content(cls, content: bytes, path: Path, eos_string: str) -> "Codec":
        """Like ``load``, of what was read from ``path`` before."""
        try:
            text = content.decode("utf-8")
            try_out(text)
            codec = cls.from_json(text, eos_string)
        except UnicodeDecodeError:
            raise DataError(f"{path}: not a tokenizer file: not UTF-8") from None
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        codec.place = str(path)
        return codec

    def to_json(self) -> str:
        """The text of a tokenizer file that gives this codec again."""
        content: str = self._tokenizer.to_str(pretty=True)
        return content + "\n"

    @property
    def dtype(self) -> str:
        """The smallest type of integer that holds all ids: uint16 or uint32."""
        return "uint16" if self.vocab_size <= 1 << 16 else "uint32"

    def encode(self, text: str) -> list[int]:
        """Ids of ``text``, without an end symbol; what spells one is text."""
        ids: list[int] = self.encode_batch([text])[0].tolist()
        return ids

    def encode_batch(self, texts: Sequence[str]) -> "list[NDArray[np.unsignedinteger]]":
        """Ids of each text as an array of ``dtype``, without end symbols."""
        import numpy as np

        texts = [without_surrogates(text) for text in texts]
        if not self.segmented:
            with sound_use(self.place):
                encodings = self._tokenizer.encode_batch_fast(
                    texts, add_special_tokens=False
                )
            return [np.array(self._checked(one.ids), self.dtype) for one in encodings]
        rows = (self._segments.ids(segments(text)) for text in texts)
        return [np.frombuffer(ids, self.dtype) for ids in rows]

    def pieces(self, text: str, size: int) -> Iterator[str]:
        """``text`` in pieces of about ``size`` characters; ids joined are its ids.

        One piece where text is split into words in a way that is not ours.
        """
        return whole_words(text, size, self.pattern) if self.pattern else iter([text])

    def _spell(self, text: str) -> bytes:
        """The library's ids of ``text``, as the bytes of an array of ``dtype``."""
        import numpy as np

        with sound_use(self.place):
            ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        return np.array(self._checked(ids), self.dtype).tobytes()

    def _spell_words(self, words: Sequence[str]) -> list[bytes]:
        """The library's ids of each of ``words``, which are ASCII."""
        ids: list[bytes] = []
        for begin in range(0, len(words), MOST_WORDS):
            ids += self._spell_few(words[begin : begin + MOST_WORDS])
        return ids

    def _spell_few(self, words: Sequence[str]) -> Iterator[bytes]:
        import numpy as np

        letters = BETWEEN.join(words).translate(LETTERS)
        with sound_use(self.place):
            found = self._of_words.encode(letters, add_special_tokens=False)
        ids = np.array(self._checked(found.ids), self.dtype)
        counts = np.bincount(np.array(found.word_ids, np.int64), minlength=len(words))
        ends = (counts.cumsum() * ids.itemsize).tolist()
        joined = ids.tobytes()
        begins = [0, *ends[:-1]]
        return (joined[begin:end] for begin, end in zip(begins, ends, strict=True))

    def _checked(self, ids: list[int]) -> list[int]:
        """``ids`` themselves; DataError if one is none of the vocabulary."""
        if ids and max(ids) >= self.vocab_size:
            raise DataError(
                f"the tokenizer gives the id {max(ids)}, of {self.vocab_size} tokens; "
                "it is not sound"
            )
        return ids

    def merges(self) -> Merges:
        """The merges of BPE one by one, for dropout.

        Raises DataError unless this is a byte-level BPE that slangmod has trained.
        """
        model = self._spec["model"]
        if not (self.segmented and model["type"] == "BPE"):
            raise DataError("tokens.dropout needs a bpe tokenizer made by slangmod")
        return Merges(model["vocab"], model["merges"])

    def words(self, text: str) -> list[str]:
        """``text`` as the words that no merge crosses, in byte-level letters."""
        split = self._tokenizer.pre_tokenizer.pre_tokenize_str(text)
        return [word for word, _ in split]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ``ids``, with ``eos_string`` for the end symbol.

        Bytes that are no UTF-8 become U+FFFD.
        """
        stream = self.stream_decoder()
        return "".join([*map(stream.push, ids), stream.finish()])

    def stream_decoder(self) -> StreamDecoder:
        """What decodes ids one by one and never gives half a character."""
        if self._pieces is None:
            decoder = LibraryDecoder(self._tokenizer, self.end, self.eos_string)
            decoder.place = self.place
            return decoder
        return ByteDecoder(self._pieces, self.end, self.eos_string)

    def byte_lengths(self) -> "NDArray[np.int64]":
        """How many bytes of UTF-8 each id stands for, [vocab]; the end symbol none."""
        import numpy as np

        if self._pieces is not None:
            return np.array([len(piece) for piece in self._pieces], np.int64)
        return np.array(guessed_lengths(self._spec, self._ids), np.int64)


def open_codec(settings: Settings) -> Codec:
    """The codec of ``tokenizer_path``; raises DataError if it is missing or broken."""
    return Codec.load(tokenizer_path(settings), settings.tokens.eos_string)


def _without_splitting(tokenizer: Any) -> Any:
    """The model of ``tokenizer`` for words that stand BETWEEN each other, spelled."""
    from tokenizers import Tokenizer
    from tokenizers.pre_tokenizers import CharDelimiterSplit

    alone = Tokenizer(tokenizer.model)
    alone.pre_tokenizer = CharDelimiterSplit(BETWEEN)
    return alone


def _end_of(ids: Mapping[str, int]) -> int:
    for name in ENDS:
        if name in ids:
            return ids[name]
    raise DataError(f"has no end symbol; add one of {', '.join(ENDS)}")
