"""Changed inputs of a run that goes on: which are refused, which are allowed and kept.

``--allow-change`` permits a change once. What was permitted is written down in
changes.json, so that the next resume needs no permission: the value is the run's own.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from slangmod.commands.call import Call
from slangmod.commands.choices import Choices
from slangmod.data.shards import Encodings
from slangmod.errors import RunError, UserError
from slangmod.files import write_json
from slangmod.reading import read_json
from slangmod.runs.directory import RunDir
from slangmod.runs.overview import flat, numbered
from slangmod.settings.catalog import Key, arrays
from slangmod.settings.changing import DATA, freely, is_named, refusal
from slangmod.settings.literals import brief, printable, short
from slangmod.settings.places import known_at
from slangmod.settings.run import may_change
from slangmod.settings.sections import Settings
from slangmod.settings.suggest import alternatives, settings_near
from slangmod.training.device import choose_device

LOG = logging.getLogger(__name__)
ELSEWHERE = "train another run"
OTHER_TOKENIZER = (
    "the tokenizer is not the one that the run began with ({:.16}, not {!s:.16}), so "
    f"ids mean other text; bring that back, or {ELSEWHERE}"
)


@dataclass(frozen=True)
class Change:
    """What was allowed to become another from an optimizer step on."""

    key: str
    """name of a setting, or DATA"""
    before: Any
    now: Any
    """values as in JSON; of DATA the sha256 of its manifest"""
    step: int = 0


def allowed_by(call: Call) -> tuple[str, ...]:
    """The settings that ``--allow-change`` names, and DATA.

    Raises UserError if one is unknown, or is such that no run can go on with another.
    """
    given = call.flags.get("allow-change")
    names = given if isinstance(given, tuple) else ()
    problems = [problem for name in names if (problem := _not_to_allow(name))]
    if problems:
        raise UserError(*problems)
    return tuple(names)


def _not_to_allow(name: str) -> str:
    path = tuple(name.split("."))
    flag = f'--allow-change = "{printable(name)[:80]}"'
    if name == DATA:
        return ""
    if path and path == table_of(path):
        return ""  # what of it may not change is told once that is known
    if known_at(path) is None and path not in arrays():
        near = alternatives(settings_near(name))
        hint = f"did you mean {near}?" if near else 'name a setting, or "data"'
        return f"{flag}: unknown setting; {hint}"
    reason = refusal(path)
    return f"{flag}: {reason}; {ELSEWHERE}" if reason else ""


def table_of(path: Key) -> Key:
    """The table of an array that ``path`` is, or leads into; () if none.

    >>> table_of(("stage", "3", "train", "gamma"))
    ('stage', '3')
    """
    ends = range(2, len(path) + 1)
    found = (path[:end] for end in ends if path[: end - 1] in arrays())
    return next((one for one in found if one[-1].isdecimal()), ())


def way_out(path: Key) -> str:
    """What to do about a value that is not the run's own."""
    name = ".".join(path)
    if reason := refusal(path):
        return f"{reason}; leave that as it is, or {ELSEWHERE}"
    return f"--allow-change {name} goes on with it, or {ELSEWHERE}"


def in_words(path: Key, before: Any, now: Any) -> str:
    """A setting that is not as the run has it, and what to do about that."""
    if not is_named(path):
        name = short(".".join(path))
        return (
            f"the run began with {name} = {brief(before)}, which this slangmod does "
            f"not know; {ELSEWHERE}"
        )
    name = ".".join(path)
    return f"{name} is now {brief(now)}, the run has {brief(before)}; {way_out(path)}"


def changes_of(
    run: RunDir,
    about: Mapping[str, Any],
    settings: Settings,
    encodings: Encodings,
    allowed: Iterable[str] = (),
) -> list[Change]:
    """What is not as it was when the checkpoint was written that ``about`` is from.

    Raises UserError, listing it, for all that neither ``allowed`` permits nor an
    earlier resume was permitted.
    """
    allowed, earlier = {*allowed}, read_changes(run)
    found, problems = changed_settings(run, about, settings, allowed, earlier)
    fingerprint, before = encodings.fingerprint(), about.get("data_sha256")
    begun, now = about.get("tokenizer_sha256"), encodings.manifest.tokenizer_sha256
    if begun != now:
        problems.append(OTHER_TOKENIZER.format(now, begun))
    elif before != fingerprint:
        known = DATA in earlier and earlier[DATA].now == fingerprint
        if DATA in allowed or known:
            found.append(Change(DATA, before, fingerprint))
        else:
            problems.append(
                f"{encodings.folder}: the encodings are not those that the run began "
                f"with; --allow-change {DATA} goes on with them, or {ELSEWHERE}"
            )
    if problems:
        raise UserError(*dict.fromkeys(problems))
    return found


