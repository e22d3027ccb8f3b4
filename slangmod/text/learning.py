"""Tokenizers learnt from text: the same text and settings give the same file.

Ids 0 .. 255 are the bytes, 256 is the end symbol, then comes what was learnt in the
order in which it was. All start from every byte, so no text is unrepresentable.
"""

import json
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from slangmod.errors import SettingsError
from slangmod.settings.rules import LEAST_VOCAB
from slangmod.settings.sections import Settings, Tokens
from slangmod.text.bytelevel import SPELLING, spelled
from slangmod.text.decoding import WORDPIECE_DECODER
from slangmod.text.pairs import learn_merges
from slangmod.text.segments import HASH_APART, PATTERN, splitting, whole_words
from slangmod.text.tokenizer import END, Codec
from slangmod.text.unigram import learn_pieces
from slangmod.text.words import count_words

CHUNK_CHARACTERS = 1 << 16
LONGEST_WORD = 1 << 20
"""Characters above which the library would give a word up; none gets near."""

Learner = Callable[[Iterable[str], Tokens], dict[str, Any]]
"""Texts and settings -> pre-tokenizer, model and decoder of a tokenizer file."""


def train_codec(settings: Settings, texts: Iterable[str]) -> Codec:
    """Learn a tokenizer from ``texts``, which are gone through once.

    A text that is cut at a space may come in parts. Raises SettingsError if
    ``tokens.vocab`` cannot hold what any text needs.
    """
    tokens = settings.tokens
    least = LEAST_VOCAB[tokens.algo]
    if tokens.vocab < least:
        raise SettingsError(
            f"tokens.vocab = {tokens.vocab}: must be at least {least} for tokens.algo "
            f'= "{tokens.algo}", to hold every byte and the end symbol'
        )
    learnt = LEARNERS[tokens.algo](texts, tokens)
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_END_TOKEN],
        "normalizer": None,
        "pre_tokenizer": learnt["pre_tokenizer"],
        "post_processor": None,
        "decoder": learnt["decoder"],
        "model": learnt["model"],
    }
    return Codec.from_json(json.dumps(content), tokens.eos_string)


_END_TOKEN = {
    "id": 256,
    "content": END,
    "single_word": False,
    "lstrip": False,
    "rstrip": False,
    "normalized": False,
    "special": True,
}
_BYTE_LEVEL = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": False,
    "use_regex": False,
}


def _state(part: Any) -> Any:
    return json.loads(part.__getstate__())


def learn_bpe(texts: Iterable[str], tokens: Tokens) -> dict[str, Any]:
    """Byte pair encoding: the most frequent pair is merged, over and over."""
    merges = learn_merges(
        count_words(texts, PATTERN), vocab=tokens.vocab - 1, min_freq=tokens.min_freq
    )
    return _bpe([[spelled(left), spelled(right)] for left, right in merges])


def _bpe(merges: list[list[str]]) -> dict[str, Any]:
    from tokenizers.models import BPE

    names = [*SPELLING, END, *(left + right for left, right in merges)]
    # Two merges may make the same piece; it is numbered by the first.
    vocab = {name: token for token, name in enumerate(dict.fromkeys(names))}
    model = BPE(vocab=vocab, merges=[(left, right) for left, right in merges])
    return {
        "pre_tokenizer": _state(splitting(PATTERN)),
        "decoder": _BYTE_LEVEL,
        "model": _state(model),
    }


def learn_nothing(texts: Iterable[str], tokens: Tokens) -> dict[str, Any]:
    """Bytes as they are: byte pair encoding without any merge."""
    del texts, tokens
    return _bpe([])


def learn_wordpiece(texts: Iterable[str], tokens: Tokens) -> dict[str, Any]:
    """WordPiece: pieces learnt like those of BPE, applied longest first."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.trainers import WordPieceTrainer

    tokenizer = Tokenizer(WordPiece())
    tokenizer.pre_tokenizer = splitting(HASH_APART)
    inner = [f"##{letter}" for letter in SPELLING]
    trainer = WordPieceTrainer(
        vocab_size=tokens.vocab - 1,
        min_frequency=tokens.min_freq,
        # As special tokens they come first and in this order; the order in which
        # words are met would decide otherwise, and that is a matter of chance.
        special_tokens=[*SPELLING, *inner],
        initial_alphabet=list(SPELLING),
        show_progress=False,
    )
    parts = (whole_words(text, CHUNK_CHARACTERS, HASH_APART) for text in texts)
    tokenizer.train_from_iterator(chain.from_iterable(parts), trainer)
    learnt = tokenizer.get_vocab()
    names = [*SPELLING, END, *inner, *sorted(learnt, key=learnt.__getitem__)]
    vocab = {name: token for token, name in enumerate(dict.fromkeys(names))}
    model = WordPiece(vocab=vocab, max_input_chars_per_word=LONGEST_WORD)
    return {
        "pre_tokenizer": _state(splitting(HASH_APART)),
        "decoder": WORDPIECE_DECODER,
        "model": _state(model),
    }


def learn_unigram(texts: Iterable[str], tokens: Tokens) -> dict[str, Any]:
    """Unigram: many pieces, pruned to those that make the text likeliest."""
    from tokenizers.models import Unigram

    scored = learn_pieces(
        count_words(texts, PATTERN),
        vocab=tokens.vocab - 1,
        max_len=tokens.max_len,
        min_freq=tokens.min_freq,
        shrink_factor=tokens.shrink_factor,
        n_iter=tokens.n_iter,
    )
    letters = set(SPELLING)
    vocab = [
        *((letter, scored[letter]) for letter in SPELLING),
        (END, min(scored.values())),
        *((piece, score) for piece, score in scored.items() if piece not in letters),
    ]
    return {
        "pre_tokenizer": _state(splitting(PATTERN)),
        "decoder": _BYTE_LEVEL,
        "model": _state(Unigram(vocab)),
    }


LEARNERS: dict[str, Learner] = {
    "bpe": learn_bpe,
    "wordpiece": learn_wordpiece,
    "unigram": learn_unigram,
    "byte": learn_nothing,
}
