"""A decoder-only transformer, causal everywhere, and its life on disk."""

from slangmod.model.build import build_model
from slangmod.model.cache import Cache
from slangmod.model.folder import load_model, save_model
from slangmod.model.transformer import Transformer

__all__ = [
    "Cache",
    "Transformer",
    "build_model",
    "load_model",
    "save_model",
]
