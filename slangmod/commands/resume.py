"""``slangmod resume``: a run goes on from its last sound checkpoint."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slangmod.commands.best import warn_of_unsound_best
from slangmod.commands.call import Call
from slangmod.commands.changes import (
    Change,
    allowed_by,
    changes_of,
    choices_after,
    keep_changes,
)
from slangmod.commands.choices import Choices, choices_of, moved_from, promise
from slangmod.commands.conduct import UNFINISHED, conductor_of
from slangmod.commands.existing import resolve_existing
from slangmod.commands.going_on import judged_otherwise, session_from
from slangmod.commands.joining import (
    BY_ITSELF,
    Company,
    joined,
    refuse_other_data,
    refuse_other_disks,
    refuse_other_runs,
)
from slangmod.commands.scribe import logged
from slangmod.commands.session import Session, build_trainer
from slangmod.commands.signals import Signals
from slangmod.commands.stepping import step_again
from slangmod.commands.strategy import agreed_strategy
from slangmod.commands.sums import forget_sums
from slangmod.commands.watchdog import Watchdog
from slangmod.data.shards import Encodings, check_fresh
from slangmod.errors import DataError
from slangmod.files import sweep_asides, write_text
from slangmod.model.folder import faults_of_model
from slangmod.parallel.strategy import DDP
from slangmod.parallel.team import Team
from slangmod.runs.directory import RunDir
from slangmod.runs.logfile import RunLog
from slangmod.runs.summary import read_summary
from slangmod.runs.trackers import check_trackers
from slangmod.settings.resolved import Resolved
from slangmod.settings.show import run_config
from slangmod.syncing import sync_folder
from slangmod.training.checkpoint import find_sound, set_aside
from slangmod.training.device import choose_device, reproducible
from slangmod.training.state import TrainState
from slangmod.training.stored import read_about

LOG = logging.getLogger(__name__)


def run(call: Call) -> None:
    """Continue a run where it stopped; one that ended is left alone."""
    if call.launch is None:
        carry_on_with(call, BY_ITSELF)
        return
    allowed_by(call)
    folder, resolved = resolve_existing(call)
    chosen = call.settings.model_copy(update={"name": folder.name})
    with joined(call.launch, resolved.settings) as company:
        carry_on_with(replace(call, settings=chosen), company)


def carry_on_with(call: Call, company: Company) -> None:
    """Continue a run together with whoever else has come."""
    allowed, team = allowed_by(call), company.team
    folder, resolved = resolve_existing(call)
    refuse_other_runs(folder, team)
    settings = resolved.settings
    check_trackers(settings)
    with (
        logged(settings, team) as log,
        Signals(patient=not team.alone) as signals,
        folder.lock() if team.leads else nullcontext(),
    ):
        refuse_other_disks(team, folder, settings.parallel.timeout)
        newest, unsound = newest_of(folder, team)
        checkpoint = folder.checkpoints / team.text(newest)
        signals.saved(checkpoint.name)
        about = read_about(checkpoint)
        encodings = check_fresh(settings)
        refuse_other_data(team, encodings)
        changes = changes_of(folder, about, settings, encodings, allowed)
        choices = choices_after(choices_of(about), settings, changes)
        if team.leads:  # now that nothing is refused any more
            sweep_asides(folder.checkpoints)
            for path in unsound:
                set_aside(path)
        known = Known(
            *(folder, resolved, encodings, checkpoint, about, choices, changes)
        )
        carry_on(known, signals, log, company)


def newest_of(folder: RunDir, team: Team) -> tuple[str, Sequence[Path]]:
    """The name of the checkpoint to go on from, which the leader chooses for all.

    And newer ones that are unsound.
    """
    if not team.leads:
        return "", ()
    newest, unsound = find_sound(folder.checkpoints)
    return newest.name, unsound


@dataclass(frozen=True)
class Known:
    """The run that goes on, and from where."""

    folder: RunDir
    resolved: Resolved
    encodings: Encodings
    checkpoint: Path
    about: Mapping[str, Any]
    """what it remembers beside the state"""
    choices: Choices
    changes: Sequence[Change]


def carry_on(
    known: Known, signals: Signals, log: RunLog | None, company: Company
) -> None:
    """Load the checkpoint and train from there, under the choices of the run."""
    folder, checkpoint, choices = known.folder, known.checkpoint, known.choices
    settings, team = known.resolved.settings, company.team
    device = choose_device(choices.device, team.seat)
    exact = promise(
        device,
        choices.threads,
        deterministic=choices.deterministic,
        processes=team.size,
        moved=moved_from(checkpoint, known.about, device),
    )
    LOG.info("run '%s' from %s on %s", folder.name, checkpoint.name, exact)
    with (
        reproducible(choices.deterministic, choices.threads),
        Watchdog(folder, settings.guard, rank=team.rank) as watchdog,
    ):
        vocab = known.encodings.manifest.vocab
        strategy = agreed_strategy(settings, vocab, device, team, choices.strategy)
        choices = replace(choices, strategy=strategy or choices.strategy)
        session = session_from(
            *(checkpoint, settings, known.encodings, device, known.changes),
            team=team,
            strategy=strategy or DDP,
        )
        ended = has_ended(session, signals)
        if ended and team.any(team.leads and is_summed_up(folder, session.state)):
            leave_alone(known, session.state.counters.step, log)
            return
        objective = step_again(session, choices)
        if team.leads:
            begin_again(known, session.state, ended=ended)
        with conductor_of(
            *(folder, session, known.encodings, choices, objective),
            *(signals, watchdog, company.voices, log),
        ) as conductor:
            conductor.scribe.recording.go_back_to(session.state.counters)
            signals.arm()
            conductor.conduct()


def begin_again(known: Known, state: TrainState, *, ended: bool) -> None:
    """Write down with what the run goes on, and that it has not ended.

    Whoever asks after a kill how it has ended would else be told of the end before. One
    that has ``ended`` only needs its end, which looks at the best checkpoint at once.
    """
    folder, step = known.folder, state.counters.step
    forget_sums(folder)
    if not ended:
        warn_of_unsound_best(folder, state)
    keep_changes(folder, known.changes, step)
    if keys := judged_otherwise(change.key for change in known.changes):
        LOG.warning(
            "from step %d on, evaluations cannot be compared with those before (%s): "
            "patience and the search for the best model begin anew",
            *(step, ", ".join(keys)),
        )
    write_settings(known)
    with suppress(FileNotFoundError):
        folder.summary.unlink()
    sync_folder(folder.root)


def write_settings(known: Known) -> None:
    """Write down the settings that the run goes on with."""
    folder = known.folder
    write_text(folder.config, run_config(known.resolved, folder.name))


def leave_alone(known: Known, step: int, log: RunLog | None) -> None:
    """Say how a run has ended.

    Whoever leads, and so has the ``log``, writes down what the run may go on with from
    ``step``, once it does, and restores settings that were lost.
    """
    folder = known.folder
    if log is not None:
        permitted = keep_changes(folder, known.changes, step)
        if permitted or not folder.exists():
            write_settings(known)
        if permitted:
            log.open(folder.log)
    tell_outcome(folder)


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
    if not ended or outcome.get("steps") != state.counters.step:
        return False
    try:
        problems = list(faults_of_model(folder.model))
    except OSError as error:
        problems = [f"{error.filename or folder.model}: {error.strerror}"]
    for problem in problems:
        LOG.warning("%s; %s is written anew", problem, folder.model.name)
    return not problems


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
