"""Said before training: that patience in steps is shorter than one evaluation."""

import logging

from slangmod.data.dataset import TokenDataset
from slangmod.settings.sections import Train

LOG = logging.getLogger(__name__)


def tell_first_deadline(train: Train, rows: TokenDataset) -> None:
    """Say so if ``train.patience_steps`` would end before the first evaluation."""
    if train.patience_steps is None:
        return
    if train.patience_steps < first_evaluation(train, rows, train.patience_steps):
        LOG.info(
            "train.patience_steps = %d ends before the first evaluation, %s; until "
            "then training goes on",
            train.patience_steps,
            "at the end of the first epoch"
            if train.eval_freq is None
            else f"after {train.eval_freq} mini-batches",
        )


def first_evaluation(train: Train, rows: TokenDataset, enough: int) -> int:
    """The optimizer step of the first evaluation, or one beyond ``enough``.

    The last step of an epoch may be shorter than the others.
    """
    wanted = train.eval_freq or rows.batches_in(1)
    step = epoch = before = 0
    while before < wanted and step <= enough:
        epoch += 1
        size = min(rows.batches_in(epoch), wanted - before)
        step += -(-size // train.step_freq)
        before += size
    return step
