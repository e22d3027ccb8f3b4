"""Any number of processes learn the same from the same rows, and score the same."""

import pytest
import tomli

from slangmod.runs.summary import read_summary
from tests.parallel.yard import Yard, assert_alike, assert_close, rows

TOLERANCE = {"adamw": 1e-5, "adafactor": 1e-5, "muon": 1e-3}
"""Of losses, relative; muon's iteration runs in bfloat16."""


def assert_scored_alike(one, other) -> None:
    """The figures of the validation split."""
    left, right = (
        read_summary(run / "summary.toml")["validation"] for run in (one, other)
    )
    assert left["tokens"] == right["tokens"]
    assert_close(
        [str(value) for value in left.values()],
        [str(value) for value in right.values()],
        1e-5,
    )


def test_two_processes_learn_what_one_does(yard: Yard) -> None:
    one, two = yard.new("one"), yard.new("two")
    short = ("--train.max_steps", "6")
    assert yard.alone(*yard.train("adamw", one, *short)) == 0
    ended = yard.done(2, *yard.train("adamw", two, *short))
    assert_alike(yard.run(one), yard.run(two), 1e-5)
    assert_scored_alike(yard.run(one), yard.run(two))
    assert "2 x cpu, 1 threads each" in ended.told[0]
    assert ended.told[1] == ""


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("config", TOLERANCE)
def test_losses_agree_over_fifty_steps(yard: Yard, config: str, size: int) -> None:
    alone, together = yard.whole(config, 0), yard.whole(config, size)
    assert len(rows(alone)) >= 50
    assert_alike(alone, together, TOLERANCE[config])


@pytest.mark.slow
def test_one_process_under_torchrun_has_the_bits_of_one_without(yard: Yard) -> None:
    differing = yard.whole("bits", 0), yard.whole("bits", 1)
    assert rows(differing[0])[-1]["loss"] == rows(differing[1])[-1]["loss"]


@pytest.mark.slow
@pytest.mark.parametrize("split", ["test", "validation"])
def test_equal_weights_score_the_same_by_any_number(yard: Yard, split) -> None:
    words = ("evaluate", "--name", yard.whole("adamw", 0).name, "--split", split)
    scores = []
    for size in (1, 2, 4):
        ended = yard.done(size, *words)
        assert ended.printed[1:] == [""] * (size - 1)
        scores.append(list(tomli.loads(ended.printed[0])[split].values()))
    assert len(scores[0]) == 7
    for other in scores[1:]:
        assert_close([str(v) for v in scores[0]], [str(v) for v in other], 1e-6)
