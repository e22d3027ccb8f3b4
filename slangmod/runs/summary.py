"""summary.toml: how a run ended, how good it is, on what it ran, what it cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from slangmod.errors import DataError, SettingsError
from slangmod.files import write_text
from slangmod.settings.read import read_toml

Table = Mapping[str, Any]


def write_summary(
    path: Path,
    outcome: Table,
    validation: Table,
    environment: Table,
    cost: Table,
    stages: Sequence[Table] = (),
) -> None:
    """Write the tables of the public contract to ``path``, all or nothing.

    ``outcome``: reason, steps, epochs, best_step, best_test_loss. ``validation``:
    loss, perplexity, bits_per_byte, accuracy, top_2_accuracy, top_5_accuracy; empty
    where the model was not validated. ``environment``: versions, device, threads and
    what was chosen at the start. ``cost``: seconds, tokens, tokens_per_second,
    peak_memory_bytes. ``stages``, where the run has any: number, name, steps, epochs,
    tokens, first_step, last_step, best_test_loss of each. TOML has no null: what is
    None is left out.
    """
    tables = {
        "outcome": outcome,
        "validation": validation,
        "environment": environment,
        "cost": cost,
    }
    content: dict[str, Any] = {name: _set(of) for name, of in tables.items()}
    if stages:
        content["stage"] = [_set(stage) for stage in stages]
    write_text(path, tomli_w.dumps(content))


def read_summary(path: Path) -> dict[str, Any]:
    """The tables of a summary, empty where there is none; "stage" is a list of them.

    Raises DataError if the file cannot be read or is not a summary.
    """
    try:
        if not path.exists():
            return {}
        tables, _ = read_toml(path)
    except (OSError, SettingsError) as error:
        raise DataError(f"{path}: cannot be read as a summary: {error}") from error
    stages = tables.get("stage", [])
    single = [table for name, table in tables.items() if name != "stage"]
    listed = stages if isinstance(stages, list) else [None]
    if not all(isinstance(table, dict) for table in (*single, *listed)):
        raise DataError(f"{path}: is no summary of a run; it should hold tables only")
    return tables


def _set(table: Table) -> dict[str, Any]:
    """``table`` without what is unset, at any depth."""
    return {
        key: _set(value) if isinstance(value, Mapping) else value
        for key, value in table.items()
        if value is not None
    }
