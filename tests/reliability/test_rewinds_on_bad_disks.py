"""A run goes back from a spike on a disk that refuses as on one that does not."""

import errno
import os
from pathlib import Path

import pytest

from slangmod.training.trainer import Trainer
from tests.reliability.guarded import Lab, bits_of, rows, tripled


@pytest.fixture
def spiked(lab: Lab) -> dict:
    """What a run leaves that goes back from step 22 to step 18, its disk being good."""
    lab.harm = {42: tripled}
    assert lab.train("whole") == 0
    return bits_of(lab.root("whole"))


def test_rows_that_wait_for_room_are_taken_back_too(lab, promise, spiked) -> None:
    """From before step 20 on, which is past the checkpoint that is gone back to."""
    write, take_step, taken = os.write, Trainer.take_step, 0

    def refusing(descriptor: int, content: bytes) -> int:
        file = Path(f"/proc/self/fd/{descriptor}").readlink()
        if 19 < taken < 30 and file.suffix == ".csv":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, content)

    def counted(*args) -> None:
        nonlocal taken
        taken += 1
        take_step(*args)

    with lab.patch.context() as patch:
        patch.setattr("os.write", refusing)
        patch.setattr(Trainer, "take_step", counted)
        assert lab.train("parts") == 0
    assert len(rows(lab.root("parts") / "steps.csv")) == 99
    assert bits_of(lab.root("parts")) == spiked
    promise("R9", 1)
