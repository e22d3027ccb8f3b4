"""Power fails at any instant of a save: what is found then loads, as old or as new."""

import shutil
from pathlib import Path

import pytest

from slangmod.files import REPLACED, sweep_asides
from slangmod.growing import Growing
from slangmod.training.checkpoint import newest_sound
from slangmod.training.stored import read_counters
from tests.reliability.faulty_disk import Disk, installed
from tests.reliability.power import Journal, put
from tests.reliability.states import (
    NEW,
    OLD,
    bits,
    changed,
    loaded,
    saver_of,
    state_at,
)

ROW = b"a row of a table\n"
AGAIN = "again"
"""The old step with other weights, in whose place it was."""


def found(tree: dict[str, bytes], place: Path) -> int | str | None:
    """What is found: OLD, NEW, AGAIN, or None where nothing was ever finished."""
    place.mkdir()
    try:
        put(tree, place)
        folder = place / "run" / "checkpoints"
        if not any(mark in path for path in tree for mark in ("/step-", REPLACED)):
            return None
        sweep_asides(folder)  # as whoever resumes does
        step = read_counters(newest_sound(folder)).step
        if loaded(folder) == bits(changed(state_at(OLD))):
            return AGAIN
        assert loaded(folder) == bits(state_at(step))
        rows = tree["run/steps.csv"]
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
        self.steps: set[int | str | None] = set()

    def after(self, name: str, path: Path, detail: object = None) -> None:
        self.journal.note(name, path, detail)
        self.calls += 1
        if self.calls % self.every == 0 or name == "rename":
            self.look()

    def look(self) -> set[int | str | None]:
        """Crash in all ways that are possible now; -> what is found."""
        trees = list(self.journal.crashes())
        self.trials += len(trees)
        steps = {found(tree, self.place) for tree in trees}
        self.steps |= steps
        return steps


def crash_all_along(
    tmp_path: Path, begun: bool, every: int, again: bool = False
) -> Crashes:
    """Save the new state, after the old one where the run has ``begun``.

    Or the old step ``again``, with other weights.
    """
    new = changed(state_at(OLD)) if again else state_at(NEW)
    root = tmp_path.resolve() / "disk"
    root.mkdir()
    run = root / "run"
    run.mkdir()
    table = Growing(run / "steps.csv")
    saver = saver_of(run / "checkpoints", sync=table.sync)
    disk = Disk(root)
    with installed(disk):
        if begun:
            table.add(ROW * OLD)
            saver.save(state_at(OLD))
    crashes = Crashes(root, tmp_path / "found", every)
    with installed(disk):
        # The looks themselves touch no file below the root.
        disk.after = crashes.after
        table.add(ROW * (NEW - OLD if begun else NEW))
        saver.save(new)
    # What save has returned from is there, whatever else has vanished.
    assert crashes.look() == {AGAIN if again else NEW}
    return crashes


@pytest.mark.parametrize("begun", [True, False])
def test_old_or_new_is_found_when_power_fails(tmp_path, promise, begun) -> None:
    crashes = crash_all_along(tmp_path, begun, every=5)
    assert crashes.steps == {OLD if begun else None, NEW}
    promise("R3", crashes.trials)


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_old_or_new_is_found_where_one_step_is_saved_again(
    tmp_path, promise, every
) -> None:
    crashes = crash_all_along(tmp_path, begun=True, every=every, again=True)
    assert crashes.steps == {OLD, AGAIN}
    promise("R3", crashes.trials)


@pytest.mark.slow
@pytest.mark.parametrize("begun", [True, False])
def test_old_or_new_is_found_after_each_call(tmp_path, promise, begun) -> None:
    crashes = crash_all_along(tmp_path, begun, every=1)
    assert crashes.steps == {OLD if begun else None, NEW}
    promise("R3", crashes.trials)
