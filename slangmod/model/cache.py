"""Keys and values of the tokens already read, so that none is read twice."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from slangmod.model.attention import Remember

Shape = tuple[int, int, int, int]


class Cache:
    """Room for a number of tokens in every layer, set aside once.

    keys, values: for each layer [batch, kv_heads, capacity, head], where layers may
    differ in heads; the first ``length`` tokens are filled, what lies beyond is never
    read. ``begins`` [batch, 1]: the place where the document of the last of them
    begins, in a model that keeps documents apart.
    """

    def __init__(self, shapes: Sequence[Shape], like: Tensor) -> None:
        """A shape for each layer; of the type of ``like``, and where that is."""
        self.keys = [like.new_empty(shape) for shape in shapes]
        self.values = [like.new_empty(shape) for shape in shapes]
        self.length = 0
        self.begins: Tensor | None = None

    def select(self, rows: Tensor) -> None:
        """Go on with these rows of the batch: [new batch] int64, repeats allowed."""
        self.keys = [self._selected(old, rows) for old in self.keys]
        self.values = [self._selected(old, rows) for old in self.values]
        if self.begins is not None:
            self.begins = self.begins[rows]

    def _selected(self, old: Tensor, rows: Tensor) -> Tensor:
        new = old.new_empty((len(rows), *old.shape[1:]))
        filled = slice(0, self.length)
        new[:, :, filled] = old[rows, :, filled]
        return new

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
