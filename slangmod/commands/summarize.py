"""``slangmod summarize``: all that is known of runs, as JSON."""

import json
import math
from collections.abc import Mapping
from typing import Any

from slangmod.commands.call import Call
from slangmod.commands.choosing import all_runs, say
from slangmod.runs.overview import overview


def run(call: Call) -> None:
    """Print a list with one object a run."""
    say(to_json([overview(run).table() for run in all_runs(call)]))


def to_json(content: Any) -> str:
    """``content`` as JSON that every reader takes: nan and inf become null."""
    return json.dumps(plain(content), indent=2, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """``value`` with only what JSON has, at any depth."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)
