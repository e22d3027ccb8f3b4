"""Classes that settings name, imported from where the user has said they may be."""

from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module

from slangmod.errors import SettingsError
from slangmod.settings.plugins import allowed, refusal
from slangmod.settings.suggest import alternatives

LONGEST = 300
"""Characters of an error in the code of others that are shown."""


def load_class[T](key: str, word: str, allow: Iterable[str], base: type[T]) -> type[T]:
    """The class that setting ``key`` refers to as ``package.module:Class``.

    Raises SettingsError if its module is not allowed, cannot be imported or has no such
    class, and if it is not derived from ``base``.
    """
    place = f'{key} = "{word}"'
    if not allowed(word, allow):
        raise SettingsError(f"{place}: {refusal(word)}")
    module_name, _, name = word.partition(":")
    try:
        module = import_module(module_name)
        found = getattr(module, name, None)
    except (Exception, SystemExit) as error:  # whatever that module does
        raise SettingsError(
            f"{place}: {module_name} cannot be imported: {in_one_line(error)}"
        ) from error
    if found is None:
        near = alternatives(get_close_matches(name, vars(module), n=1))
        hint = f"; did you mean {near}?" if near else ""
        raise SettingsError(f"{place}: there is no {name} in {module_name}{hint}")
    if not isinstance(found, type):
        raise SettingsError(f"{place}: {name} is no class")
    if not issubclass(found, base):
        raise SettingsError(f"{place}: must be a subclass of torch's {base.__name__}")
    return found


def in_one_line(error: BaseException) -> str:
    """What went wrong in the code of others, by kind and message."""
    text = " ".join(str(error).split())[:LONGEST]
    kind = type(error).__name__
    return f"{kind}: {text}" if text else kind
