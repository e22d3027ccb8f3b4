"""Classes of others that settings may name: how they are written, and which may be.

A reference is ``package.module:Class``. Nothing is imported here.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from slangmod.errors import SettingsError
from slangmod.settings.clash import Clash
from slangmod.settings.sections import Model, Settings

ALWAYS: Final = ("slangmod", "torch.nn", "torch.optim")
"""Where classes may come from without being asked for in ``plugins.allow``."""

_TARGET = re.compile(
    r"""\{\s*_target_\s*[=:]\s*(["']?)(?P<name>[A-Za-z_][\w.]*)\1\s*\}""", re.ASCII
)
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
_PACKAGE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def is_plugin(word: str) -> bool:
    """Whether ``word`` refers to a class rather than naming one of our own choices.

    >>> is_plugin("torch.optim:RAdam"), is_plugin("adamw")
    (True, False)
    """
    return ":" in word


def allowed(word: str, allow: Iterable[str]) -> bool:
    """Whether the module of ``word`` is in ALWAYS, in ``allow``, or inside of those.

    >>> allowed("torch.optim.radam:RAdam", ()), allowed("torch.hub:load", ())
    (True, False)
    >>> allowed("mine.gates:Soft", ["mine"]), allowed("minerals:Soft", ["mine"])
    (True, False)
    """
    module, _, _ = word.partition(":")
    packages = (*ALWAYS, *allow)
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


def refusal(word: str) -> str:
    """Why ``word`` is not allowed, and the way out."""
    if word.startswith(("torch.", "torch:")):
        return "of torch, only classes of torch.nn and torch.optim may be named"
    return (
        "is not from torch or slangmod; list its package in plugins.allow to import it"
    )


def as_reference(value: Any) -> Any:
    """``{_target_ = "torch.nn.Sigmoid"}`` as "torch.nn:Sigmoid"; all else unchanged.

    A table with that single key, or the text of one as it is typed on a command line,
    with ``=`` or ``:``.

    >>> as_reference({"_target_": "torch.nn.Sigmoid"})
    'torch.nn:Sigmoid'
    >>> as_reference("{_target_: torch.nn.Sigmoid}")
    'torch.nn:Sigmoid'
    >>> as_reference("gelu")
    'gelu'
    """
    name = None
    if isinstance(value, Mapping) and list(value) == ["_target_"]:
        name = value["_target_"]
    elif isinstance(value, str) and (match := _TARGET.fullmatch(value.strip())):
        name = match["name"]
    if not isinstance(name, str) or not _DOTTED.fullmatch(name):
        return value
    module, _, last = name.rpartition(".")
    return f"{module}:{last}"


def functions_named(model: Model) -> Iterator[tuple[str, str]]:
    """The settings of ``model`` that refer to a class as activation or gate.

    -> dotted name of the setting, reference.
    """
    places: list[tuple[str, Any]] = [("model.feedforward", model.feedforward)]
    for number, table in enumerate(model.layer, start=1):
        places.append((f"model.layer.{number}.feedforward", table.feedforward))
    for place, part in places:
        for option in ("activation", "gate"):
            word = getattr(part, option)
            if word is not None and is_plugin(word):
                yield f"{place}.{option}", word


def classes_are_allowed(settings: Settings) -> Iterator[Clash]:
    """Code is imported from nowhere but where the user has said it may be."""
    for key, word in classes_named(settings):
        if not allowed(word, settings.plugins.allow):
            yield Clash((key, "plugins.allow"), refusal(word))


def classes_named(settings: Settings) -> Iterator[tuple[str, str]]:
    """All settings that refer to a class -> dotted name of the setting, reference."""
    if is_plugin(settings.train.optimizer):
        yield "train.optimizer", settings.train.optimizer
    yield from functions_named(settings.model)


def refuse_unasked(place: str, settings: Settings, allow: Iterable[str]) -> None:
    """Raise SettingsError if the run at ``place`` names classes that are not allowed.

    ``allow`` are packages that whoever asks for the run has named. What the run itself
    allows does not count: reading a file must not be enough to run code.
    """
    problems = []
    for key, word in classes_named(settings):
        if not allowed(word, allow):
            package = word.partition(":")[0]
            problems.append(
                f"{place}: {key} = {word!r}: what a run allows to be imported is not "
                f"taken on its word; if you trust it, add --plugins.allow "
                f"'[\"{package}\"]'"
            )
    if problems:
        raise SettingsError(*dict.fromkeys(problems))


def packages_are_names(settings: Settings) -> Iterator[Clash]:
    """What is allowed is a package, or a module in one."""
    if not all(_PACKAGE.fullmatch(one) for one in settings.plugins.allow):
        yield Clash(
            ("plugins.allow",),
            'must name packages or modules in them, such as "mine" or "mine.gates"',
        )
