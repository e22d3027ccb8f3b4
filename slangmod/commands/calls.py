"""From what was typed to calls of commands: settings resolved, every problem found."""

import errno
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from stat import S_ISDIR

from slangmod.commands import COMMANDS, WHICH_RUN, Command, own_flags
from slangmod.commands.arguments import SWITCHES, Arguments
from slangmod.commands.at_hand import data_at_hand
from slangmod.commands.call import Call
from slangmod.commands.objects import entries_of
from slangmod.errors import SettingsError, UserError
from slangmod.parallel.launch import Launch, launch_of
from slangmod.search.grammar import stand_in
from slangmod.settings.catalog import arrays, catalog
from slangmod.settings.entries import Entry
from slangmod.settings.literals import brief, printable
from slangmod.settings.load import resolve
from slangmod.settings.paths import RUNS
from slangmod.settings.places import known_at
from slangmod.settings.resolved import Resolved
from slangmod.settings.run import may_change
from slangmod.settings.sections import Settings
from slangmod.settings.suggest import alternatives, nearest, settings_near

DEFAULT_FILE = "slangmod.toml"
"""Read where no ``--toml`` is given, if the current folder has it."""

ONLY_IF_NAMED = ("plugins", "track")
"""Sections by which code is imported and others are told of a run. For a run that
exists, a file that nobody has named does not decide about them."""

TRAINING = {"train", "resume", "sweep"}
"""Actions that tell trackers of runs, and so need them from the very start."""


def calls(arguments: Arguments, environment: Mapping[str, str]) -> list[Call]:
    """A call for each action, in the order typed.

    Raises UserError with all that is wrong with the arguments and the settings.
    """
    problems = list(arguments.problems)
    commands = [COMMANDS[action] for action in arguments.actions]
    settings = _known_flags(arguments, problems)
    on_top: list[tuple[str, str]] = []
    on_run = all(command.on_run for command in commands)
    if on_run and not arguments.files:
        settings, on_top = _apart(settings)
    for command, action in zip(commands, arguments.actions, strict=True):
        problems += _unheeded(command, action, arguments, settings)
    searches = any(command.searches for command in commands)
    resolved, unheeded = resolve(), list[Entry]()
    if all(command.resolves for command in commands):
        try:
            resolved = resolve(
                _file(arguments, problems),
                settings,
                environment,
                start=_object(arguments, problems),
                at_hand=data_at_hand,
                searching=stand_in if searches else None,
                partial=on_run,
                piped=True,
            )
        except SettingsError as error:
            problems += error.problems
        resolved, unheeded = _heeded(arguments, resolved)
        problems += _bad_names(arguments.names[:-1])
        problems += _misplaced(resolved.settings)
        if not problems and not TRAINING.isdisjoint(arguments.actions):
            from slangmod.runs.trackers import check_trackers

            check_trackers(resolved.settings)
    if problems:
        raise UserError(*dict.fromkeys(problems))
    launch = launch_of(environment)
    calls = [_call(action, arguments, resolved, launch) for action in arguments.actions]
    left_out = tuple(unheeded)
    return [replace(one, on_top=tuple(on_top), unheeded=left_out) for one in calls]


