"""A model that reads on and on: through its cache, and past the end of its context."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from slangmod.model.cache import Cache
from slangmod.model.decoding import Decoder
from slangmod.model.transformer import Transformer


def window_start(seen: int, context: int) -> int:
    """Index of the first of ``seen`` tokens that the model still looks at.

    It looks at everything until ``context`` tokens are exceeded. Then it begins again
    with the last ``context // 2``, and again whenever these have grown too many. So
    what a token depends on is a function of its place alone, whoever keeps a cache.
    """
    if seen <= context:
        return 0
    kept = context // 2
    return seen - kept - (seen - context - 1) % (context - kept + 1)


class Reader:
    """Reads tokens and says what could be next: [batch, new] -> logits [batch, vocab].

    For models in evaluation mode. ``capacity``: tokens that will be read at most (less
    memory than a full context). ``alone``: one thread reads a single token, and all
    read a prompt. What there is to do for one token is over before a second thread has
    begun: two were slower than one for models of 1 to 98 million weights.
    """

    def __init__(
        self, model: Transformer, capacity: int, *, alone: bool = False
    ) -> None:
        self.model = model
        self.alone = alone
        self.capacity = min(capacity, model.context)
        self.device = model.device
        self.pieces: list[Tensor] = []
        self.seen = 0
        self.start = 0
        self.cache: Cache | None = None
        self.decoder: Decoder | None = None

    @torch.inference_mode()
    def read(self, ids: Tensor) -> Tensor:
        """Logits of what follows ``ids``, [batch, vocab] float32 on the CPU.

        ids: [batch, new] int64 on the CPU, new >= 1; the batch is that of before.
        """
        self.pieces.append(ids)
        self.seen += ids.shape[1]
        start = window_start(self.seen, self.model.context)
        if self.cache is None:
            self.cache = self.model.new_cache(len(ids), self.capacity)
            if self.model.shards is None:  # else there are no weights to keep
                self.decoder = Decoder(self.model, self.cache)
            ids = ids[:, start:]
        elif start != self.start:
            self.cache.length = 0
            ids = torch.cat(self.pieces, dim=1)[:, start:]
        self.start = start
        ids = ids.to(self.device)
        if self.decoder is not None and ids.shape[1] == 1:
            with one_thread(self.alone and len(ids) == 1):
                return self.decoder.read(ids[:, 0]).float().cpu()
        hidden = self.model.hidden(ids, self.cache)
        return self.model.head(hidden[:, -1]).float().cpu()

    @torch.inference_mode()
    def select(self, rows: Tensor) -> None:
        """Go on with these sequences: [new batch] int64 indices, repeats allowed."""
        assert self.cache is not None
        self.pieces = [torch.cat(self.pieces, dim=1)[rows]]
        self.cache.select(rows.to(self.device))


@contextmanager
def one_thread(wanted: bool) -> Iterator[None]:
    """One thread instead of several while the block runs, if that is ``wanted``."""
    if not wanted:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def lay_out_for_reading(model: Transformer) -> Transformer:
    """``model`` itself, its matrices stored by columns; their values stay.

    Products with a single token then run through memory in order, and on a CPU take a
    third of the time (see ``decoding.product``). Not for a model in training:
    optimizers rely on the layout.
    """
    for weight in model.parameters():
        if weight.ndim == 2:
            weight.data = weight.data.t().contiguous().t()
    return model
