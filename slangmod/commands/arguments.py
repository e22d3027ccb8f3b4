"""What was typed, taken apart: actions, their words, their flags, and settings.

By hand, because argparse guesses: it takes ``--train.learning_rat`` for the setting
that begins so. Nothing is abbreviated or guessed here.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from slangmod.commands import ALIASES, COMMANDS, SWITCH, Flag, own_flags

SWITCHES = {"help", "version", "debug"}
"""Switches that every action has."""

_ADDED = re.compile(
    r"\+{1,2}(?P<name>[\w-]+(?:\.[\w-]+)+|[\w-]+(?==))(?:=(?P<text>.*))?", re.DOTALL
)
"""What adds a name, as Hydra writes it: ``+extra.note=hello``."""


@dataclass
class Arguments:
    """A command line, taken apart.

    ``settings`` are names and texts of settings, in the order given; ``flags`` those of
    the actions' own; ``bare`` are names of flags without the value they need;
    ``family`` is the first word of actions of two, where the second is missing;
    ``files`` and ``objects`` are what --toml and --settings name; ``problems`` is what
    is wrong with any of it.
    """

    actions: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    switches: set[str] = field(default_factory=set)
    settings: list[tuple[str, str]] = field(default_factory=list)
    flags: dict[str, str | bool | tuple[str, ...]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)
    family: str = ""
    problems: list[str] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        """All values of ``--name``."""
        return tuple(text for name, text in self.settings if name == "name")


def parse(argv: Sequence[str]) -> Arguments:
    """Take a command line apart; what is wrong is among the problems."""
    arguments, words = Arguments(), []
    known, rest = own_flags(), list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            words += rest
            break
        if word in ("-h", "--help"):
            arguments.switches.add("help")
        elif word.startswith("--"):
            _flag(arguments, word[2:], rest, known)
        elif match := _ADDED.fullmatch(word):
            _added(arguments, match)
        elif word.startswith("-") and word != "-":
            arguments.problems.append(
                f"{word}: flags begin with two dashes and are not abbreviated; what "
                "follows -- is taken for words"
            )
        else:
            words.append(word)
    _actions(arguments, words)
    _own_flags_fit(arguments, known)
    return arguments


def _flag(
    arguments: Arguments, typed: str, rest: list[str], known: dict[str, Flag]
) -> None:
    """One flag, with its value, which may be the first of ``rest``."""
    name, equals, text = typed.partition("=")
    own = known.get(name)
    if name in SWITCHES or (own and own.kind == SWITCH):
        if equals:
            arguments.problems.append(f"--{name}: is a switch and takes no value")
        elif own:
            arguments.flags[name] = True
        else:
            arguments.switches.add(name)
        return
    if not equals:
        if not rest or rest[0].startswith("--"):
            arguments.bare.append(name)
            return
        text = rest.pop(0)
    if name == "toml":
        arguments.files.append(text)
    elif name == "settings":
        arguments.objects.append(text)
    elif own and own.repeatable:
        before = arguments.flags.get(name)
        arguments.flags[name] = (*(before if isinstance(before, tuple) else ()), text)
    elif own:
        arguments.flags[name] = text
    else:
        arguments.settings.append((name, text))


def _added(arguments: Arguments, match: re.Match[str]) -> None:
    """``+extra.note=hello``, which adds to the free table as ``--extra.note hello``."""
    name, text = match["name"], match["text"]
    if not name.startswith("extra."):
        arguments.problems.append(
            f"+{name}: only what is in [extra] can be added; use --{name} to set it"
        )
    elif text is None:
        arguments.problems.append(f"+{name}: needs a value, +{name}=VALUE")
    else:
        arguments.settings.append((name, text))


def _actions(arguments: Arguments, words: list[str]) -> None:
    """Part ``words`` into actions and the words of a single one."""
    if not words:
        return
    first, *others = words
    first = first.replace("_", "-") if first not in COMMANDS else first
    if others and f"{first} {others[0]}" in COMMANDS:
        first = f"{first} {others.pop(0)}"
    first = ALIASES.get(first, first)
    command = COMMANDS.get(first)
    if command is None:
        is_family = any(name.startswith(f"{first} ") for name in COMMANDS)
        arguments.family = first if is_family else ""
        arguments.problems.append(_unknown_action(first, others))
    elif command.pipeline:
        arguments.actions.append(first)
        for other in others:
            _chain(arguments, other)
    else:
        arguments.actions.append(first)
        arguments.words = others
        if others and not command.words:
            arguments.problems.append(_stray(first, others[0]))


def _chain(arguments: Arguments, action: str) -> None:
    command = COMMANDS.get(ALIASES.get(action, action))
    if command is not None and command.pipeline:
        arguments.actions.append(action)
    elif command is not None:
        arguments.problems.append(f"'{action}': stands alone; run it by itself")
    elif action.endswith(".toml"):
        arguments.problems.append(_stray(arguments.actions[-1], action))
    else:
        arguments.problems.append(_unknown_action(action, []))


def _stray(action: str, word: str) -> str:
    hint = f"; did you mean --toml {word}?" if word.endswith(".toml") else ""
    return f"'{word}': {action} takes no words of its own{hint}"


def _unknown_action(first: str, others: list[str]) -> str:
    """What is wrong with an action that there is not."""
    parts = [name.split(" ")[1] for name in COMMANDS if name.startswith(f"{first} ")]
    if parts and not others:
        return f"'{first}': of what? choose one of {', '.join(sorted(parts))}"
    typed, words = (others[0], parts) if parts else (first, [*COMMANDS, *ALIASES])
    near = get_close_matches(typed.lower(), words, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "see slangmod --help"
    return f"'{f'{first} ' * bool(parts)}{typed}': unknown action; {hint}"


def _own_flags_fit(arguments: Arguments, known: dict[str, Flag]) -> None:
    """Each flag belongs to one of the actions and has a value it may have."""
    for name, value in arguments.flags.items():
        flag = known[name]
        owners = [key for key, one in COMMANDS.items() if name in _names(one.flags)]
        if arguments.actions and not set(owners) & set(arguments.actions):
            arguments.problems.append(
                f"{flag.name}: belongs to {' and '.join(owners)}, not to "
                f"{' and '.join(arguments.actions)}"
            )
        elif flag.choices and value not in flag.choices:
            near = get_close_matches(str(value).lower(), flag.choices, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            choices = ", ".join(sorted(flag.choices))
            arguments.problems.append(
                f'{flag.name} = "{value}": choose one of {choices}{hint}'
            )


def _names(flags: Sequence[Flag]) -> list[str]:
    return [flag.name.removeprefix("--") for flag in flags]