def _apart(
    flags: list[tuple[str, str]],
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The flags that can be judged by themselves, and those that cannot.

    A single table is one of an array, and an option one of some optimizers.
    """
    within = ("optimizer.", *(f"{'.'.join(array)}." for array in arrays()))
    return (
        [(name, text) for name, text in flags if not name.startswith(within)],
        [(name, text) for name, text in flags if name.startswith(within)],
    )


def _call(
    action: str, arguments: Arguments, resolved: Resolved, launch: Launch | None
) -> Call:
    flags: dict[str, object] = {}
    for flag in COMMANDS[action].flags:
        name = flag.name.removeprefix("--")
        missing = () if flag.repeatable else None if flag.value else False
        flags[name] = arguments.flags.get(name, missing)
    return Call(
        resolved.settings,
        resolved,
        words=tuple(arguments.words),
        flags=flags,
        names=arguments.names,
        action=action,
        launch=launch,
    )


def _object(arguments: Arguments, problems: list[str]) -> list[Entry]:
    """What the one object that --settings names has set, if any."""
    if arguments.objects and len(arguments.objects) + len(arguments.files) > 1:
        problems.append("--settings: give one, and no --toml beside it")
    return entries_of(arguments.objects[-1]) if arguments.objects else []


def _file(arguments: Arguments, problems: list[str]) -> Path | None:
    """The one file of settings, if any."""
    if len(arguments.files) > 1:
        problems.append(
            "--toml: was given more than once; a file can name another as its base"
        )
    if arguments.files:
        return Path(arguments.files[-1])
    wanted = not arguments.objects and all(
        COMMANDS[action].default_file for action in arguments.actions
    )
    return Path(DEFAULT_FILE) if wanted and Path(DEFAULT_FILE).is_file() else None


def _heeded(arguments: Arguments, resolved: Resolved) -> tuple[Resolved, list[Entry]]:
    """``resolved``, and what is not in it because nobody has named its file.

    Who looks at a run that was sent need not look at a file that came with it.
    """
    actions = arguments.actions
    named = arguments.files or arguments.objects
    on_run = any(COMMANDS[action].on_run for action in actions)
    if named or not on_run or "train" in actions:
        return resolved, []
    return resolved.without(
        lambda entry: entry.path[0] in ONLY_IF_NAMED and not entry.named
    )


def _known_flags(arguments: Arguments, problems: list[str]) -> list[tuple[str, str]]:
    """The flags that may be settings; of the others it is said what they may mean.

    What has a dot is left to the settings, which know best what comes near it.
    """
    for name in arguments.bare:
        known = known_at(tuple(name.replace("-", "_").split(".")))
        if known is not None or name in (*own_flags(), "toml", "settings"):
            what = f": {known.expected()}" if known else ""
            problems.append(f"--{name}: needs a value{what}")
        else:
            problems.append(f"--{printable(name)}: unknown flag{_meant(name)}")
    settings = []
    for name, text in arguments.settings:
        top = (*catalog(), *(".".join(array) for array in arrays()))
        if "." in name or name.replace("-", "_") in top:
            settings.append((name, text))
        else:
            problems.append(f"--{printable(name)}: unknown flag{_meant(name)}")
    return settings


def _meant(name: str) -> str:
    flags = [*own_flags(), *SWITCHES, "toml", "settings"]
    near = nearest(name, flags, 0.75) or settings_near(name.replace("-", "_"))
    return f"; did you mean {alternatives(f'--{one}' for one in near)}?" if near else ""


def _unheeded(
    command: Command,
    action: str,
    arguments: Arguments,
    settings: Sequence[tuple[str, str]],
) -> list[str]:
    """Flags that an action would not heed, which must be a mistake."""
    if not command.resolves:
        names = [name for name, _ in settings] + ["toml"] * len(arguments.files)
        names += ["settings"] * len(arguments.objects)
        reason = f"{action} reads only the files that it names; leave it out"
    elif command.on_runs:
        names = [n for n, _ in settings if n.replace("-", "_") not in WHICH_RUN]
        reason = f"{action} only looks at runs; leave it out"
    elif command.heeds_only_these:
        names = [
            name
            for name, _ in settings
            if not may_change(
                tuple(name.replace("-", "_").split(".")), command.settings
            )
        ]
        names += ["toml"] * len(arguments.files)
        names += ["settings"] * len(arguments.objects)
        reason = f"makes no difference to {action}; leave it out"
    else:
        return []
    return [f"--{printable(name)}: {reason}" for name in names]


def _misplaced(settings: Settings) -> Iterator[str]:
    """Files where folders are to be, and a folder where a file is to be."""
    runs = Path(settings.workdir) / RUNS
    for place in (runs.parent, runs, runs / (settings.name or "")):
        if problem := _hindrance(place):
            yield f"{printable(str(place))}: {problem}, or set workdir"
            return
    if settings.files.tokenizer and Path(settings.files.tokenizer).is_dir():
        named = brief(settings.files.tokenizer)
        yield f"files.tokenizer = {named}: is a folder; name a file in it"


def _hindrance(place: Path) -> str:
    """Why there cannot be a folder at ``place``; empty if there is one, or can be."""
    try:
        return "" if S_ISDIR(place.stat().st_mode) else "is no folder; move it"
    except NotADirectoryError:
        return "lies in what is no folder; move that"
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "is a symbolic link that leads in a circle; remove it"
        # Whoever needs what cannot be looked at will say what is wrong there.
        leads = isinstance(error, FileNotFoundError) and place.is_symlink()
        return "is a symbolic link that leads nowhere; mend it" if leads else ""


def _bad_names(names: Sequence[str]) -> list[str]:
    """What is wrong with names of runs, save the last, which is a setting."""
    problems: list[str] = []
    for name in names:
        try:
            resolve(flags=[("name", name)])
        except SettingsError as error:
            problems += error.problems
    return problems
