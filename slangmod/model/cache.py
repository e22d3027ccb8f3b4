"""Keys and values of the tokens already read, so that none is read twice."""

from functools import partial

import torch
from torch import Tensor

from slangmod.model.attention import Remember


class Cache:
    """Room for a number of tokens in every layer, set aside once.

    keys, values: [layers, batch, kv_heads, capacity, head]; the first ``length``
    tokens are filled, what lies beyond is never read.
    """

    def __init__(self, shape: tuple[int, int, int, int, int], like: Tensor) -> None:
        """Of the type of ``like``, and where that is."""
        self.keys = torch.empty(shape, dtype=like.dtype, device=like.device)
        self.values = torch.empty_like(self.keys)
        self.length = 0

    def select(self, rows: Tensor) -> None:
        """Go on with these rows of the batch: [new batch] int64, repeats allowed."""
        old_keys, old_values = self.keys, self.values
        shape = (old_keys.shape[0], len(rows), *old_keys.shape[2:])
        self.keys, self.values = old_keys.new_empty(shape), old_values.new_empty(shape)
        filled = slice(0, self.length)
        self.keys[:, :, :, filled] = old_keys[:, rows, :, filled]
        self.values[:, :, :, filled] = old_values[:, rows, :, filled]

    def writer(self, layer: int) -> Remember:
        """For the attention of one layer: store what is new, give back everything."""
        return partial(self.extend, self.keys[layer], self.values[layer])

    def extend(
        self, keys: Tensor, values: Tensor, new_keys: Tensor, new_values: Tensor
    ) -> tuple[Tensor, Tensor]:
        """[batch, kv_heads, new, head] each -> [batch, kv_heads, length + new, head].

        ``length`` itself moves on when all layers have written.
        """
        stop = self.length + new_keys.shape[2]
        keys[:, :, self.length : stop] = new_keys
        values[:, :, self.length : stop] = new_values
        return keys[:, :, :stop], values[:, :, :stop]
