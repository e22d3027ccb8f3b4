"""The yardstick against its definition."""

import json
import math

import numpy as np
import pytest

from slangmod.data import unigram
from slangmod.data.shards import Encodings, Manifest, Shard, Split


@pytest.fixture
def encodings(tmp_path) -> Encodings:
    """Ids 0 to 2 of one, two and three bytes, and the end symbol 3."""
    splits = {}
    for name, ids in (
        ("train", [0, 0, 1, 3, 0, 2, 3]),
        ("validation", [1, 0, 3]),
    ):
        np.asarray(ids, "<u2").tofile(tmp_path / f"{name}.bin")
        shard = Shard(f"{name}.bin", len(ids), "", ids.count(3), "", "")
        splits[name] = Split(ids.count(3), len(ids), 0, (shard,))
    np.asarray([1, 2, 3, 0], "<u2").tofile(tmp_path / "token_bytes.bin")
    (tmp_path / "manifest.json").write_text(json.dumps({}))
    return Encodings(tmp_path, Manifest("uint16", 4, 3, "", "", splits), "")


def test_counts_are_those_of_the_shards(encodings, monkeypatch) -> None:
    for chunk in (1, 2, 100):
        monkeypatch.setattr(unigram, "CHUNK", chunk)
        assert unigram.token_counts(encodings, "train").tolist() == [3, 1, 1, 2]


def test_bits_per_byte_are_their_definition(encodings) -> None:
    likely = {0: 4 / 11, 1: 2 / 11, 2: 2 / 11, 3: 3 / 11}
    bits = -sum(math.log2(likely[token]) for token in (1, 0, 3))
    assert unigram.unigram_bits_per_byte(encodings) == pytest.approx(bits / 3)
