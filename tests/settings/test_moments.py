"""Changes between stages after which moments are of no use, and all others."""

import pytest

from slangmod.settings.moments import outdated_by
from slangmod.settings.sections import Settings


@pytest.mark.parametrize(
    ("optimizer", "before", "after", "reason"),
    [
        ("adamw", {}, {"train.optimizer": "adam"}, "train.optimizer"),
        ("adamw", {}, {"optimizer.betas": (0.8, 0.9)}, None),
        ("adamw", {}, {"train.learning_rate": 0.5}, None),
        ("bfgs", {}, {"optimizer.history": 5}, "optimizer.history"),
        ("bfgs", {"optimizer.history": 5}, {"optimizer.history": 5}, None),
        ("bfgs", {}, {"optimizer.bfgs_warmup": 5}, None),
        ("rmsprop", {}, {"optimizer.momentum": 0.5}, "optimizer.momentum"),
        ("rmsprop", {"optimizer.momentum": 0.5}, {"optimizer.momentum": 0.0}, None),
        ("nag", {}, {"optimizer.momentum": 0.5}, None),
    ],
)
def test_what_makes_moments_useless(
    optimizer: str, before: dict, after: dict, reason: str | None
) -> None:
    base = Settings().replace(**{"train.optimizer": optimizer})
    old, new = (base.replace(**change) for change in (before, after))
    assert outdated_by(old, new) == reason
