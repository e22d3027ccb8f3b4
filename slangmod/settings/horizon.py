"""How long a training is planned to be, and durations that are measured by it."""

import math
import re
from dataclasses import dataclass
from typing import Final

from slangmod.errors import SettingsError

Span = int | str
"""mini-batches, or "5%" of the planned training, "2 epochs", "1M tokens"."""

_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?) *(%|epochs?|([kMG]?) *tokens)")
_SIZES: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


@dataclass(frozen=True)
class Horizon:
    """What is known of a training before it starts; None where it is not."""

    tokens_per_batch: int
    """target tokens of a full mini-batch"""
    batches_per_epoch: int | None = None
    batches: int | None = None
    """mini-batches planned in all"""

    def batches_of(self, span: Span, name: str) -> int:
        """Mini-batches that the duration ``span`` of the setting ``name`` takes.

        Raises SettingsError if it needs the data, and they are not at hand.

        >>> Horizon(1000, 50, 400).batches_of("5%", "train.warmup")
        20
        >>> Horizon(1000, 50, 400).batches_of("1.5 epochs", "train.warmup")
        75
        >>> Horizon(1000).batches_of("1M tokens", "train.warmup")
        1000
        """
        if isinstance(span, int):
            return span
        match = _SPAN.fullmatch(span)
        if match is None:
            raise SettingsError(
                f'{name} = "{span}": give mini-batches, or a text such as "5%", '
                '"2 epochs" or "1M tokens"'
            )
        number, unit = float(match[1]), match[2]
        if number == 0:
            return 0
        if unit == "%":
            batches = number / 100 * self.planned(f'{name} = "{span}"')
        elif unit.startswith("epoch"):
            batches = number * self.in_epoch(f'{name} = "{span}"')
        else:
            batches = math.ceil(number * _SIZES[match[3]] / self.tokens_per_batch)
        return max(1, round(batches))

    def planned(self, what: str) -> int:
        """Mini-batches in all, or SettingsError that says ``what`` needs them."""
        if self.batches is None:
            raise SettingsError(
                f"{what}: needs to know where training ends, and the data are not at "
                "hand; run `slangmod encode` first, or set train.max_steps"
            )
        return self.batches

    def in_epoch(self, what: str) -> int:
        """Mini-batches of an epoch, or SettingsError that says ``what`` needs them."""
        if self.batches_per_epoch is None:
            raise SettingsError(
                f"{what}: needs to know how long an epoch is, and the data are not at "
                "hand; run `slangmod encode` first, or count in mini-batches"
            )
        return self.batches_per_epoch
