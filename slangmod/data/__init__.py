"""Token ids on disk, and the mini-batches that are read from them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slangmod.data.dataset import IGNORE, Batch, TokenDataset, open_dataset

__all__ = ["IGNORE", "Batch", "TokenDataset", "open_dataset"]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is asked for: writing shards does without."""
    if name not in __all__:
        raise AttributeError(name)
    from slangmod.data import dataset

    return getattr(dataset, name)
