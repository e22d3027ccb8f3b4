"""``slangmod sweep``: a search for hyper-parameters."""

import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING

from slangmod.commands.call import Call
from slangmod.commands.interruption import SAVED_CODE
from slangmod.commands.live import LiveLine
from slangmod.commands.signals import Signals
from slangmod.errors import DataError, RunError, StoppedError, UserError
from slangmod.files import mark
from slangmod.parallel.crew import crew_of
from slangmod.runs.directory import new_name
from slangmod.settings.derived import seconds_of
from slangmod.settings.literals import printable
from slangmod.settings.resolved import Resolved
from slangmod.settings.sections import Settings

if TYPE_CHECKING:
    from slangmod.commands.sweep_plan import Plan
    from slangmod.commands.sweep_report import Report
    from slangmod.commands.sweeping import Changed, Course
    from slangmod.search.study import Record, Study

LOG = logging.getLogger(__name__)

PROGRAM = (sys.executable, "-m", "slangmod")
"""The command line, of which trials are commands."""

INTERRUPTED = 130

SHOWN_AT_THE_END = 10
"""Trials in the table."""


def run(call: Call) -> None:
    """Search, or go on with a search that was broken off, or help with one.

    Of processes that srun has started together, the first searches and all others help.
    """
    from slangmod.commands.sweep_join import join

    need_libraries(call.settings)
    crew = crew_of(os.environ)
    joins = bool(call.flags.get("join"))
    if (joins or crew.size > 1) and call.settings.name is None:
        raise UserError("name: several workers on one sweep need one; add --name")
    if joins or not crew.leads:
        patience = seconds_of(call.settings.parallel.timeout)
        join(call.resolved, PROGRAM, 0.0 if joins else patience)
    else:
        sweep(call.resolved, PROGRAM)


def need_libraries(settings: Settings) -> None:
    """Raise UserError, saying how to install them, where libraries are missing."""
    needed = {"optuna"}
    needed |= {"cmaes"} if settings.sweep.sampler == "cmaes" else set()
    needed |= {"scipy"} if settings.sweep.sampler == "qmc" else set()
    needed |= {"scipy"} if settings.sweep.pruner == "wilcoxon" else set()
    missing = sorted(name for name in needed if find_spec(name) is None)
    if missing:
        raise UserError(
            f"sweep needs {' and '.join(missing)}: pip install 'slangmod[sweep]'"
        )


def sweep(resolved: Resolved, program: Sequence[str]) -> None:
    """Run the sweep that ``resolved`` describes; trials are commands of ``program``.

    Raises UserError before anything is written, StoppedError where a signal ended it,
    RunError where no trial came to an end.
    """
    from slangmod.commands.sweep_folder import begun, unfinished
    from slangmod.commands.sweep_plan import make_plan
    from slangmod.search.proposals import check_sampler

    settings = resolved.settings
    name = settings.name or new_name(settings.workdir, datetime.now().astimezone())
    plan = make_plan(resolved, name)
    check_sampler(settings.sweep.sampler, plan.space)
    if settings.name is None:
        plan = replace(plan, name=unfinished(plan) or name)
    with begun(plan, way_on(plan)) as signals:
        reason, report = searched(plan, program, signals)
        conclude(plan, report, reason, signals)


def searched(
    plan: "Plan", program: Sequence[str], signals: Signals
) -> tuple[str, "Report"]:
    """Go on with the study until it ends or is stopped; -> how it ended, all trials."""
    from slangmod.commands.sweep_folder import known_as
    from slangmod.commands.sweep_plan import warnings_of
    from slangmod.commands.sweep_report import write_report
    from slangmod.search.storage import kept, place_of

    home, name = known_as(plan)
    study = study_of(plan, name)
    mark(plan.folder, {"made_by": "sweep", "home": home, "study": name})
    signals.arm()
    LOG.info("sweep '%s' in %s", plan.name, plan.folder)
    for warning in warnings_of(plan):
        LOG.warning("%s", warning)
    with LiveLine(sys.stderr, plan.settings.progress) as live:

        def changed(records: "tuple[Record, ...]", at_work: int) -> None:
            report = report_of(plan, "running", records)
            write_report(plan.folder, report)
            live.show(count_of(report, at_work))

        with kept(place_of(plan.settings.sweep.storage, plan.folder), way_on(plan)):
            reason = course_of(plan, program, signals, study, home, changed).run()
            records = study.records()
    report = report_of(plan, reason, records)
    write_report(plan.folder, report)
    return reason, report


