"""``train.batch_size = "auto"``: as many rows at a time as fit, steps as they were.

The word becomes ``train.largest_batch = true`` when settings are loaded, and leaves
``train.batch_size`` as weaker sources have it: rows, steps and whatever is counted in
mini-batches stay the same on every machine. A stronger number takes the word back.
"""

from collections.abc import Sequence
from typing import Final

from slangmod.settings.catalog import Key
from slangmod.settings.entries import Entry
from slangmod.settings.sections import Settings

AUTO: Final = "auto"
BATCH_SIZE: Final[Key] = ("train", "batch_size")
LARGEST: Final[Key] = ("train", "largest_batch")


def without_auto(layers: Sequence[list[Entry]]) -> list[list[Entry]]:
    """``layers``, weakest first, with the word said as a setting of its own."""
    asked, found = False, []
    for entries in layers:
        new = []
        for entry in entries:
            auto = entry.path == BATCH_SIZE and entry.value == AUTO
            if not auto:
                new.append(entry)
            if entry.path == BATCH_SIZE and auto != asked:
                asked = auto
                new.append(Entry(LARGEST, auto, entry.place, entry.named))
        found.append(new)
    return found


def portion_sizes(settings: Settings) -> list[int]:
    """Rows that may be computed at a time, ascending: all portions are alike."""
    size, several = settings.train.batch_size, settings.train.step_freq
    parts = [rows for rows in range(1, size) if size % rows == 0]
    wholes = [size * n for n in range(1, several + 1) if several % n == 0]
    return [*parts, *wholes]


def in_portions(settings: Settings, rows: int | None) -> Settings:
    """Settings whose mini-batches are what is computed at a time, to weigh that."""
    if rows is None:
        return settings
    train = settings.train
    steps = max(1, train.batch_size * train.step_freq // rows)
    sizes = {"batch_size": rows, "step_freq": steps}
    return settings.model_copy(update={"train": train.model_copy(update=sizes)})
