"""Rules of [optimizer]: which option belongs to which optimizer, and to which group."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from slangmod.settings.clash import Clash
from slangmod.settings.free import FreeTable
from slangmod.settings.groups import assign, idle
from slangmod.settings.plugins import is_plugin
from slangmod.settings.sections import Group, Settings
from slangmod.settings.tensors import HIDDEN, OUTPUT, REST, kinds_of

OPTIONS = {
    "adamw": ("weight_decay", "betas", "eps"),
    "adafactor": ("weight_decay",),
    "adam": ("betas", "eps"),
    "nadam": ("betas", "eps"),
    "adamax": ("betas", "eps"),
    "adadelta": ("rho", "eps"),
    "rmsprop": ("rho", "eps", "momentum"),
    "momentum": ("weight_decay", "momentum"),
    "nag": ("weight_decay", "momentum"),
    "adagrad": ("eps",),
    "sgd": ("weight_decay",),
    "rprop": (),
    "bfgs": ("history", "bfgs_warmup"),
    "muon": ("weight_decay", "momentum", "betas", "eps"),
}
"""The options of [optimizer] that each optimizer uses."""

UNGROUPED: Final = {"bfgs": "moves all weights as one, and has no groups"}
"""Optimizers that cannot treat some weights other than the rest, and why."""

KINDS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "muon": {
        "momentum": (HIDDEN,),
        "betas": (OUTPUT, REST),
        "eps": (OUTPUT, REST),
    }
}
"""Options that an optimizer uses for some kinds of weights only."""

WORDS: Final = {
    HIDDEN: "hidden matrices",
    OUTPUT: "the output matrix",
    REST: "embeddings, norms and biases",
}
"""Kinds of weights, as an error names them."""

SET_ELSEWHERE: Final = {
    "params": "the model's weights",
    "lr": "train.learning_rate",
    "weight_decay": "optimizer.weight_decay",
}
"""Arguments of a class that [optimizer.options] must not have, and what they are."""


def options_fit_optimizer(settings: Settings) -> Iterator[Clash]:
    """An option that would change nothing is a mistake, save for its default and 0."""
    name, section = settings.train.optimizer, settings.optimizer
    used = ("weight_decay",) if is_plugin(name) else OPTIONS[name]
    for option, field in type(section).model_fields.items():
        value = getattr(section, option)
        if option in (*used, "options", "group") or value in (None, field.default):
            continue
        if option == "weight_decay" and value == 0:
            continue
        yield Clash((f"optimizer.{option}", "train.optimizer"), unused(name, option))


def unused(name: str, option: str) -> str:
    """What to do about an ``option`` that the optimizer ``name`` has not."""
    if is_plugin(name):
        return f"leave it out; arguments of {name} stand in [optimizer.options]"
    users = ", ".join(sorted(one for one in OPTIONS if option in OPTIONS[one]))
    return f"{name} has no optimizer.{option}; leave it out, or take one of {users}"


def options_are_for_classes(settings: Settings) -> Iterator[Clash]:
    """The free table is read by no optimizer of ours, nor for what is set elsewhere."""
    name, options = settings.train.optimizer, settings.optimizer.options
    if options and not is_plugin(name):
        yield Clash(
            (".".join(("optimizer.options", *first_leaf(options))), "train.optimizer"),
            f"{name} takes none; its options stand in [optimizer] itself, and those "
            'of a class such as "torch.optim:RAdam" here',
        )
        return
    for argument in sorted(SET_ELSEWHERE.keys() & options.keys()):
        yield Clash(
            (
                ".".join(
                    ("optimizer.options", argument, *first_leaf(options[argument]))
                ),
            ),
            f"{argument} is {SET_ELSEWHERE[argument]} here; leave it out",
        )


def first_leaf(value: Any) -> Iterator[str]:
    """The names that lead to the first value in a table of tables.

    >>> list(first_leaf(FreeTable({"a": {"b": 1, "c": 2}})))
    ['a', 'b']
    """
    while isinstance(value, FreeTable) and value:
        name = next(iter(value))
        yield name
        value = value[name]


def own_options(group: Group) -> dict[str, Any]:
    """What ``group`` sets, beside its pattern and its learning rate."""
    names = [
        name for name in Group.model_fields if name not in {"match", "learning_rate"}
    ]
    found = {name: getattr(group, name) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def groups_fit_optimizer(settings: Settings) -> Iterator[Clash]:
    """A group sets what its optimizer uses."""
    name = settings.train.optimizer
    for number, group in enumerate(settings.optimizer.group, start=1):
        place = f"optimizer.group.{number}"
        if name in UNGROUPED:
            yield Clash(
                (f"{place}.match", "train.optimizer"), f"{name} {UNGROUPED[name]}"
            )
            return
        if is_plugin(name):
            continue
        for option in own_options(group).keys() - set(OPTIONS[name]):
            users = ", ".join(sorted(one for one in OPTIONS if option in OPTIONS[one]))
            yield Clash(
                (f"{place}.{option}", "train.optimizer"),
                f"{name} has no {option}; leave it out, or take one of {users}",
            )


def groups_have_weights(settings: Settings) -> Iterator[Clash]:
    """Every pattern takes some weight, of a kind that the group's options are for."""
    name, groups = settings.train.optimizer, settings.optimizer.group
    if not groups or name in UNGROUPED:
        return
    kinds = kinds_of(settings.model, vocab=1)
    patterns = [group.match for group in groups]
    for place, why in idle(list(kinds), patterns).items():
        if patterns[place]:  # which another rule asks for
            yield Clash((f"optimizer.group.{place + 1}.match",), why)
    taken = assign(kinds, patterns)
    for place, group in enumerate(groups):
        own = {kinds[weight] for weight, one in taken.items() if one == place}
        for option in own_options(group):
            users = KINDS.get(name, {}).get(option, tuple(own))
            if own and not own.intersection(users):
                yield Clash(
                    (f"optimizer.group.{place + 1}.{option}", "train.optimizer"),
                    f"{name} uses it for {' and '.join(WORDS[one] for one in users)} "
                    "only, of which this group has none; leave it out",
                )
