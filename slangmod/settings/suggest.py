"""What somebody may have meant by a name that nobody knows."""

from collections.abc import Iterable
from difflib import get_close_matches

from slangmod.settings.catalog import Key, catalog, tables
from slangmod.settings.derived import DERIVED
from slangmod.settings.literals import dotted, short
from slangmod.settings.places import place_of
from slangmod.settings.sections import Section, Settings, Stage
from slangmod.settings.stages import refusal

ELSEWHERE = {
    "lr": "train.learning_rate",
    "epochs": "train.max_epochs",
    "n_epochs": "train.max_epochs",
    "gradient_accumulation_steps": "train.step_freq",
    "d_model": "model.dim",
    "n_embd": "model.dim",
    "hidden_size": "model.dim",
    "block_size": "data.seq_len",
    "stride": "data.overlap",
    "vocab_size": "tokens.vocab",
    "epsilon": "optimizer.eps",
    "beta1": "optimizer.betas",
    "beta2": "optimizer.betas",
}
"""How other programs call what has another name here."""


def unknown(path: Key, is_table: bool, look_near: bool = True) -> str:
    """What is wrong with the name ``path``, and which names come near it."""
    place = place_of(path)
    if ".".join(place.rest) in DERIVED and place.section is Settings:
        name = ".".join(place.rest)
        inputs = " or ".join(DERIVED[name].to_set)
        return f"'{name}' is derived ({DERIVED[name].formula}); set {inputs} instead"
    near = _near(path, is_table) if look_near else []
    kind = "section" if is_table else "setting"
    message = f"unknown {kind} '{short(dotted(path))}'"
    if near:
        return f"{message}; did you mean {alternatives(near)}?"
    return f"{message}; `slangmod config example` lists all there are"


def _near(path: Key, is_table: bool) -> list[str]:
    place = place_of(path)
    if place.table:
        own = _names_in(place.table[0], place.section, is_table)
        near = nearest(".".join(place.rest), own) or _with_last(place.rest[-1:], own)
        return [".".join((*place.table, name)) for name in near]
    return _tables_near(path) if is_table else settings_near(".".join(path))


def _names_in(array: str, section: type[Section], is_table: bool) -> list[str]:
    """What may stand in a table of ``array``, whose settings ``section`` describes."""
    if is_table:
        return [".".join(one) for one in tables(section) if one]
    if array == "stage":
        return [*catalog(Stage), *(name for name in catalog() if not refusal(name))]
    return [*catalog(section)]


def alternatives(words: Iterable[str]) -> str:
    """``'a' or 'b'``."""
    return " or ".join(f"'{word}'" for word in words)


def nearest(word: str, words: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """The one of ``words`` that is spelled most like ``word``, if any is like it."""
    return get_close_matches(word.lower(), list(words), n=1, cutoff=cutoff)


def among(word: str, words: Iterable[str]) -> list[str]:
    """The one of a few ``words`` that was meant, where two letters may be swapped."""
    return nearest(word, words, 0.5)


def settings_near(name: str) -> list[str]:
    """The settings that ``name`` may have meant, best first.

    A right name in the wrong section comes before a misspelled one.
    """
    *section, last = name.split(".")
    last = last.lower()
    if last in ELSEWHERE:
        return [ELSEWHERE[last]]
    same_last = [known for known in catalog() if known.split(".")[-1] == last]
    if same_last:
        return same_last[:3]
    beside = [
        known.path[-1]
        for known in catalog().values()
        if list(known.path[:-1]) == section
    ]
    if near := nearest(last, beside):
        return [".".join([*section, near[0]])]
    return nearest(name, catalog(), 0.75) or _by_last_part(last)


def _with_last(last: Key, names: Iterable[str]) -> list[str]:
    """Those of ``names`` that end in the word ``last``."""
    return [name for name in names if tuple(name.split(".")[-1:]) == last][:3]


def _by_last_part(last: str) -> list[str]:
    near = nearest(last, (known.split(".")[-1] for known in catalog()), 0.75)
    return [known for known in catalog() if known.split(".")[-1] in near][:3]


def _tables_near(path: Key) -> list[str]:
    names = [".".join(known) for known in tables() if known] + ["extra"]
    near = nearest(".".join(path), names)
    inside = [name for name in names if name.split(".")[-1] == path[-1]]
    return inside[:1] or near or settings_near(".".join(path))
