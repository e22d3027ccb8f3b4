"""The processes that torchrun started meet, and agree on what they are about to do."""

import json
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from slangmod.commands.choices import Choices
from slangmod.commands.voices import Voices, one_voice
from slangmod.data.shards import Encodings
from slangmod.errors import DataError, SettingsError, UserError, one_of
from slangmod.locks import holder_of
from slangmod.parallel.launch import Launch
from slangmod.parallel.team import ALONE, Team
from slangmod.runs.directory import RunDir
from slangmod.settings.derived import seconds_of
from slangmod.settings.sections import Settings
from slangmod.settings.stages import stages_of
from slangmod.training.device import choose_device

LOG = logging.getLogger(__name__)

LATEST: Final = 60.0
"""Seconds after which all machines see what one of them has written to a shared disk.
"""
PAUSE: Final = 0.05
"""Seconds between two looks at it."""


@dataclass(frozen=True)
class Company:
    """Who trains a run together, and what they say."""

    team: Team
    voices: Voices


BY_ITSELF: Final = Company(ALONE, Voices(ALONE))
"""A process that trains alone, and passes nothing on."""


@contextmanager
def joined(launch: Launch | None, settings: Settings) -> Iterator[Company]:
    """Meet the others of ``launch``, or nobody, until the block ends.

    Raises SettingsError where so many cannot train by ``settings``.
    """
    if launch is None:
        yield BY_ITSELF
        return
    from slangmod.parallel.group import open_team
    from slangmod.training.strategies import STRATEGIES

    refuse_unshareable(settings, launch.size, {"auto", *STRATEGIES})
    device = choose_device(settings.data.device, launch.local_rank)
    parallel = settings.parallel
    if parallel.backend == "nccl" and device.type != "cuda":
        raise SettingsError(
            f'parallel.backend = "nccl": is for GPUs, and this is {device}; '
            "leave it out"
        )
    timeout = seconds_of(parallel.timeout)
    with (
        open_team(launch, device, parallel.backend, timeout) as team,
        one_voice(team) as voices,
    ):
        yield Company(team, voices)


def refuse_unshareable(settings: Settings, size: int, strategies: set[str]) -> None:
    """Raise SettingsError unless ``size`` processes can share what is to be done."""
    problems = []
    sizes = {"": settings.train.batch_size}  # by which evaluations go, too
    for plan in stages_of(settings) if settings.stage else ():
        if plan.settings.train.batch_size != settings.train.batch_size:
            sizes[f"stage.{plan.number}."] = plan.settings.train.batch_size
    for where, rows in sizes.items():
        if rows % size:
            near = [n for n in (rows - rows % size, rows + size - rows % size) if n]
            fitting = " or ".join(map(str, near))
            problems.append(
                f"{where}train.batch_size = {rows}: {size} processes cannot share it "
                f"evenly; {fitting} would fit, or another --nproc-per-node"
            )
    if size > 1 and settings.model.scale_grad_by_freq:
        problems.append(
            "model.scale_grad_by_freq = true: counts tokens of a whole mini-batch, of "
            f"which {size} processes see a part each; leave it out"
        )
    strategy = settings.parallel.strategy
    if strategy not in strategies:
        problems.append(f'parallel.strategy = "{strategy}": {one_of(strategies)}')
    if size > 1 and strategy == "fsdp" and settings.train.largest_batch:
        problems.append(
            "train.largest_batch: is reckoned for a model that each device has whole; "
            'with parallel.strategy = "fsdp" set train.batch_size and train.step_freq'
        )
    if problems:
        raise SettingsError(*dict.fromkeys(problems))


def refuse_other_runs(folder: RunDir, team: Team) -> None:
    """Raise UserError unless every process is about to go on with the same run."""
    each = team.texts(str(folder.root.resolve()))
    if len(set(each)) > 1:
        raise UserError(
            f"the processes found different runs ({', '.join(dict.fromkeys(each))}); "
            "say which with --name, in a workdir that all machines share"
        )


def refuse_other_data(team: Team, encodings: Encodings) -> None:
    """Raise DataError unless every process reads the same encodings."""
    refuse_differences(team, encodings.folder, encodings.fingerprint())


def refuse_other_disks(team: Team, folder: RunDir, timeout: str) -> None:
    """Raise DataError unless every process sees whose run this is, which we lock.

    ``timeout``: for how long they wait for each other.
    """
    if team.alone:
        return
    holder = team.text(holder_of(folder.lock_file) if team.leads else "")
    until = time.monotonic() + min(LATEST, seconds_of(timeout) / 2)
    while (found := holder_of(folder.lock_file)) != holder and time.monotonic() < until:
        time.sleep(PAUSE)
    refuse_differences(team, folder.root, found)


def refuse_differences(team: Team, place: Path, found: str) -> None:
    """Raise DataError unless every process has ``found`` the same at ``place``."""
    told = json.dumps([socket.gethostname(), found])
    each = [json.loads(text) for text in team.texts(told)]
    odd = [
        f"{host} (rank {rank})"
        for rank, (host, one) in enumerate(each)
        if one != each[0][1]
    ]
    if odd:
        raise DataError(
            f"{place}: is not on {', '.join(odd)} what it is on "
            f"{each[0][0]}; put workdir on a disk that all machines share"
        )


def agreed_rows(team: Team, rows: int | None) -> int | None:
    """The rows that fit into the memory of every device; None where none asks."""
    return None if rows is None else min(map(int, team.texts(str(rows))))


def agreed_choices(team: Team, choices: Choices) -> Choices:
    """What the leader chose, but for the device, which each has its own of."""
    if team.alone:
        return choices
    told = asdict(choices) | {"device": choices.device.partition(":")[0]}
    found: Choices = TypeAdapter(Choices).validate_json(team.text(json.dumps(told)))
    return found
