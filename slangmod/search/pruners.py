"""Who ends trials early: by the test loss of each evaluation, counted from 1."""

import warnings
from collections.abc import Callable, Mapping
from functools import partial

from optuna import pruners
from optuna.pruners import BasePruner

PATIENCE = 3
"""Evaluations without a better test loss after which "patient" ends a trial."""

KEPT = 25.0
"""Per cent of trials that "percentile" lets go on."""


def pruners_for(
    startup: int, guessing: float
) -> Mapping[str, Callable[[], BasePruner]]:
    """Pruners by the words of ``sweep.pruner``.

    ``startup``: trials that are never ended. ``guessing``: the loss of any token being
    as likely as any other, in nats per token; "threshold" ends what is worse.
    """
    return {
        "none": pruners.NopPruner,
        "median": partial(pruners.MedianPruner, startup),
        "percentile": partial(pruners.PercentilePruner, KEPT, startup),
        "halving": pruners.SuccessiveHalvingPruner,
        "hyperband": pruners.HyperbandPruner,
        "patient": partial(pruners.PatientPruner, None, PATIENCE),
        "threshold": partial(pruners.ThresholdPruner, upper=guessing),
        "wilcoxon": pruners.WilcoxonPruner,
    }


def build_pruner(name: str, startup: int, guessing: float) -> BasePruner:
    """The pruner that ``sweep.pruner`` names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are called experimental
        return pruners_for(startup, guessing)[name]()
