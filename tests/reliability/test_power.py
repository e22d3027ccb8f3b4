"""Power fails at any instant of a save: what is found then loads, as old or as new."""

import errno
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from slangmod.commands.resume import newest_of
from slangmod.files import ASIDE, write_text
from slangmod.growing import Growing
from slangmod.parallel.team import ALONE
from slangmod.runs.directory import RunDir
from slangmod.training.checkpoint import (
    checkpoint_path,
    load_checkpoint,
    newest_sound,
    step_of,
)
from slangmod.training.manifest import MANIFEST
from slangmod.training.saver import Saver
from tests.cases import mostly_slow
from tests.reliability.faulty_disk import Disk, installed
from tests.reliability.power import Journal, put
from tests.reliability.states import (
    NEW,
    OLD,
    bits,
    changed,
    saver_of,
    state_at,
)

ROW = b"a row of a table\n"
AGAIN = "again"
"""The old step with other weights, in whose place it was."""
Found = int | str | None


def found(tree: dict[str, bytes], place: Path) -> Found:
    """What is found: OLD, NEW, AGAIN, or None where there is no checkpoint.

    Who only looks finds the same as who goes on with the run.
    """
    place.mkdir()
    try:
        put(tree, place)
        run = RunDir.of(place, "first")
        if not run.has_checkpoints():
            return None
        seen = (newest_sound(run.checkpoints) / MANIFEST).read_bytes()
        with installed(Disk(place)), run.lock():
            name, _ = newest_of(run, ALONE)
        newest = run.checkpoints / name
        assert (newest / MANIFEST).read_bytes() == seen
        assert newest == checkpoint_path(run.checkpoints, step_of(newest))
        load_checkpoint(newest, state := state_at(1))
        step = state.counters.step
        if bits(state) == bits(changed(state_at(OLD))):
            return AGAIN
        assert bits(state) == bits(state_at(step))
        rows = tree["runs/first/steps.csv"]
        assert rows.startswith(ROW * step)  # all that it counts
        return step
    finally:
        shutil.rmtree(place)


class Crashes:
    """Counts what is found after crashes between the calls of ``save``."""

    def __init__(self, root: Path, place: Path, every: int) -> None:
        self.journal = Journal(root)
        self.place, self.every = place, every
        self.calls = self.trials = 0
        self.steps: set[Found] = set()

    def after(self, name: str, path: Path, detail: object = None) -> None:
        self.journal.note(name, path, detail)
        self.calls += 1
        if self.calls % self.every == 0 or name == "rename":
            self.look()

    def look(self) -> set[Found]:
        """Crash in all ways that are possible now; -> what is found."""
        trees = list(self.journal.crashes())
        self.trials += len(trees)
        steps = {found(tree, self.place) for tree in trees}
        self.steps |= steps
        return steps


class Power:
    """A run in a new working directory; nothing of either has been synced before."""

    def __init__(self, tmp_path: Path, every: int = 1) -> None:
        root = tmp_path.resolve() / "disk"
        root.mkdir()
        self.run = RunDir.of(root, "first")
        self.disk = Disk(root)
        self.crashes = Crashes(root, tmp_path / "found", every)

    def begin(self, begun: bool, **options: bool) -> Saver:
        """What the run saves with; the old state is, if it has ``begun``."""
        write_text(self.run.config, "")
        table = Growing(self.run.steps)
        saver = saver_of(self.run.checkpoints, sync=table.sync)
        if begun:
            table.add(ROW * OLD)
            saver.save(state_at(OLD))
        table.add(ROW * (NEW - OLD if begun else NEW))
        return saver_of(self.run.checkpoints, sync=table.sync, **options)


class EndOf:
    """Strikes once ``path`` has its name and its folder is about to be synced."""

    def __init__(self, path: Path, dies: bool) -> None:
        self.path, self.dies = path, dies
        self.named = self.done = False

    def __call__(self, name: str, path: Path) -> None:
        if name == "rename" and path.name.endswith(f"-{self.path.name}"):
            self.named = path.name.startswith(ASIDE)
        if self.named and not self.done and (name, path) == ("fsync", self.path.parent):
            self.done = True
            raise KeyboardInterrupt if self.dies else OSError(errno.EIO, "refused")


def crash_all_along(
    tmp_path: Path,
    begun: bool,
    every: int,
    again: bool = False,
    background: bool = False,
) -> Crashes:
    """Save the new state, after the old one where the run has ``begun``.

    Or the old step ``again``, with other weights.
    """
    power = Power(tmp_path, every)
    crashes, disk = power.crashes, power.disk
    disk.after = crashes.journal.note
    with installed(disk), power.run.lock():
        saver = power.begin(begun, background=background)
        # The looks themselves touch no file below the root.
        disk.after = crashes.after
        saver.save(changed(state_at(OLD)) if again else state_at(NEW))
        saver.wait()
        # What has been saved is there, whatever else has vanished.
        assert crashes.look() == {AGAIN if again else NEW}
    return crashes


@pytest.mark.parametrize("begun", [True, False])
def test_old_or_new_is_found_when_power_fails(tmp_path, promise, begun) -> None:
    crashes = crash_all_along(tmp_path, begun, every=25)
    assert crashes.steps == {OLD if begun else None, NEW}
    promise("R3", crashes.trials)


@pytest.mark.parametrize("every", [25, pytest.param(1, marks=pytest.mark.slow)])
def test_old_or_new_is_found_where_one_step_is_saved_again(
    tmp_path, promise, every
) -> None:
    crashes = crash_all_along(tmp_path, begun=True, every=every, again=True)
    assert crashes.steps == {OLD, AGAIN}
    promise("R3", crashes.trials)


@pytest.mark.parametrize("every", [40, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("again", mostly_slow([False, True], [True]))
def test_old_or_new_is_found_where_a_thread_saves(
    tmp_path, promise, again, every
) -> None:
    crashes = crash_all_along(tmp_path, True, every, again, background=True)
    assert crashes.steps == {OLD, AGAIN if again else NEW}
    promise("R3", crashes.trials)


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("again", mostly_slow((False, True), (False,)))
def test_what_has_its_name_and_was_never_synced_is_before_older_ones_go(
    tmp_path, promise, again, dies
) -> None:
    """The sync is refused, or the process dies before it; then it is saved anew."""
    power = Power(tmp_path, every=20)
    crashes, disk, run = power.crashes, power.disk, power.run
    new, wanted = state_at(NEW), NEW
    if again:
        new, wanted = changed(state_at(OLD)), AGAIN
    strike = EndOf(checkpoint_path(run.checkpoints, new.counters.step), dies)
    disk.after = crashes.journal.note
    with installed(disk):
        with run.lock(), suppress(KeyboardInterrupt):
            saver = power.begin(begun=True)
            disk.before = strike
            saver.save(new)
            assert saver.in_debt
            disk.after = crashes.after
            saver.insist(new)
            assert crashes.look() == {wanted}
        assert strike.done
        disk.after = crashes.after
        with run.lock():
            assert crashes.look() == {wanted}
            saver_of(run.checkpoints).save(new)
            assert crashes.look() == {wanted}
    assert wanted in crashes.steps <= {OLD, wanted}
    promise("R3", crashes.trials)


@pytest.mark.slow
@pytest.mark.parametrize("begun", [True, False])
def test_old_or_new_is_found_after_each_call(tmp_path, promise, begun) -> None:
    crashes = crash_all_along(tmp_path, begun, every=1)
    assert crashes.steps == {OLD if begun else None, NEW}
    promise("R3", crashes.trials)
