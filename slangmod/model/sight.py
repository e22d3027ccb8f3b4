"""Which tokens each token looks at: all before it, a window of them, its document.

Whatever restricts them, a token at place p looks at the places first(p) .. p, where
first(p) is the greatest of 0, p - window + 1, and the place where its document begins.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

GRAIN = 64
"""Widths of blocks are multiples of so many tokens: matrix units want round shapes."""


class Sight(NamedTuple):
    """What the last ``new`` of ``seen`` tokens look at, for attention to act upon."""

    kept: int | None = None
    """only so many last tokens are looked at by any; None: all"""
    block: int = 0
    """tokens of a block, if each looks at its own and the one before; 0: no blocks"""
    visible: Tensor | None = None
    """bool [1 or batch, 1, new, kept], with blocks [1 or batch, blocks, block,
    2 * block]; None: each looks at all that is kept, up to itself"""


ALL_BEFORE = Sight()


def block_of(window: int) -> int:
    """Tokens of a block that is no shorter than ``window``.

    >>> block_of(1), block_of(64), block_of(65)
    (64, 64, 128)
    """
    return -(-window // GRAIN) * GRAIN


def sight_of(
    window: int | None, begins: Tensor | None, new: int, seen: int, device: torch.device
) -> Sight:
    """The sight of the last ``new`` of ``seen`` tokens.

    ``begins`` [batch, new]: the place where the document of each begins; None: they are
    of one. A window is cut into blocks where that saves half of all pairs: none but
    those of neighbouring blocks are then multiplied.
    """
    if window is None or window >= seen:
        window = seen
        if begins is None:
            return ALL_BEFORE
    block = block_of(window)
    if new == seen > 2 * block:
        return Sight(
            block=block, visible=in_blocks(window, begins, seen, block, device)
        )
    kept = min(seen, window - 1 + new)
    if new == 1 and begins is None:
        return Sight(kept)
    places = torch.arange(seen - new, seen, device=device)
    keys = torch.arange(seen - kept, seen, device=device)
    visible = between(first(window, begins, places), keys, places)
    return Sight(kept, visible=visible.unsqueeze(1))


def in_blocks(
    window: int, begins: Tensor | None, seen: int, block: int, device: torch.device
) -> Tensor:
    """What each token of a block sees of the block before it and its own.

    -> bool [1 or batch, blocks, block, 2 * block]. The last block may reach beyond
    ``seen``, the one before the first lies before the first token, and is not seen.
    """
    blocks = -(-seen // block)
    places = torch.arange(blocks * block, device=device)
    if begins is not None:
        begins = functional.pad(begins, (0, blocks * block - seen))
    lowest = first(window, begins, places).view(-1, blocks, block)
    places = places.view(blocks, block)
    keys = torch.cat((places - block, places), dim=1)
    return between(lowest, keys, places)


def first(window: int, begins: Tensor | None, places: Tensor) -> Tensor:
    """The first place that is seen from each: [new] -> [1 or batch, new]."""
    lowest = (places - window + 1).clamp_min(0).unsqueeze(0)
    return lowest if begins is None else lowest.maximum(begins)


def between(lowest: Tensor, keys: Tensor, places: Tensor) -> Tensor:
    """lowest <= key <= place: [.., new], [.., keys], [.., new] -> [.., new, keys]."""
    keys = keys.unsqueeze(-2)
    return (keys >= lowest.unsqueeze(-1)) & (keys <= places.unsqueeze(-1))


def document_begins(ids: Tensor, end: int, start: int, last: Tensor | None) -> Tensor:
    """The place where the document of each token begins: [batch, new], int64 both.

    ``end``, which ends a document as a target, begins the next one as an input.
    ``ids`` follow ``start`` tokens, the last of which belongs to a document that began
    at ``last`` [batch, 1]; None where there are none.
    """
    places = torch.arange(start, start + ids.shape[1], device=ids.device)
    before = torch.zeros_like(places[:1]) if last is None else last
    return torch.where(ids == end, places, before).cummax(1).values


def sights_of(
    windows: Iterable[int | None],
    begins: Tensor | None,
    new: int,
    seen: int,
    device: torch.device,
) -> dict[int | None, Sight]:
    """The sight for each of several windows."""
    return {one: sight_of(one, begins, new, seen, device) for one in set(windows)}
