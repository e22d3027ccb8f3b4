"""Trouble that lasts is told once a minute, all of it."""

import errno
import logging
import os
from itertools import pairwise
from pathlib import Path

from slangmod.complaints import Complaints
from slangmod.errors import RunError
from slangmod.runs.durable import Lines
from slangmod.runs.logfile import RunLog


def test_however_many_complain_there_is_one_warning_a_minute(caplog) -> None:
    now, told_at = [0.0], []
    complain = Complaints(lambda: now[0])
    for second in range(600):
        now[0] = float(second)
        before = len(caplog.records)
        for place in ("steps.csv", "train.log", "checkpoints"):
            complain(place, f"{place}: no space left")
        told_at += [second] * (len(caplog.records) - before)
    assert told_at == list(range(0, 600, 60))
    assert all(later - earlier >= 60 for earlier, later in pairwise(told_at))
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_all_that_was_lost_is_told_in_one_warning_at_the_end(
    tmp_path, monkeypatch, caplog
) -> None:
    write, full = os.write, []

    def refusing(descriptor: int, content: bytes) -> int:
        file = Path(f"/proc/self/fd/{descriptor}").readlink()
        if full and file.is_relative_to(tmp_path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content)

    monkeypatch.setattr("os.write", refusing)
    log = RunLog()
    log.open(tmp_path / "train.log")
    tables = [Lines(tmp_path / name, log.complaints) for name in ("a.csv", "b.csv")]
    full.append(True)
    for lines in tables:
        lines.add("1,2")
    log.end_with(RunError("it failed"))
    for part in (*tables, log):
        part.close()
    told = [r.getMessage() for r in caplog.records if r.msg.startswith("lost: ")]
    assert len(told) == 1
    for name in ("a.csv", "b.csv", "train.log"):
        assert f"{name}: its last lines (No space left on device)" in told[0]
    alone = Lines(tmp_path / "c.csv")
    alone.add("1,2")
    alone.close()
    assert caplog.records[-1].getMessage().startswith("lost: ")
    assert "c.csv: its last lines" in caplog.records[-1].getMessage()


def test_what_was_held_back_is_named_in_the_next_warning_and_only_there(caplog):
    now = [0.0]
    complain = Complaints(lambda: now[0])
    complain("steps.csv", "steps.csv: no space left")
    complain("checkpoint", "checkpoint: no space left")
    complain("log", "log: no space left")
    now[0] = 61.0
    complain("log", "log: no space left")
    now[0] = 122.0
    complain("log", "log: 100% full")
    assert [record.getMessage() for record in caplog.records] == [
        "steps.csv: no space left",
        "log: no space left (the same for checkpoint)",
        "log: 100% full",
    ]


def test_of_many_that_were_held_back_a_few_are_named_and_the_others_counted(caplog):
    now = [0.0]
    complain = Complaints(lambda: now[0])
    for step in range(1000):
        complain(f"step {step}", f"step {step}: no space left")
    now[0] = 61.0
    complain("step 1000", "step 1000: no space left")
    first, second = (record.getMessage() for record in caplog.records)
    assert first == "step 0: no space left"
    assert second == (
        "step 1000: no space left (the same for step 1, step 2, step 3, step 4, step 5 "
        "and 994 others)"
    )
