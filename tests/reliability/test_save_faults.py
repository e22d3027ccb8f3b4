"""Every call of a save fails, or is the last: the old state is found, or the new."""

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from slangmod.commands.resume import newest_of
from slangmod.commands.saving import Ground
from slangmod.complaints import Complaints
from slangmod.files import ASIDE, REPLACED
from slangmod.parallel.team import ALONE
from slangmod.runs.directory import RunDir
from slangmod.runs.durable import Lines
from slangmod.training.checkpoint import newest_sound
from slangmod.training.manifest import MANIFEST
from slangmod.training.stored import read_counters
from tests.cases import mostly_slow
from tests.reliability.faulty_disk import LOOKING, Disk, Strike, installed
from tests.reliability.states import (
    NEW,
    OLD,
    bits,
    changed,
    loaded,
    saver_of,
    state_at,
)

ERRORS = {name: getattr(errno, name) for name in ("ENOSPC", "EIO", "EINTR", "EACCES")}
ROWS = "a row"
"""Of a table, as many as it is repeated."""


@pytest.fixture(scope="module")
def known() -> dict[str, int]:
    """The step of each state that may be found, by its bits."""
    return {bits(state_at(step)): step for step in (OLD, NEW)}


class Run:
    """A run with the old state on disk, about to save the new one."""

    def __init__(self, folder: Path, background: bool) -> None:
        self.folder = folder / "checkpoints"
        self.table = Lines(folder / "steps.csv")
        (folder / "config.toml").touch()
        (folder / "run.lock").touch()
        self.complaints = Complaints()
        self.old = state_at(OLD)
        self.new = state_at(NEW)
        self.now = 0.0
        self.saver = saver_of(
            self.folder,
            sync=Ground(RunDir(folder), self, ExitStack()),
            background=background,
            clock=lambda: self.now,
        )

    def sync(self) -> OSError | None:
        return self.table.renew() or self.table.sync()

    def begin(self) -> None:
        self.table.add(ROWS * OLD)
        self.saver.save(self.old)

    def save(self) -> None:
        """One table row for each step, then the new state, and the end of the run."""
        self.table.add(ROWS * (NEW - OLD))
        self.saver.save(self.new)
        self.saver.wait()


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[..., Run]:
    """A copy of a run that has begun, for each trial."""
    tmp_path = tmp_path.resolve()
    first = tmp_path / "first"
    first.mkdir()
    with installed(Disk(tmp_path)):
        Run(first, background=False).begin()

    def copy(background: bool, kind: type[Run] = Run) -> Run:
        shutil.rmtree(tmp_path / "trial", ignore_errors=True)
        shutil.copytree(first, tmp_path / "trial")
        return kind(tmp_path / "trial", background)

    return copy


def assert_rows_are_there(run: Run) -> None:
    """Every row that the newest checkpoint counts is in the table."""
    counted = read_counters(newest_sound(run.folder)).batch
    rows = (run.folder.parent / "steps.csv").read_bytes()
    assert rows.count(ROWS.encode()) >= counted


def refused(run: Run, at: int, error: int) -> bool:
    """Let call ``at`` fail, then save once more; whether there was such a call."""
    strike = Strike(at, error)
    with installed(Disk(run.folder.parent, strike)):
        run.save()
    assert found_after(run) in (bits(run.old), bits(run.new))
    assert_rows_are_there(run)
    with installed(Disk(run.folder.parent)):
        run.saver.save(run.new)
        run.saver.wait()
    assert loaded(run.folder) == bits(run.new)
    assert [*run.folder.iterdir()] == [newest_sound(run.folder)]
    assert_rows_are_there(run)
    return strike.count >= at


def killed(run: Run, at: int) -> bool:
    """Let a process die before call ``at``; whether there was such a call."""
    child = os.fork()
    if not child:
        try:
            with installed(Disk(run.folder.parent, Strike(at, None))):
                run.save()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 9


