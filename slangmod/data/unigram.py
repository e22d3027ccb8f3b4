"""The yardstick of a language model: what knowing only how often tokens occur gives."""

import math

import numpy as np

from slangmod.data.shards import Encodings
from slangmod.data.stream import TokenStream

CHUNK = 1 << 20
"""tokens read at a time"""


def token_counts(
    encodings: Encodings, split: str
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """[vocab] how often each id occurs in a split."""
    manifest = encodings.manifest
    tokens = TokenStream(encodings.shard_paths(split), manifest.dtype)
    counts = np.zeros(manifest.vocab, np.int64)
    for start in range(0, len(tokens), CHUNK):
        piece = np.empty(min(CHUNK, len(tokens) - start), np.int64)
        tokens.copy_to(piece, start)
        counts += np.bincount(piece, minlength=manifest.vocab)
    return counts


def unigram_bits_per_byte(encodings: Encodings, split: str = "validation") -> float:
    """Bits per byte of ``split`` under the frequencies of the train split.

    One is added to each count, so that no token is impossible (Laplace); bytes are
    those of the text, as in the figures of a model.
    """
    known = token_counts(encodings, "train") + 1
    bits = -np.log2(known / known.sum())
    seen = token_counts(encodings, split)
    text = int(seen @ encodings.token_bytes())
    return float(seen @ bits) / text if text else math.nan
