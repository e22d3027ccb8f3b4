"""What state.json of a checkpoint may say: the type and the range of each value.

Hashes tell what was damaged. What somebody made to be wrong, hashes and all, must not
become part of a run either. What passes here may still be false, but ends nothing in
the middle and keeps nothing from ending.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from slangmod.settings.literals import brief, short
from slangmod.training.stopping import AVERAGE, CURRENT
from slangmod.training.times import PARTS

MOST: Final = 2**53
"""Nothing is counted beyond what a float holds exactly."""
MOST_EPOCHS: Final = 10**7
"""Epochs that a run has at most; the end of each is kept in memory."""
MOST_THREADS: Final = 1024
DEEPEST: Final = 64
"""Lists and tables within each other; settings have fewer."""
BEFORE_GUARD: Final = 3
"""How many sums a checkpoint holds that was written before there was a guard."""
SUMS: Final = 6

Check = Callable[[Any], bool]


def is_anything(_: Any) -> bool:
    """Whatever it is: it is not read."""
    return True


def is_count(value: Any) -> bool:
    """Whether it counts something, from 0."""
    return type(value) is int and 0 <= value < MOST


def is_epoch(value: Any) -> bool:
    """Whether it is a number of epochs."""
    return is_count(value) and value < MOST_EPOCHS


def is_number(value: Any) -> bool:
    """Whether it is a number, which need not be finite."""
    return type(value) is float or (type(value) is int and abs(value) < MOST)


def is_finite(value: Any) -> bool:
    """Whether it is a finite number."""
    return is_number(value) and math.isfinite(value)


def is_amount(value: Any) -> bool:
    """Whether it is a finite number, from 0."""
    return is_finite(value) and value >= 0


def is_time(value: Any) -> bool:
    """Whether it is a number of seconds."""
    return is_amount(value) and value < MOST


def is_text(value: Any) -> bool:
    """Whether it is text."""
    return isinstance(value, str)


def is_flag(value: Any) -> bool:
    """Whether it is true or false."""
    return isinstance(value, bool)


def is_table(value: Any) -> bool:
    """Whether it is a table."""
    return isinstance(value, dict)


def is_size(value: Any) -> bool:
    """Whether it is a number of things, of which there is at least one."""
    return is_count(value) and value >= 1


def is_number_of_threads(value: Any) -> bool:
    """Whether a machine may have so many."""
    return is_size(value) and value <= MOST_THREADS


def names_weights(value: Any) -> bool:
    """Whether it says which weights an evaluation found best."""
    return is_text(value) and value in (CURRENT, AVERAGE)


def are_losses(value: Any) -> bool:
    """Whether these are losses of steps."""
    return isinstance(value, list) and all(map(is_finite, value))


def are_refuges(value: Any) -> bool:
    """Whether these are pairs of a step and that of the best checkpoint it knows of."""
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(map(is_count, pair))
        for pair in value
    )


def are_sums(value: Any) -> bool:
    """Whether these are the sums of a state; the last three count tokens."""
    if not isinstance(value, list) or len(value) not in (BEFORE_GUARD, SUMS):
        return False
    counted = map(is_amount, value[BEFORE_GUARD:])
    return all(map(is_number, value[:BEFORE_GUARD])) and all(counted)


def are_stages(value: Any) -> bool:
    """Whether these are stages as settings hold them, which list what they change."""
    return isinstance(value, list) and all(
        isinstance(stage, dict) and are_changes(stage.get("changes")) for stage in value
    )


def are_changes(value: Any) -> bool:
    """Whether these are pairs of the name of a setting and its value."""
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and is_text(pair[0]) for pair in value
    )


CHECKS: Final[Mapping[str, tuple[tuple[Check, str], ...]]] = {
    "": ((is_table, "counters patience convergence optimizer about course times"),),
    "counters": (
        (is_count, "step batch tokens epoch_tokens row_tokens logged_batch"),
        (is_count, "evaluated_batch evaluated_step saved_batch"),
        (is_count, "stage stage_batch stage_step text_batch"),
        (is_epoch, "epoch stage_epoch text_epoch"),
        (is_time, "seconds"),
        (is_amount, "learning_rate"),
    ),
    "patience": (
        (is_count, "best_step best_epoch waited last_epoch since"),
        (is_finite, "best_loss"),
        (names_weights, "best_weights"),
        (is_table, "steps"),
        (is_anything, "limit"),
    ),
    "patience.steps": (
        (is_count, "reference_step"),
        (is_finite, "reference"),
        (is_flag, "looked"),
    ),
    "convergence": ((is_text, "kind"), (is_number, "norm")),
    "course": (
        (is_count, "above bad_in_a_row skipped spikes rewinds resume_batch"),
        (are_losses, "losses"),
        (are_refuges, "refuges"),
    ),
    "times": ((is_time, " ".join(PARTS)),),
    "about": (
        (is_text, "processor tokenizer_sha256 data_sha256 settings_sha256"),
        (is_table, "choices settings"),
    ),
    "about.choices": (
        (is_text, "device strategy"),
        (is_flag, "compiled deterministic onednn"),
        (is_number_of_threads, "threads"),
        (is_size, "rows"),
    ),
    "about.settings": ((are_stages, "stage"),),
}
"""What the values in each table must be, where they are there."""

NULL: Final = """
    course times counters.learning_rate patience.best_loss patience.steps.reference
    convergence.norm about.choices.rows about.choices.strategy
    """
"""Keys that may be null: so JSON spells what is unknown, unset or infinite."""

NEEDED: Final = """
    counters patience convergence sums optimizer about
    counters.step patience.best_loss patience.best_step patience.steps
    patience.steps.reference patience.steps.reference_step patience.steps.looked
    convergence.kind convergence.norm course.losses course.refuges
    about.choices.device about.choices.threads about.choices.compiled
    about.choices.deterministic
    """
"""Keys that every state has, however old, if it has the table."""


def refuse_odd_state(content: Any) -> None:
    """Raise ValueError, naming the key, for what no state of a run would be.

    Keys that are not known here are left to whoever makes objects of them: a newer
    slangmod may have written them.
    """
    if not is_table(content):
        raise ValueError("holds no table")
    refuse_odd_texts(content)
    if not are_sums(content.get("sums")):
        raise ValueError(f"sums = {brief(content.get('sums'))}: are none")
    for place in CHECKS:
        table = table_at(content, place)
        if table is not None:  # older ones have fewer
            refuse_odd_table(place, table)


def refuse_unknown(content: Mapping[str, Any]) -> None:
    """Raise ValueError for a key of which an object is made, and that has no place."""
    for place in ("counters", "patience", "course"):
        known = {key for _, keys in CHECKS[place] for key in keys.split()}
        if odd := (table_at(content, place) or {}).keys() - known:
            raise ValueError(f"{place}.{short(min(odd))} is not known here")


def table_at(content: Mapping[str, Any], place: str) -> Mapping[str, Any] | None:
    """The table at a dotted ``place``; None if there is none."""
    found: Any = content
    for key in place.split(".") if place else ():
        found = found.get(key)
        if found is None:
            return None
    return dict(found)


def refuse_odd_table(place: str, table: Mapping[str, Any]) -> None:
    """Raise ValueError where a value of the ``table`` at ``place`` cannot be."""
    above = f"{place}." if place else ""
    for name in NEEDED.split():
        before, _, key = name.rpartition(".")
        if before == place and key not in table:
            raise ValueError(f"{name} is missing")
    for check, keys in CHECKS[place]:
        for key in table.keys() & keys.split():
            null = table[key] is None and f"{above}{key}" in NULL.split()
            if not null and not check(table[key]):
                raise ValueError(f"{above}{key} = {brief(table[key])}: cannot be")


def refuse_odd_texts(value: Any, depth: int = 0) -> None:
    """Raise ValueError where no file could hold a text, or ``value`` is too deep."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{short(value)}: is no text") from None
    if not isinstance(value, dict | list):
        return
    if depth == DEEPEST:
        raise ValueError(f"is nested deeper than {DEEPEST} tables and lists")
    inner = [*value, *value.values()] if isinstance(value, dict) else value
    for one in inner:
        refuse_odd_texts(one, depth + 1)
