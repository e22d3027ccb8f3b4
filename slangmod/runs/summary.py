"""summary.toml: how a run ended, how good it is, on what it ran, what it cost."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli
import tomli_w

from slangmod.errors import DataError
from slangmod.files import write_text

Table = Mapping[str, Any]


def write_summary(
    path: Path,
    outcome: Table,
    validation: Table,
    environment: Table,
    cost: Table,
) -> None:
    """Write the four tables of the public contract to ``path``, all or nothing.

    ``outcome``: reason, steps, epochs, best_step, best_test_loss. ``validation``:
    loss, perplexity, bits_per_byte, accuracy, top_2_accuracy, top_5_accuracy; empty
    where the model was not validated. ``environment``: versions, device, threads and
    what was chosen at the start. ``cost``: seconds, tokens, tokens_per_second,
    peak_memory_bytes. TOML has no null: what is None is left out.
    """
    tables = {
        "outcome": outcome,
        "validation": validation,
        "environment": environment,
        "cost": cost,
    }
    write_text(path, tomli_w.dumps({name: _set(of) for name, of in tables.items()}))


def read_summary(path: Path) -> dict[str, dict[str, Any]]:
    """The tables of a summary, empty where there is none.

    Raises DataError if the file cannot be read or is not a summary.
    """
    try:
        tables = tomli.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as a summary: {error}") from error
    if not all(isinstance(table, dict) for table in tables.values()):
        raise DataError(f"{path}: is no summary of a run; it should hold tables only")
    return tables


def _set(table: Table) -> dict[str, Any]:
    """``table`` without what is unset, at any depth."""
    return {
        key: _set(value) if isinstance(value, Mapping) else value
        for key, value in table.items()
        if value is not None
    }
