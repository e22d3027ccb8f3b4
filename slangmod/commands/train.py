"""``slangmod train``: a run from scratch."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime

import torch
from torch import Tensor

from slangmod.commands import resume
from slangmod.commands.call import Call
from slangmod.commands.choices import Choices, promise
from slangmod.commands.classes import check_classes
from slangmod.commands.conduct import conductor_of
from slangmod.commands.deadline import tell_first_deadline
from slangmod.commands.fitting import allowed_bytes, rows_at_once
from slangmod.commands.initial import initial_weights
from slangmod.commands.interruption import begin_anew
from slangmod.commands.joining import (
    BY_ITSELF,
    Company,
    agreed_choices,
    agreed_rows,
    joined,
    refuse_other_data,
    refuse_other_disks,
)
from slangmod.commands.repeating import refuse_existing, repetitions
from slangmod.commands.restarting import begun_before, named, note_begun
from slangmod.commands.scribe import logged
from slangmod.commands.session import (
    Session,
    open_session,
)
from slangmod.commands.signals import Signals
from slangmod.commands.staging import batches_of, whole_horizon
from slangmod.commands.stepping import choose_step, uses_onednn
from slangmod.commands.strategy import agreed_strategy, neighbours_in
from slangmod.commands.watchdog import Watchdog
from slangmod.data.shards import Encodings, check_fresh
from slangmod.errors import UserError
from slangmod.files import write_text
from slangmod.optim import describe_groups
from slangmod.parallel.shards import shards_of
from slangmod.parallel.strategy import DDP
from slangmod.parallel.team import Team
from slangmod.runs.begun import has_begun
from slangmod.runs.directory import RunDir, new_name
from slangmod.runs.logfile import RunLog
from slangmod.runs.trackers import check_trackers
from slangmod.settings.derived import REST, groups_of
from slangmod.settings.groups import in_brief
from slangmod.settings.horizon import Horizon
from slangmod.settings.resolved import Resolved
from slangmod.settings.sections import Settings, Train
from slangmod.settings.show import run_config
from slangmod.training.device import choose_device, reproducible

LOG = logging.getLogger(__name__)


def run(call: Call) -> None:
    """Train a new run, or carry one on with ``--continue``; with repeat, several."""
    if call.flags.get("continue") and call.flags.get("overwrite"):
        raise UserError("--continue and --overwrite exclude each other: give one")
    if call.flags.get("allow-change") and not call.flags.get("continue"):
        raise UserError("--allow-change: is for a run that goes on; add --continue")
    with joined(call.launch, call.settings) as company:
        if call.flags.get("continue") and call.settings.name is None:
            LOG.warning(
                "--continue without a name: a new run begins, now and each time; give "
                "it a --name, by which the same command goes on with it"
            )
        call = named(call, company.team)
        if call.settings.repeat == 1:
            run_one(call, company)
            return
        calls = repetitions(call)
        if not call.flags.get("continue"):
            new = [one for one in calls if not begun_before(one, company.team)]
            refuse_existing(new if company.team.leads else [])
        for number, one in enumerate(calls, start=1):
            LOG.info("run %d of %d: '%s'", number, len(calls), one.settings.name)
            run_one(one, company)


def run_one(call: Call, company: Company) -> None:
    """Train one run, or carry it on."""
    begin_anew()  # it may be one of several
    goes_on = call.flags.get("continue") or begun_before(call, company.team)
    if goes_on and call.settings.name is not None:
        folder = RunDir.of(call.settings.workdir, call.settings.name)
        if company.team.any(company.team.leads and has_begun(folder)):
            resume.carry_on_with(call, company)
            return
    overwrite = bool(call.flags.get("overwrite"))
    train_run(call.resolved, overwrite=overwrite, company=company)


def train_run(
    resolved: Resolved, *, overwrite: bool = False, company: Company = BY_ITSELF
) -> RunDir:
    """Train a run from scratch; -> its folder, with model and summary.

    Raises UserError, and writes nothing, if encodings are missing or stale or if the
    run has been begun already; ``overwrite`` moves such a run aside.
    """
    settings, team = resolved.settings, company.team
    name = settings.name or new_name(settings.workdir, datetime.now().astimezone())
    folder = RunDir.of(settings.workdir, name)
    check_trackers(settings)
    encodings = check_fresh(settings)
    refuse_other_data(team, encodings)
    device = choose_device(settings.data.device, team.seat)
    check_classes(settings, encodings.manifest.vocab, device)
    weights = initial_weights(settings, encodings)
    if team.leads:
        folder.refuse_if_in_use()
        refuse_begun(folder, overwrite=overwrite)
    config = run_config(resolved, name)
    start = Start(folder, settings, config, encodings, device, weights)
    with (
        logged(settings, team) as log,
        Signals(patient=not team.alone) as signals,
        folder.lock() if team.leads else nullcontext(),
    ):
        refuse_other_disks(team, folder, settings.parallel.timeout)
        if team.leads:
            # Once more: whoever held the lock until now may have trained it.
            refuse_begun(folder, overwrite=overwrite)
        begin(start, signals, log, company)
    return folder


@dataclass(frozen=True)
class Start:
    """What a new run begins with, all of it checked."""

    folder: RunDir
    settings: Settings
    config: str
    """what config.toml will hold"""
    encodings: Encodings
    device: torch.device
    weights: Mapping[str, Tensor] | None


def refuse_begun(folder: RunDir, *, overwrite: bool) -> None:
    """Raise UserError if the folder has a run that nobody wants overwritten."""
    if overwrite or not has_begun(folder):
        return
    state = "has been trained already, and its checkpoints are gone: "
    if folder.has_checkpoints():
        state = "has checkpoints already: "
        state += (
            f"`slangmod resume --name {folder.name}` goes on with it, "
            if folder.exists()
            else "--continue goes on with it, "
        )
    raise UserError(
        f"run '{folder.name}' {state}--overwrite moves it aside, another --name "
        "leaves it alone"
    )


def begin(start: Start, signals: Signals, log: RunLog | None, company: Company) -> None:
    """Choose, move an old run of that name aside, save step 0, and train."""
    settings, device, team = start.settings, start.device, company.team
    threads = int(team.text(str(settings.threads or torch.get_num_threads())))
    deterministic = settings.deterministic or device.type == "cpu"
    exact = promise(device, threads, deterministic=deterministic, processes=team.size)
    LOG.info("run '%s' in %s on %s", start.folder.name, start.folder.root, exact)
    watched = Watchdog(start.folder, settings.guard, rank=team.rank)
    with reproducible(deterministic, threads), watched as watchdog:
        vocab = start.encodings.manifest.vocab
        strategy = agreed_strategy(settings, vocab, device, team)
        session = open_session(
            *(settings, start.encodings, device),
            weights=start.weights,
            team=team,
            strategy=strategy or DDP,
        )
        describe(session)
        several = team.size, allowed_bytes(device, neighbours_in(team))
        rows = agreed_rows(team, rows_at_once(settings, vocab, device, *several))
        objective, compiled = choose_step(session, settings.model.compile, rows)
        choices = agreed_choices(
            team,
            Choices(
                *(str(device), threads, compiled, deterministic, rows),
                uses_onednn(session),
                strategy,
            ),
        )
        with (
            room_for(start.folder, start.config, team),
            conductor_of(
                *(start.folder, session, start.encodings, choices, objective),
                *(signals, watchdog, company.voices, log),
            ) as conductor,
        ):
            signals.arm()
            conductor.save(session.state)
            conductor.conduct()


@contextmanager
def room_for(folder: RunDir, config: str, team: Team) -> Iterator[None]:
    """The first file of a new run; an old run of its name is moved aside for it."""
    if not team.leads:
        yield
        return
    with folder.vacated() if has_begun(folder) else nullcontext() as old:
        if old is not None:
            LOG.info("the old run was moved to %s", old.root)
        note_begun(folder, team)
        write_text(folder.config, config)
        yield


def describe(session: Session) -> None:
    """Say what is going to be trained, and warn of a warmup that never ends."""
    parameters = sum(p.numel() for p in session.state.model.parameters())
    LOG.info(
        "%s parameters; %d mini-batches an epoch, at most %d in all",
        f"{parameters:,}".replace(",", " "),
        session.train.batches_in(1),
        batches_of(session.legs),
    )
    groups = session.settings.optimizer.group
    if groups:
        patterns = [group.match for group in groups]
        shards = shards_of(session.state.model)
        count = torch.Tensor.numel if shards is None else shards.count
        for line in describe_groups(session.state.optimizer, patterns, count):
            LOG.info("%s", line)
        for number, names in groups_of(session.settings).items():
            if number != REST:
                LOG.info("group %s takes %s", number, in_brief(names))
    warn_of_warmups(session)
    if session.settings.train.init_from is not None:
        LOG.info("starting from the weights of %s", session.settings.train.init_from)
    tell_first_deadline(session.stage.train, session.train)


def warn_of_warmups(session: Session) -> None:
    """Warn of each schedule whose warmup never ends: of the run, or of its stages."""
    if not session.settings.stage:
        warn_of_warmup(session.settings.train, session.leg.horizon(), "--train")
        return
    for leg in session.legs:
        plan, flag = leg.plan, f"--stage.{leg.plan.number}.train"
        if plan.continues and plan.number == 1:
            warn_of_warmup(plan.settings.train, whole_horizon(session.legs), flag)
        elif not plan.continues and leg.length.batches:
            warn_of_warmup(plan.settings.train, leg.horizon(), flag)


def warn_of_warmup(train: Train, horizon: Horizon, flag: str) -> None:
    """Warn, if the warmup is longer than the horizon, of the rate it will reach.

    ``flag`` is what a flag of the command line that shortens it begins with.
    """
    planned = horizon.planned("train.warmup")
    warmup = horizon.batches_of(train.warmup, "train.warmup")
    if warmup <= planned:
        return
    last = max(0, planned - train.step_freq)  # mini-batches done before that step
    LOG.warning(
        "%s.warmup = %s is longer than the planned %d mini-batches: the rate "
        "will reach %.3g of %.3g; %s.warmup %d would fit",
        flag.removeprefix("--"),
        train.warmup,
        planned,
        train.learning_rate * (last + 1) / warmup,
        train.learning_rate,
        flag,
        max(1, planned // 20),
    )
