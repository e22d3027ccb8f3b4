"""summary.toml: how a run ended, how good it is, on what it ran, what it cost."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from slangmod.errors import DataError, SettingsError
from slangmod.files import write_text
from slangmod.settings.literals import brief
from slangmod.settings.read import read_toml
from slangmod.training.times import PARTS

Table = Mapping[str, Any]


def is_text(value: object) -> bool:
    """Whether it is text."""
    return isinstance(value, str)


def is_number(value: object) -> bool:
    """Whether it is a number, which a diverged loss may be without being finite."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_amount(value: object) -> bool:
    """Whether it is a finite number, 0 or above."""
    is_true = isinstance(value, bool)
    return isinstance(value, int | float) and 0 <= value < math.inf and not is_true


def is_count(value: object) -> bool:
    """Whether it is a whole number of a size that something can be counted by."""
    return is_amount(value) and isinstance(value, int) and value < 1 << 63


KINDS: dict[str, tuple[Callable[[object], bool], dict[str, tuple[str, ...]]]] = {
    "text": (
        is_text,
        {
            "outcome": ("reason", "why", "message", "best_weights"),
            "cost": ("verdict", "peak_source"),
        },
    ),
    "count": (
        is_count,
        {
            "outcome": ("steps", "epochs", "best_step"),
            "environment": ("threads",),
            "cost": ("tokens", "peak_memory_bytes"),
        },
    ),
    "number": (
        is_number,
        {
            "outcome": ("best_test_loss",),
            "validation": (
                *("loss", "perplexity", "bits_per_byte"),
                *("accuracy", "top_2_accuracy", "top_5_accuracy"),
            ),
        },
    ),
    "amount": (
        is_amount,
        {
            "cost": (
                *("seconds", "tokens_per_second", "mfu"),
                *("flops_per_token", "peak_flops"),
                *(f"{part}_seconds" for part in PARTS),
            ),
        },
    ),
}
"""What those who read a summary rely on: kinds, by which test, of which tables what."""


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

    What is not of its kind counts as unset. Raises DataError if the file cannot be read
    or is not a summary.
    """
    return checked_summary(path)[0]


def checked_summary(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Like ``read_summary``, with a line for each value that is not of its kind."""
    tables = _tables(path)
    problems = []
    for table, key, kind in list(_misfits(tables)):
        value = tables[table].pop(key)
        problems.append(f"{path}: {table}.{key} = {brief(value)}: is no {kind}")
    return tables, tuple(problems)


def _misfits(tables: Table) -> Iterator[tuple[str, str, str]]:
    """Table, key and kind of each value that is of another kind."""
    for kind, (is_one, wanted) in KINDS.items():
        for table, keys in wanted.items():
            for key in keys:
                if key in tables.get(table, {}) and not is_one(tables[table][key]):
                    yield table, key, kind


def _tables(path: Path) -> dict[str, Any]:
    """What the file holds, which are tables at least."""
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
