"""``slangmod config``: look at settings, explain, compare and check them."""

import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slangmod.commands import ALL, COMMANDS
from slangmod.commands.at_hand import data_at_hand
from slangmod.commands.call import Call
from slangmod.errors import SettingsError, UserError
from slangmod.settings.catalog import Key
from slangmod.settings.course import nothing_at_hand
from slangmod.settings.derived import DERIVED, derived_values
from slangmod.settings.example import example
from slangmod.settings.explain import (
    Topic,
    about,
    about_derived,
    explained,
    settings_named,
)
from slangmod.settings.free import thawed
from slangmod.settings.literals import brief, dotted, printable
from slangmod.settings.load import resolve
from slangmod.settings.resolved import Resolved
from slangmod.settings.run import may_change
from slangmod.settings.schema import json_schema
from slangmod.settings.show import changed_values, show
from slangmod.settings.values import plain, values_of

LOG = logging.getLogger(__name__)

CONFIG = "config.toml"
"""The settings in the folder of a run."""


def run(call: Call) -> None:
    """Do what the second word of the action says."""
    PARTS[call.action.removeprefix("config ")](call)


def show_settings(call: Call) -> None:
    """Print all settings as TOML with their origins, or as JSON."""
    changed, costly = bool(call.flags.get("changed")), bool(call.flags.get("derived"))
    at_hand = data_at_hand if costly else nothing_at_hand
    if call.flags.get("json"):
        values = (changed_values if changed else plain)(call.settings)
        if costly:
            values["derived"] = derived_values(call.settings, at_hand)
        print_json(values)
    else:
        say(show(call.resolved, changed=changed, derived=costly, at_hand=at_hand))


def explain(call: Call) -> None:
    """Print all there is to say about each setting that is named."""
    wanted: list[Topic | str] = []
    problems: list[str] = []
    for word in call.words:
        try:
            wanted += [word] if word in DERIVED else settings_named(word)
        except SettingsError as error:
            problems += error.problems
    if not call.words:
        problems.append("config explain: name a setting, such as train.patience")
    if problems:
        raise UserError(*problems)
    facts = [
        about_derived(one, call.settings, data_at_hand)
        if isinstance(one, str)
        else about(one, call.resolved, users)
        for one in wanted
    ]
    if call.flags.get("json"):
        print_json(facts)
    else:
        say("\n".join(map(explained, facts)))


def users(path: Key) -> str:
    """The actions that obey the setting at ``path``."""
    return ", ".join(
        name
        for name, command in COMMANDS.items()
        if ALL not in command.settings and may_change(path, command.settings)
    )


def diff(call: Call) -> None:
    """Print the settings that differ between two files, with their origins."""
    if len(call.words) != 2:
        raise UserError("config diff: name two files, or two folders of runs")
    problems: list[str] = []
    sides: list[Resolved] = []
    for word in call.words:
        try:
            sides.append(resolve(file_of(word), piped=True))
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(*dict.fromkeys(problems))
    first, second = sides
    differing = differences(first, second)
    if call.flags.get("json"):
        print_json({dotted(path): values for path, *values in differing})
        return
    count = len(differing)
    LOG.info("%d setting%s", count, " differs" if count == 1 else "s differ")
    for path, *values in differing:
        say(f"{dotted(path)}\n")
        for sign, side, value in zip("-+", sides, values, strict=True):
            say(f"  {sign} {brief(thawed(value)):<20}   # {side.origin(path)}\n")


def differences(first: Resolved, second: Resolved) -> list[tuple[Key, Any, Any]]:
    """Path and both values of all settings that differ; None for what is not there."""
    ours, theirs = dict(values_of(first.settings)), dict(values_of(second.settings))
    return [
        (path, ours.get(path), theirs.get(path))
        for path in ours | theirs
        if ours.get(path) != theirs.get(path)
    ]


def check(call: Call) -> None:
    """Say which files are sound; raise all problems of those that are not."""
    if not call.words:
        raise UserError("config check: name one file or more")
    problems: list[str] = []
    for word in call.words:
        try:
            resolve(file_of(word), piped=True)
        except SettingsError as error:
            problems += error.problems
        else:
            say(f"{printable(word)}: sound\n")
    if problems:
        raise SettingsError(*dict.fromkeys(problems))


def file_of(word: str) -> Path:
    """A file, or that of the run in a folder."""
    path = Path(word)
    in_folder = os.path.isfile(path / CONFIG)  # noqa: PTH113 (False for odd names)
    return path / CONFIG if in_folder else path


def schema(_: Call) -> None:
    """Print the JSON schema of settings files."""
    print_json(json_schema())


def print_example(_: Call) -> None:
    """Print a file that has every setting, with its default and its meaning."""
    say(example())


def print_json(content: Any) -> None:
    """``content`` on standard output; dates as text."""
    say(json.dumps(content, indent=2, default=str) + "\n")


def say(text: str) -> None:
    """Write to standard output; in UTF-8, as TOML is, where its own encoding fails."""
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8"))


PARTS: dict[str, Callable[[Call], None]] = {
    "show": show_settings,
    "explain": explain,
    "diff": diff,
    "check": check,
    "schema": schema,
    "example": print_example,
}
