"""A session that goes on from a checkpoint, with the inputs of then or with others."""

from collections.abc import Iterable
from pathlib import Path

import torch

from slangmod.commands.changes import Change
from slangmod.commands.session import Session, open_session
from slangmod.data.shards import Encodings
from slangmod.parallel.strategy import DDP
from slangmod.parallel.team import ALONE, Team
from slangmod.settings.changing import DATA, JUDGED_BY
from slangmod.settings.sections import Settings
from slangmod.training.checkpoint import load_checkpoint
from slangmod.training.stored import read_counters


def session_from(
    checkpoint: Path,
    settings: Settings,
    encodings: Encodings,
    device: torch.device,
    changes: Iterable[Change] = (),
    *,
    team: Team = ALONE,
    strategy: str = DDP,
) -> Session:
    """A run as it was saved in ``checkpoint``, but for what ``changes`` begin anew.

    Other text has its first epoch next; the best so far is forgotten where later
    evaluations cannot be compared with it.
    """
    keys = {change.key for change in changes}
    counters = read_counters(checkpoint)
    if DATA in keys:
        counters.take_other_text()
    session = open_session(
        settings, encodings, device, counters, team=team, strategy=strategy
    )
    state = session.state
    load_checkpoint(checkpoint, state)
    if DATA in keys:
        state.counters.take_other_text()
    if judged_otherwise(keys):
        state.patience = state.patience.anew(state.counters.step)
    return session


def judged_otherwise(keys: Iterable[str]) -> tuple[str, ...]:
    """Those of ``keys`` on which evaluations depend."""
    return tuple(key for key in keys if key in JUDGED_BY)
