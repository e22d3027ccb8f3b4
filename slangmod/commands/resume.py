"""``slangmod resume``: a run goes on from its last sound checkpoint."""

import logging
from collections.abc import Sequence
from pathlib import Path

from slangmod.commands.call import Call
from slangmod.commands.changes import (
    Change,
    allowed_by,
    changes_of,
    choices_after,
    keep_changes,
)
from slangmod.commands.choices import Choices, choices_of, promise
from slangmod.commands.conduct import UNFINISHED, Conductor
from slangmod.commands.existing import resolve_existing
from slangmod.commands.recording import attach_log, detach_log, open_recording
from slangmod.commands.session import (
    Session,
    build_trainer,
    open_session,
)
from slangmod.commands.signals import Signals
from slangmod.commands.stepping import step_again
from slangmod.commands.watchdog import Watchdog
from slangmod.data.shards import Encodings, check_fresh
from slangmod.errors import DataError
from slangmod.files import sweep_asides, write_text
from slangmod.runs.directory import RunDir
from slangmod.runs.logfile import RunLog
from slangmod.runs.summary import read_summary
from slangmod.runs.trackers import check_trackers
from slangmod.settings.levels import level_of
from slangmod.settings.resolved import Resolved
from slangmod.settings.show import run_config
from slangmod.training.checkpoint import (
    load_checkpoint,
    newest_sound,
    read_about,
    read_counters,
)
from slangmod.training.device import choose_device, reproducible
from slangmod.training.state import TrainState

LOG = logging.getLogger(__name__)


def run(call: Call) -> None:
    """Continue a run where it stopped; one that ended is left alone."""
    allowed = allowed_by(call)
    folder, resolved = resolve_existing(call)
    settings = resolved.settings
    check_trackers(settings)
    log = attach_log(level_of(settings.log_level))
    try:
        with Signals() as signals, folder.lock():
            sweep_asides(folder.checkpoints)
            checkpoint = newest_sound(folder.checkpoints, own=True)
            signals.saved(checkpoint.name)
            about = read_about(checkpoint)
            encodings = check_fresh(settings)
            changes = changes_of(folder, about, settings, encodings, allowed)
            choices = choices_after(choices_of(about), settings, changes)
            carry_on(
                folder, resolved, encodings, checkpoint, choices, changes, signals, log
            )
    finally:
        detach_log(log)


def carry_on(
    folder: RunDir,
    resolved: Resolved,
    encodings: Encodings,
    checkpoint: Path,
    choices: Choices,
    changes: Sequence[Change],
    signals: Signals,
    log: RunLog,
) -> None:
    """Load the checkpoint and train from there, under the choices of the run."""
    settings = resolved.settings
    device = choose_device(choices.device)
    exact = promise(device, choices.threads, deterministic=choices.deterministic)
    LOG.info("run '%s' from %s on %s", folder.name, checkpoint.name, exact)
    with (
        reproducible(choices.deterministic, choices.threads),
        Watchdog(folder, settings.guard) as watchdog,
    ):
        session = open_session(settings, encodings, device, read_counters(checkpoint))
        load_checkpoint(checkpoint, session.state)
        if has_ended(session, signals) and is_summed_up(folder, session.state):
            tell_outcome(folder)
            return
        objective = step_again(session, choices)
        done = session.state.counters
        keep_changes(folder, changes, done.step)
        write_text(folder.config, run_config(resolved, folder.name))
        with open_recording(folder, settings, log, done) as recording:
            recording.go_back_to(done)
            signals.arm()
            Conductor(
                folder,
                session,
                encodings,
                choices,
                objective,
                recording,
                signals,
                watchdog,
            ).conduct()


def has_ended(session: Session, signals: Signals) -> bool:
    """Whether the run's own rules have ended it."""

    def nothing(_: object) -> None:
        """A run that is only looked at is neither saved nor told of."""

    trainer = build_trainer(
        session,
        session.objective,
        save=nothing,
        requested=signals.requested,
        tell=nothing,
    )
    return trainer.reason_to_end(session.state, session.train) is not None


def is_summed_up(folder: RunDir, state: TrainState) -> bool:
    """Whether the summary and the model are those of the run as it now stands."""
    try:
        outcome = read_summary(folder.summary).get("outcome", {})
    except DataError:
        return False  # it is written anew
    ended = outcome.get("reason") not in (None, *UNFINISHED)
    return ended and outcome.get("steps") == state.counters.step


def tell_outcome(folder: RunDir) -> None:
    """Say how a run ended that has nothing left to do."""
    outcome = read_summary(folder.summary).get("outcome", {})
    LOG.info(
        "run '%s' has ended (%s: %s) after %s steps; best test loss %s at step %s; "
        "a larger train.max_epochs, train.max_steps or train.max_time goes on, or more "
        "patience",
        folder.name,
        outcome.get("reason"),
        outcome.get("why"),
        outcome.get("steps"),
        outcome.get("best_test_loss"),
        outcome.get("best_step"),
    )
