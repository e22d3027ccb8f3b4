"""slangmod: from raw text to a trained language model, with one TOML file.

    import slangmod
    settings = slangmod.load_settings("config.toml", {"train.learning_rate": "3e-4"})
    run = slangmod.train(settings)
    print(run.generate("Once upon a time"))

Everything is imported when it is first asked for; ``import slangmod`` is instant.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slangmod.api import Run, open_run, train
    from slangmod.settings import Settings, load_settings

__version__ = "1.0.0.dev0"

__all__ = ["Run", "Settings", "__version__", "load_settings", "open_run", "train"]


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name in {"Settings", "load_settings"}:
        from slangmod import settings

        return getattr(settings, name)
    if name in {"Run", "open_run", "train"}:
        import os

        from slangmod.libraries import prepare

        prepare(os.environ)
        from slangmod import api

        return getattr(api, name)
    raise AttributeError(f"module 'slangmod' has no attribute '{name}'")
