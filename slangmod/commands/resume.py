"""``slangmod resume``: a run goes on from its last sound checkpoint."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slangmod.commands import RESUME_MAY_CHANGE
from slangmod.commands.call import Call
from slangmod.commands.conduct import UNFINISHED, Conductor
from slangmod.commands.existing import resolve_existing
from slangmod.commands.recording import attach_log, detach_log, open_recording
from slangmod.commands.saving import build_saver
from slangmod.commands.session import (
    Session,
    build_trainer,
    choices_of,
    open_session,
    promise,
)
from slangmod.commands.signals import Signals
from slangmod.commands.stepping import compile_again
from slangmod.data.shards import Encodings, check_fresh
from slangmod.errors import DataError, UserError
from slangmod.files import sweep_asides, write_text
from slangmod.runs.directory import RunDir
from slangmod.runs.logfile import RunLog
from slangmod.runs.overview import flat
from slangmod.runs.summary import read_summary
from slangmod.runs.trackers import check_trackers
from slangmod.settings.levels import level_of
from slangmod.settings.resolved import Resolved
from slangmod.settings.run import may_change
from slangmod.settings.sections import Settings
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

MAY_DIFFER = (
    *RESUME_MAY_CHANGE,
    *("workdir", "name", "size", "base", "files", "extra"),
    *("train.init_from", "sweep", "repeat", "plugins"),
)
"""Settings that a run may go on with other values of: those that resume lets change,
those that say where things lie, those whose effect is compared by content, and those
that are about other runs or about who may be imported."""


def run(call: Call) -> None:
    """Continue a run where it stopped; one that ended is left alone."""
    folder, resolved = resolve_existing(call)
    settings = resolved.settings
    check_trackers(settings)
    log = attach_log(level_of(settings.log_level))
    try:
        with Signals() as signals, folder.lock():
            sweep_asides(folder.checkpoints)
            checkpoint = newest_sound(folder.checkpoints, own=True)
            signals.arm()
            about = read_about(checkpoint)
            encodings = check_fresh(settings)
            refuse_changes(folder, about, settings, encodings)
            carry_on(folder, resolved, encodings, checkpoint, about, signals, log)
    finally:
        detach_log(log)


def refuse_changes(
    folder: RunDir, about: Mapping[str, Any], settings: Settings, encodings: Encodings
) -> None:
    """Raise UserError, listing them, if inputs are not what the run began with."""
    now = flat(settings.model_dump(mode="json"))
    # What was no setting yet when the checkpoint was written is as by default.
    then = flat(Settings().model_dump(mode="json")) | flat(about["settings"])
    problems = [
        f"{folder.config}: {key} is now {now.get(key)!r}, the run has {then.get(key)!r}"
        for key in sorted(then.keys() | now.keys())
        if then.get(key) != now.get(key)
        and not may_change(tuple(key.split(".")), MAY_DIFFER)
    ]
    if about["tokenizer_sha256"] != encodings.manifest.tokenizer_sha256:
        problems.append("the tokenizer is not the one that the run began with")
    if about["data_sha256"] != encodings.fingerprint():
        problems.append("the encodings are not those that the run began with")
    if problems:
        raise UserError(*(f"{problem}; start another run" for problem in problems))


def carry_on(
    folder: RunDir,
    resolved: Resolved,
    encodings: Encodings,
    checkpoint: Path,
    about: Mapping[str, Any],
    signals: Signals,
    log: RunLog,
) -> None:
    """Load the checkpoint and train from there, under the choices of the run."""
    settings = resolved.settings
    choices = choices_of(about)
    device = choose_device(choices.device)
    exact = promise(device, choices.threads, deterministic=choices.deterministic)
    LOG.info("run '%s' from %s on %s", folder.name, checkpoint.name, exact)
    with reproducible(choices.deterministic, choices.threads):
        session = open_session(settings, encodings, device, read_counters(checkpoint))
        load_checkpoint(checkpoint, session.state)
        if has_ended(session, signals) and is_summed_up(folder, session.state):
            tell_outcome(folder)
            return
        objective = compile_again(session) if choices.compiled else session.objective
        write_text(folder.config, run_config(resolved, folder.name))
        done = session.state.counters
        with open_recording(folder, settings, log, done) as recording:
            recording.go_back_to(done)
            Conductor(
                folder,
                session,
                encodings,
                choices,
                objective,
                recording,
                signals,
                build_saver(folder, session, encodings, choices, recording),
            ).conduct()


def has_ended(session: Session, signals: Signals) -> bool:
    """Whether the run's own rules have ended it."""

    def nothing(_: object) -> None:
        """A run that is only looked at is neither saved nor told of."""

    trainer = build_trainer(
        session,
        session.objective,
        save=nothing,
        signals=signals,
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