def course_of(
    plan: "Plan",
    program: Sequence[str],
    signals: Signals,
    study: "Study",
    home: str,
    changed: "Changed | None" = None,
) -> "Course":
    """The course of a worker; one that tells of all trials stays for all of them."""
    from slangmod.commands.sweeping import Course
    from slangmod.commands.trials import Launcher, visible_devices

    environment = dict(os.environ)
    devices = visible_devices(plan.settings, environment)
    launcher = Launcher(plan, program, environment, devices)
    told = changed or (lambda *_: None)
    course = Course(study, launcher, home, signals.requested, told, changed is not None)
    longest = plan.settings.sweep.timeout
    if longest is not None:
        course.deadline = time.monotonic() + seconds_of(longest)
    return course


def study_of(plan: "Plan", name: str) -> "Study":
    """The study called ``name`` in the storage of the sweep, made if need be."""
    from slangmod.commands.sweep_plan import guessing_loss
    from slangmod.search.journal import judged
    from slangmod.search.pruners import build_pruner
    from slangmod.search.storage import open_storage, place_of, quiet, turn_on
    from slangmod.search.study import open_study

    quiet()
    options = plan.settings.sweep
    storage = open_storage(options.storage, plan.folder)
    guess = guessing_loss(plan.settings)
    pruner = build_pruner(options.pruner, options.n_startup_trials, guess)
    turn = turn_on(options.storage, plan.folder, storage)
    with judged(place_of(options.storage, plan.folder)):
        return open_study(storage, name, plan.space, plan.about, pruner, turn)


def report_of(plan: "Plan", state: str, records: "tuple[Record, ...]") -> "Report":
    """The sweep as it stands."""
    from slangmod.commands.sweep_plan import fingerprint
    from slangmod.commands.sweep_report import Report
    from slangmod.search.space import described

    options = plan.settings.sweep
    return Report(
        plan.name,
        state,
        options.direction,
        options.metric,
        plan.total,
        fingerprint(plan),
        described(plan.space),
        records,
    )


def count_of(report: "Report", at_work: int) -> str:
    """How far the sweep is, in one short line."""
    from slangmod.commands.sweep_words import measured
    from slangmod.search.study import RUNNING

    done = sum(trial.state != RUNNING for trial in report.trials)
    parts = [f"{done} of {report.n_trials} trials done, {at_work} running"]
    if best := report.best():
        parts.append(f"best {measured(best.value)} in trial {best.number}")
    return " | ".join(parts)


def way_on(plan: "Plan") -> str:
    """How to go on with a sweep that was stopped."""
    return f"the same command with --name {plan.name} goes on"


def stopped(plan: "Plan", signals: Signals, what: str) -> StoppedError:
    """What to raise when a signal has ended the work of a worker."""
    code = INTERRUPTED if signals.received == signal.SIGINT else SAVED_CODE
    return StoppedError(
        f"stopped by {signals.name} with {what}; {way_on(plan)}",
        code,
    )


def conclude(plan: "Plan", report: "Report", reason: str, signals: Signals) -> None:
    """Write down and show what came of it, or say that it can be gone on with."""
    from slangmod.commands.sweep_report import draw, numbers, write_best
    from slangmod.commands.sweep_show import say_table
    from slangmod.commands.sweeping import STOPPED

    best = report.best()
    path = write_best(plan, best) if best is not None else None
    if reason == STOPPED:
        raise stopped(plan, signals, numbers(report.trials))
    LOG.info("sweep '%s' has %s: %s", plan.name, reason, numbers(report.trials))
    if best is None or path is None:
        reasons = [trial.reason for trial in report.trials if trial.reason]
        last = f"; the last said: {printable(reasons[-1])}" if reasons else ""
        raise RunError(f"sweep '{plan.name}': no trial came to its end{last}")
    say_table(report, SHOWN_AT_THE_END)
    try:
        if pictures := draw(plan.folder, report):
            LOG.info("pictures: %s", ", ".join(picture.name for picture in pictures))
    except DataError as error:  # the sweep has come to its end all the same
        LOG.warning("no pictures: %s", error)
    LOG.info("`slangmod train --toml %s` makes the best trial once more", path)
