"""Readers never block a writer, and never see half a checkpoint."""

import logging
import os
from pathlib import Path

import pytest

from slangmod.training.checkpoint import load_checkpoint, newest_sound
from tests.reliability.states import bits, saver_of, state_at


def saving(folder: Path, times: int) -> None:
    """Save one state after the other, removing all but the newest and the best."""
    saver = saver_of(folder, keep=1)
    state = state_at(1)
    for step in range(2, times + 2):
        state.counters.step = step
        saver.save(state)


def read(folder: Path) -> int:
    """Load the newest checkpoint; -> its step. One removed meanwhile is let go."""
    state = state_at(1)
    while True:
        path = newest_sound(folder)
        try:
            load_checkpoint(path, state)
        except Exception:
            assert not path.exists()
            continue
        return state.counters.step


def read_while_saving(folder: Path, times: int, caplog) -> int:
    saver_of(folder).save(state_at(1))
    child = os.fork()
    if not child:
        try:
            saving(folder, times)
        finally:
            os._exit(0)
    reads, last = 0, 0
    with caplog.at_level(logging.WARNING):
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            step = read(folder)
            assert step >= last
            last = step
            reads += 1
    assert read(folder) == times + 1
    assert not caplog.records
    whole = state_at(1)
    load_checkpoint(newest_sound(folder), whole)
    expected = state_at(1)
    expected.counters.step = times + 1
    assert bits(whole) == bits(expected)
    return reads


def test_readers_see_whole_checkpoints(tmp_path, promise, caplog) -> None:
    promise("R12", read_while_saving(tmp_path / "checkpoints", 20, caplog))


@pytest.mark.slow
def test_readers_see_whole_checkpoints_during_200_saves(tmp_path, promise, caplog):
    promise("R12", read_while_saving(tmp_path / "checkpoints", 200, caplog))