def until_the_end(trial: Callable[[int], bool], every: int = 1) -> int:
    """Number of trials, at ``every`` so many calls, until there is none to strike."""
    at = every
    while trial(at):
        at += every
    assert at > 60
    return at // every - 1


class Again(Run):
    """A run that is about to save the step anew of which it has a checkpoint."""

    def __init__(self, folder: Path, background: bool) -> None:
        super().__init__(folder, background)
        self.new = changed(state_at(OLD))


def found_after(run: Run) -> str:
    """The bits that a resumed run begins with; who only looks sees the same."""
    place = RunDir(run.folder.parent)
    seen = (newest_sound(run.folder) / MANIFEST).read_bytes()
    with place.lock():
        name, _ = newest_of(place, ALONE)
    assert (run.folder / name / MANIFEST).read_bytes() == seen
    assert not name.startswith(REPLACED)  # which the next save would rename
    return loaded(run.folder)


def again_killed(fresh, background: bool) -> Callable[[int], bool]:
    def trial(at: int) -> bool:
        run = fresh(background, Again)
        died = killed(run, at)
        found = found_after(run)
        assert found in (bits(run.old), bits(run.new))
        assert died or found == bits(run.new)
        return died

    return trial


@pytest.mark.parametrize(
    "error", mostly_slow([*ERRORS.values(), None], [errno.ENOSPC, None])
)
def test_one_of_the_same_step_is_replaced_by_renames_that_may_fail(
    fresh, promise, error
) -> None:
    """Or be the last: each of the calls around them."""
    first, trials = fresh(False, Again), 0
    with installed(Disk(first.folder.parent)) as disk:
        first.save()
    changes = [call for call in disk.calls if call.split()[0] not in LOOKING]
    calls = disk.calls if error else changes
    renames = [n for n, call in enumerate(calls, 1) if call.startswith("rename")]
    assert len(renames) >= 3
    for at in range(renames[0], renames[-1] + 2):
        run = fresh(False, Again)
        assert refused(run, at, error) if error else again_killed(fresh, False)(at)
        trials += 1
    promise("R2", trials)


@pytest.mark.slow
@pytest.mark.parametrize("background", [False, True])
def test_any_call_may_be_the_last_where_one_of_the_same_step_is_replaced(
    fresh, promise, background
) -> None:
    promise("R2", until_the_end(again_killed(fresh, background)))


def test_calls_of_a_save_may_fail(fresh, promise) -> None:
    error = ERRORS["ENOSPC"]
    promise("R2", until_the_end(lambda at: refused(fresh(False), at, error), 2))


def test_calls_of_a_save_in_the_background_may_fail(fresh, promise) -> None:
    error = ERRORS["EIO"]
    promise("R2", until_the_end(lambda at: refused(fresh(True), at, error), 5))


@pytest.mark.slow
@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("error", ERRORS)
def test_every_call_of_a_save_may_fail(fresh, promise, error, background) -> None:
    number = ERRORS[error]
    promise("R2", until_the_end(lambda at: refused(fresh(background), at, number)))


EVERY = [
    pytest.param(5, False),
    pytest.param(1, False, marks=pytest.mark.slow),
    pytest.param(1, True, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("every", "background"), EVERY)
def test_a_call_of_a_save_may_be_the_last(fresh, promise, known, every, background):
    def trial(at: int) -> bool:
        run = fresh(background)
        died = killed(run, at)
        found = known[found_after(run)]
        assert died or found == NEW
        assert_rows_are_there(run)
        return died

    promise("R2", until_the_end(trial, every))


@pytest.mark.slow
def test_what_a_dead_process_left_is_swept_by_the_next_save(fresh, promise) -> None:
    def trial(at: int) -> bool:
        run = fresh(False)
        died = killed(run, at)
        with installed(Disk(run.folder.parent)):
            run.saver.save(run.new)
        assert not list(run.folder.glob(f"{ASIDE}*"))
        assert loaded(run.folder) == bits(run.new)
        return died

    promise("R2", until_the_end(trial))
