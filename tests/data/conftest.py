"""Small arrays of tokens on disk."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from slangmod.data.stream import TokenStream

MakeTokens = Callable[[Sequence[Sequence[int]]], TokenStream]


@pytest.fixture
def make_tokens(tmp_path: Path) -> MakeTokens:
    """Write each list of ids as one shard and map them all."""

    def make(shards: Sequence[Sequence[int]]) -> TokenStream:
        paths = []
        for number, ids in enumerate(shards):
            path = tmp_path / f"{number}.bin"
            np.asarray(ids, "<u2").tofile(path)
            paths.append(path)
        return TokenStream(paths, "<u2")

    return make
