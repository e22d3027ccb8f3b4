"""What goes wrong is logged, and kept once, whatever is not finite in it."""

import json
import logging
import math
from pathlib import Path

import pytest

from slangmod.runs.incidents import Incidents
from slangmod.runs.progress import LogLines, numbers
from slangmod.training.events import BadStep, EpochDone, Rewind, Spike, StepDone

SPIKE = Spike(9, 18, 5.0, 2.0, 0.1, 2.6, 1)
REWIND = Rewind(9, 6, 12, 18, 1)


def bad(loss: float, in_a_row: int = 1) -> BadStep:
    return BadStep(4, 1, 6, (3, 3), (1.5, loss), math.inf, 0.1, 1, in_a_row, 2)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_each_incident_is_a_line_of_json_without_nan(tmp_path) -> None:
    path = tmp_path / "incidents.jsonl"
    keep = Incidents(path)
    for event in (bad(math.nan), SPIKE, REWIND):
        keep(event)
    keep.close()
    first, *others = lines(path)
    assert (first["incident"], first["step"]) == ("bad step", 4)
    assert (first["losses"], first["grad_norm"]) == ([1.5, "nan"], "inf")
    assert [line["incident"] for line in others] == ["spike", "rewind"]


def test_what_happens_again_after_a_kill_is_kept_once(tmp_path) -> None:
    path = tmp_path / "incidents.jsonl"
    for event in (SPIKE, REWIND, SPIKE):
        keep = Incidents(path)
        keep(event)
        keep.close()
    assert [line["incident"] for line in lines(path)] == ["spike", "rewind"]


def test_a_torn_last_line_is_dropped(tmp_path) -> None:
    path = tmp_path / "incidents.jsonl"
    path.write_text('{"incident": "spike"}\n{"incident": "rew', "utf-8")
    keep = Incidents(path)
    keep(REWIND)
    keep.close()
    assert [line["incident"] for line in lines(path)] == ["spike", "rewind"]


def test_nothing_wrong_leaves_no_file(tmp_path) -> None:
    keep = Incidents(tmp_path / "incidents.jsonl")
    keep(StepDone(1, 1, 1, 1, 2.0, 0.1, 0.5, 1.0))
    keep.sync()
    keep.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (bad(math.nan), "step 4: loss nan, gradient norm inf is not finite: left out"),
        (SPIKE, "step 9: loss 5.0000 is a spike: above 2.6000"),
        (REWIND, "going back from step 9 to the checkpoint of step 6"),
    ],
)
def test_each_incident_is_one_warning(tmp_path, caplog, event, said) -> None:
    with caplog.at_level(logging.WARNING, "slangmod"):
        Incidents(tmp_path / "incidents.jsonl")(event)
    (record,) = caplog.records
    assert record.getMessage().startswith(said)


def test_one_bad_step_too_many_is_told_by_what_ends_the_run(tmp_path, caplog) -> None:
    Incidents(tmp_path / "incidents.jsonl")(bad(math.nan, in_a_row=3))
    assert caplog.records == []


def test_a_loss_that_is_not_known_is_not_shown(caplog) -> None:
    row = StepDone(4, 1, 8, 24, None, 0.1, None, 1.0)
    assert "loss" not in numbers(row, 1.0)
    with caplog.at_level(logging.INFO, "slangmod"):
        LogLines()(EpochDone(1, 4, 24, None, 2.0, 0.1, 1.0, best=True))
    assert "train   none | test 2.0000" in caplog.records[0].getMessage()