def changed_settings(
    run: RunDir,
    about: Mapping[str, Any],
    settings: Settings,
    allowed: Collection[str],
    earlier: Mapping[str, Change],
) -> tuple[list[Change], list[str]]:
    """The settings that may differ and do; and what to say of those that may not."""
    found, problems = list[Change](), list[str]()
    for key, (before, now) in differing(begun_with(about), settings).items():
        path = tuple(key.split("."))
        if is_named(path) and freely(path):
            continue
        known = key in earlier and earlier[key].now == now
        permitted = may_change(path, {*allowed} - {DATA}) or known
        if is_named(path) and permitted and not refusal(path):
            found.append(Change(key, before, now))
            continue
        whole = of_whole_table(path, begun_with(about), settings)
        problems.append(f"{run.config}: {whole or in_words(path, before, now)}")
    return found, problems


def of_whole_table(path: Key, before: Mapping[str, Any], settings: Settings) -> str:
    """What to say where all of the table that ``path`` is in came or went; or ""."""
    table = table_of(path)
    now = table in tables_in(settings.model_dump(mode="json"))
    known = is_named(path) and not refusal(path)
    if not table or not known or now == (table in tables_in(before)):
        return ""
    array, number = table[:-1], table[-1]
    name = ".".join(table if refusal(array) else array)
    happened = "the run has none" if now else "is gone"
    return (
        f"[[{'.'.join(array)}]] {number}: {happened}; --allow-change {name} goes on "
        f"without a flag for each of its settings, or {ELSEWHERE}"
    )


def tables_in(content: Mapping[str, Any]) -> set[Key]:
    """The tables of arrays that settings have, as JSON has them."""
    return {table_of(tuple(key.split("."))) for key in leaves(content)} - {()}


def begun_with(about: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings that a checkpoint remembers; RunError if it does not."""
    settings = about.get("settings")
    if not isinstance(settings, dict):
        raise RunError("the run does not say which settings it began with")
    return settings


def differing(
    before: Mapping[str, Any], settings: Settings
) -> dict[str, tuple[Any, Any]]:
    """Settings that are not as ``before``, by dotted name: how they were, and are.

    What was no setting yet when ``before`` was written is as by default.
    """
    now = leaves(settings.model_dump(mode="json"))
    then = leaves(Settings().model_dump(mode="json")) | leaves(before)
    return {
        key: (then.get(key), now.get(key))
        for key in sorted(then.keys() | now.keys())
        if then.get(key) != now.get(key)
    }


def leaves(content: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON has them by dotted name, tables of arrays by number.

    What a stage changes stands beside what is its own.
    """
    stages = [
        {**{k: v for k, v in stage.items() if k != "changes"}, **dict(stage["changes"])}
        for stage in content.get("stage", ())
    ]
    return {
        key: value
        for key, value in flat(numbered({**content, "stage": stages})).items()
        if tuple(key.split(".")) not in arrays()
    }


def keep_changes(run: RunDir, changes: Iterable[Change], step: int) -> bool:
    """Write down, and tell, what changed for the first time, from ``step`` on.

    Whether anything did.
    """
    kept = read_changes(run)
    new = [
        replace(change, step=step)
        for change in changes
        if change.key not in kept or kept[change.key].now != change.now
    ]
    if not new:
        return False
    kept |= {change.key: change for change in new}
    write_json(run.changes, {"changes": [asdict(change) for change in kept.values()]})
    for change in new:
        LOG.warning(
            "from step %d on, %s is %s; it was %s (--allow-change)",
            *(step, change.key, brief(change.now), brief(change.before)),
        )
    return True


def read_changes(run: RunDir) -> dict[str, Change]:
    """What earlier resumes were allowed to change, the last of each key.

    Raises UserError if the file is not one of ours.
    """
    try:
        listed = read_json(run.changes)["changes"]
        found = [Change(**entry) for entry in listed]
        return {str(change.key): change for change in found}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{run.changes}: cannot be read: {type(error).__name__}: {error}; remove "
            "it, and give --allow-change again"
        ) from error


def choices_after(
    choices: Choices, settings: Settings, changes: Iterable[Change]
) -> Choices:
    """What the program chose at the start, but for what was changed since."""
    keys = {change.key for change in changes}
    if "data.device" in keys:
        device = choose_device(settings.data.device)
        choices = replace(choices, device=str(device))
    if not keys.isdisjoint({"data.device", "deterministic"}):
        exact = settings.deterministic or choices.device == "cpu"
        choices = replace(choices, deterministic=exact)
    if "threads" in keys and settings.threads is not None:
        choices = replace(choices, threads=settings.threads)
    if "model.compile" in keys:
        choices = replace(choices, compiled=settings.model.compile)
    return choices
