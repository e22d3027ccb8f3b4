"""One trial of a sweep: an ordinary run, started as a command of its own."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slangmod.commands.sweep_plan import Plan, number_of
from slangmod.data.shards import chance_of
from slangmod.errors import DataError
from slangmod.files import write_text
from slangmod.locks import locked
from slangmod.runs.directory import RunDir
from slangmod.runs.series import Series
from slangmod.runs.summary import read_summary
from slangmod.search.processes import Process, ending
from slangmod.search.proposals import chosen
from slangmod.search.study import COMPLETE, FAILED, Record
from slangmod.settings.hashes import section_hash
from slangmod.settings.load import load_settings
from slangmod.settings.paths import RUNS
from slangmod.settings.sections import Settings
from slangmod.settings.show import show
from slangmod.syncing import make_folder

SETTINGS = "trial.toml"
"""What a trial is trained with, in its folder."""

MAKING = ".making-data.lock"
"""Held, in the folder of runs, while a trial makes its tokenizer and encodings."""

SAVED_CODES = (75, 130, 143, -15)
"""Exit codes of a process that was asked to end and can go on where it stopped."""


@dataclass
class Running:
    """A trial at work: its process, what it has told so far, what it holds."""

    record: Record
    run: RunDir
    settings: Settings
    process: Process
    slot: int
    losses: Series
    makes_data: bool = False
    pruned: bool = False
    held: ExitStack = field(default_factory=ExitStack)

    def new_losses(self) -> dict[int, float]:
        """All test losses so far by evaluation, from 1, if there are new ones."""
        if not self.losses.refresh():
            return {}
        return dict(enumerate(self.losses["test_loss"], start=1))


@dataclass(frozen=True)
class Launcher:
    """Starts trials. ``program`` is the command line that they are commands of."""

    plan: Plan
    program: Sequence[str]
    environment: Mapping[str, str]
    devices: Sequence[str] = ()
    made: set[str] = field(default_factory=set)
    """hashes of the data that is there"""

    def start(self, record: Record, slot: int) -> Running:
        """Start a trial, or carry it on.

        Raises SettingsError where its values do not go together, RunBusyError while it
        has to wait for data that others are making.
        """
        run = self.plan.trial(record.number)
        file = write_settings(self.plan, record, run)
        settings = load_settings(file)
        held = ExitStack()
        key = data_key(settings)
        makes_data = self.plan.makes_data and key not in self.made
        if makes_data:
            lock = Path(self.plan.settings.workdir, RUNS, MAKING)
            held.enter_context(locked(lock, "the making of data"))
        actions = ("tokenize", "encode") if makes_data else ("train", "--continue")
        process = self.process(actions, file, slot)
        losses = Series(run.epochs, ("test_loss",))
        return Running(
            record, run, settings, process, slot, losses, makes_data, held=held
        )

    def go_on(self, trial: Running) -> None:
        """Train with the data that a trial has made."""
        trial.held.close()
        self.made.add(data_key(trial.settings))
        trial.makes_data = False
        file = trial.run.root / SETTINGS
        trial.process = self.process(("train", "--continue"), file, trial.slot)

    def process(self, actions: Sequence[str], file: Path, slot: int) -> Process:
        """A command of the command line with the settings of a trial."""
        workdir = str(Path(self.plan.settings.workdir).absolute())
        place = ("--toml", str(file), "--workdir", workdir)
        environment = dict(self.environment)
        if self.devices:
            device = self.devices[slot % len(self.devices)]
            environment["CUDA_VISIBLE_DEVICES"] = device
        return Process([*self.program, *actions, *place], environment)


def write_settings(plan: Plan, record: Record, run: RunDir) -> Path:
    """The file of a trial's settings, written when it begins and then left alone."""
    file = (run.root / SETTINGS).absolute()
    if not file.is_file():
        values: dict[str, Any] = chosen(plan.space, record.parameters)
        values["name"] = run.name
        if "threads" not in values and (threads := plan.threads()):
            values["threads"] = threads
        place = f"trial {record.number} of sweep {plan.name}"
        resolved = plan.settings_of(values, place)
        make_folder(run.root)
        write_text(file, show(resolved.absolute(Path.cwd())))
    return file


def data_key(settings: Settings) -> str:
    """Of all that decides about tokenizer and encodings."""
    tokens = settings.tokens.model_dump()
    file = settings.files.tokenizer
    return section_hash({"tokens": tokens, "file": file, **chance_of(settings)})


def outcome_of(trial: Running, code: int, metric: str) -> Record:
    """What became of a trial whose process ended, as it is to be told."""
    number, parameters = trial.record.number, trial.record.parameters
    try:
        summary = read_summary(trial.run.summary)
    except DataError as error:
        return Record(number, FAILED, parameters, reason=str(error))
    seconds = number_of(summary, "cost.seconds")
    value = number_of(summary, metric)
    if code == 0 and value is not None and abs(value) < float("inf"):
        return Record(number, COMPLETE, parameters, value, seconds)
    if code == 0:
        reason = f"its summary has no finite number '{metric}'"
    else:
        said = summary.get("outcome", {}).get("message", "")
        reason = trial.process.last_words() or str(said) or ending(code)
        reason = ending(code) if code < 0 else reason
    return Record(number, FAILED, parameters, None, seconds, reason)


def visible_devices(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """The graphics cards that trials take turns on, where several run at a time.

    Empty where the settings name another device, or where there are not two.
    """
    if settings.sweep.workers == 1 or settings.data.device not in (None, "cuda"):
        return []
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        devices = [one.strip() for one in named.split(",") if one.strip()]
    else:
        devices = [str(n) for n, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]
    return devices if len(devices) > 1 else []
