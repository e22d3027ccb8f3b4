"""Words that are taken for others: names of classes that mean the same as ours.

They are turned into our words when settings are loaded, so that settings hold those
only. Upper and lower case make no difference.
"""

from collections.abc import Iterable
from typing import Any

ALIASES: dict[str, dict[str, str]] = {
    "train.optimizer": {"lbfgs": "bfgs"},
    "train.scaling": {
        "constantlr": "constant",
        "steplr": "step",
        "polynomiallr": "polynomial",
        "cycliclr": "cyclic",
        "triangularclr": "triangular",
        "exprangeclr": "exp_range",
    },
}
"""For each setting, in small letters: the classes of torch and PyCMTensor."""


def our_word(setting: str, value: Any, words: Iterable[str]) -> Any:
    """The one of ``words`` that ``value`` means, or ``value`` where there is none.

    >>> our_word("train.scaling", "StepLR", ["step", "cosine"])
    'step'
    >>> our_word("train.optimizer", "AdamW", ["adamw", "sgd"])
    'adamw'
    >>> our_word("train.optimizer", "adamm", ["adamw", "sgd"])
    'adamm'
    """
    if setting not in ALIASES or not isinstance(value, str):
        return value
    small = value.lower()
    small = ALIASES[setting].get(small, small)
    return small if small in words else value
