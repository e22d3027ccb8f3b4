"""Learning the pieces of a unigram tokenizer (Kudo 2018, "Subword Regularization").

Many candidates are taken from the words; expectation and maximisation gives each the
probability that makes the text likeliest; those without which the text would lose least
are dropped; and so on, until as many are left as asked for. Written with arrays over
sorted words, because the trainer of the tokenizers library adds up in an order that
differs from run to run, and with it what it learns.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from slangmod.text.bytelevel import spelled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from slangmod.text.lattice import Words

MOST_WORDS = 1 << 18
"""The most frequent words that are learnt from."""
CANDIDATES = 16
"""Pieces to begin with, for each that will be left."""
UNSEEN = 1e-3
"""Occurrences that are granted to a piece without any."""


def learn_pieces(
    counts: Mapping[bytes, int],
    *,
    vocab: int,
    max_len: int,
    min_freq: int,
    shrink_factor: float,
    n_iter: int,
) -> dict[str, float]:
    """Up to ``vocab`` pieces in byte letters with log probabilities, likeliest first.

    All 256 bytes are among them. ``max_len`` is in bytes; ``n_iter`` rounds of
    expectation and maximisation go before each pruning to the share ``shrink_factor``.
    """
    import numpy as np

    from slangmod.text.lattice import Lattice, Words

    ranked = sorted(counts, key=lambda word: (-counts[word], word))[:MOST_WORDS]
    often = np.array([counts[word] for word in ranked], np.float64)
    words = Words.of(ranked)
    letters = np.bincount(words.letters, often[words.word], 256)
    longer = candidates(words, often, max_len, max(2, min_freq), CANDIDATES * vocab)
    pieces = [*(bytes([byte]) for byte in range(256)), *longer]
    scores = _normalised(np.array([*letters, *longer.values()]))
    inside = Lattice.of(words, pieces, proper=False)
    within = Lattice.of(Words.of(pieces), pieces, proper=True)
    alive = np.ones(len(pieces), bool)
    while True:
        for _ in range(n_iter):
            seen = inside.expected(scores, often)
            scores = _normalised(seen)
        size = int(alive.sum())
        if size <= vocab:
            break
        loss = seen * (scores - within.best(scores))
        alive = _keep(loss, alive, max(vocab, int(size * shrink_factor)))
        inside = inside.without(alive)
        within = within.without(alive, words=alive)
    left = sorted(np.flatnonzero(alive), key=lambda i: (-scores[i], pieces[i]))
    return {spelled(pieces[i]): round(float(scores[i]), 6) for i in left}


def _keep(
    loss: "NDArray[np.float64]", alive: "NDArray[np.bool_]", size: int
) -> "NDArray[np.bool_]":
    """[pieces] whether each stays: all bytes, and whose loss would be greatest."""
    import numpy as np

    rank = np.where(alive, loss, -np.inf)
    rank[:256] = np.inf
    kept = np.zeros(len(loss), bool)
    kept[np.argsort(-rank, kind="stable")[:size]] = True
    return kept


def candidates(
    words: "Words", often: "NDArray[np.float64]", max_len: int, least: int, most: int
) -> dict[bytes, float]:
    """Parts of words of 2 bytes and more that occur ``least`` times, with how often.

    At most ``most``, those that cover the most text. A part can only be frequent if
    what it begins with is, so each length is sought where the one before was found.
    """
    import numpy as np

    found: list[tuple[float, int, bytes, float]] = []
    bytes_of = words.letters.astype(np.uint8).tobytes()
    where, at = np.arange(len(words.letters)), words.letters
    for length in range(2, max_len + 1):
        fits = words.place[where] + length <= words.length[words.word[where]]
        where, at = where[fits], at[fits]
        keys = at * 256 + words.letters[where + length - 1]
        _, first, at = np.unique(keys, return_index=True, return_inverse=True)
        count = np.bincount(at, often[words.word[where]], len(first))
        frequent = count >= least
        for begin, times in zip(
            where[first[frequent]].tolist(), count[frequent].tolist(), strict=True
        ):
            part = bytes_of[begin : begin + length]
            found.append((-times * length, length, part, times))
        where, at = where[frequent[at]], at[frequent[at]]
    return {part: times for _, _, part, times in sorted(found)[:most]}


def _normalised(seen: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Logarithms of the shares that pieces have of all occurrences."""
    import numpy as np

    floored = np.maximum(seen, UNSEEN)
    logarithms: NDArray[np.float64] = np.log(floored) - np.log(floored.sum())
    return logarithms
