"""Trouble that lasts is told once a minute, all of it."""

import logging
from itertools import pairwise

from slangmod.complaints import Complaints


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
