"""Whatever happens to one process, all of them do the same at the same step."""

import json
import signal
import time

import pytest

from slangmod.training.checkpoint import list_checkpoints
from tests.parallel.mishaps import at_rank
from tests.parallel.yard import Yard, assert_alike, assert_close, rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def incidents(yard: Yard, name: str) -> list[dict]:
    lines = (yard.run(name) / "incidents.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def log_of(yard: Yard, name: str) -> str:
    return (yard.run(name) / "train.log").read_text("utf-8")


def test_patience_ends_at_the_same_step(yard: Yard) -> None:
    yard.add(
        "impatient",
        """
        [train]
        learning_rate = 0.3
        patience = 2
        max_steps = 200
        """,
    )
    one, two = yard.whole("impatient", 0), yard.whole("impatient", 2)
    outcomes = [yard.outcome(run.name) for run in (one, two)]
    assert outcomes[0]["reason"] == outcomes[1]["reason"] == "patience"
    for name in ("steps", "epochs", "best_step"):
        assert outcomes[0][name] == outcomes[1][name]
    assert_alike(one, two, 1e-3)


def test_time_is_the_leaders(yard: Yard) -> None:
    name = yard.new("timed")
    more = ("--train.max_time", "2s", "--train.max_steps", "100000")
    yard.done(2, *yard.train("adamw", name, *more, "--train.max_epochs", "100000"))
    outcome = yard.outcome(name)
    assert outcome["reason"] == "max_time"
    assert outcome["steps"] > 2
    assert int(rows(yard.run(name))[-1]["step"]) == outcome["steps"]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_stops_all_after_the_step(yard: Yard, rank: int) -> None:
    name = yard.new("stopped")
    before = at_rank(rank, "term_at(6)")
    ended = yard.tries(2, *yard.train("adamw", name), before=before)
    assert ended.codes == [75, 75], ended.errors
    assert ended.told[0].count("stopped by SIGTERM with a checkpoint at step 6") == 1
    assert ended.told[1] == ""
    assert yard.newest(name) == "step-000000006"
    assert yard.outcome(name)["reason"] == "stopped"


def test_a_second_interrupt_that_torchrun_passes_on_breaks_nothing_off(
    yard: Yard,
) -> None:
    name = yard.new("interrupted")
    before = at_rank(0, "interrupt_twice_at(4)") + at_rank(1, "interrupt_twice_at(4)")
    ended = yard.tries(2, *yard.train("adamw", name), before=before)
    assert ended.codes == [130, 130], ended.errors
    assert yard.newest(name) == "step-000000004"


def test_signals_at_any_time_stop_all_alike(yard: Yard) -> None:
    for delay in (0.05, 0.3, 0.7):
        name = yard.new("any-time")

        def disturb(pids: list[int], name: str = name, delay: float = delay) -> None:
            while not list_checkpoints(yard.run(name) / "checkpoints"):
                time.sleep(0.02)
            time.sleep(delay)
            signal.pidfd_send_signal(descriptors(pids)[1], signal.SIGTERM)

        ended = yard.tries(2, *yard.train("bits", name), disturb=disturb)
        assert ended.codes in ([75, 75], [0, 0]), ended.errors
        yard.done(2, "resume", "--name", name)
        yard.compare(yard.whole("bits", 2), name, stopped=True)


def descriptors(pids: list[int]) -> list[int]:
    import os

    return [os.pidfd_open(pid) for pid in pids]


def test_a_loss_that_is_not_finite_in_one_is_left_out_by_all(yard: Yard) -> None:
    name = yard.new("skipping")
    before = at_rank(1, "spoil(7, float('nan'))")
    words = yard.train("adamw", name, "--guard.non_finite", "skip")
    yard.done(2, *words, before=before)
    assert yard.outcome(name)["skipped_steps"] == 1
    assert [one["step"] for one in incidents(yard, name)] == [4]
    kept = json.loads((yard.run(name) / "bad" / "step-000000004.json").read_text())
    assert [len(batch["rows"]) for batch in kept["batches"]] == [16, 16]


def test_a_loss_that_is_not_finite_in_one_ends_all(yard: Yard) -> None:
    name = yard.new("diverging")
    before = at_rank(1, "spoil(7, float('inf'))")
    ended = yard.tries(2, *yard.train("adamw", name), before=before)
    assert ended.codes == [1, 1], ended.errors
    assert ended.told[0].count("is not finite; it has not reached the weights") == 1
    assert ended.told[1] == ""
    assert yard.outcome(name)["reason"] == "failed"


def test_a_spike_in_one_takes_all_back(yard: Yard) -> None:
    name = yard.new("spiking")
    guard = ("--guard.on_spike", "rewind", "--guard.spike_window", "8")
    before = at_rank(1, "spoil(61, 30.0)")
    yard.done(2, *yard.train("adamw", name, *guard), before=before)
    outcome = yard.outcome(name)
    assert (outcome["spikes"], outcome["rewinds"]) == (1, 1)
    assert (outcome["reason"], outcome["steps"]) == ("max_steps", 50)
    again = yard.new("spiking-again")
    yard.done(2, *yard.train("adamw", again, *guard), before=before)
    yard.compare(yard.run(name), again)


def test_what_one_warns_of_reaches_the_log_with_its_rank(yard: Yard) -> None:
    name = yard.new("warned")
    ended = yard.done(2, *yard.train("bits", name), before=at_rank(1, "warn_at(3)"))
    assert "WARNING  rank 1: how odd" in log_of(yard, name)
    assert ended.told[1] == ""
    alike = yard.new("warned-alike")
    both = at_rank(0, "warn_at(3)") + at_rank(1, "warn_at(3)")
    yard.done(2, *yard.train("bits", alike), before=both)
    assert log_of(yard, alike).count("how odd") == 1


def test_what_one_fails_of_is_told_with_its_rank_and_ends_all(yard: Yard) -> None:
    name = yard.new("failing")
    before = at_rank(1, "fail_at(3)")
    ended = yard.tries(2, *yard.train("bits", name), before=before)
    assert ended.codes == [1, 1], ended.errors
    reason = "another process of the run has failed: rank 1: "
    assert f"slangmod: error: {reason}" in ended.told[0]
    assert "Input/output error" in ended.told[0]
    assert reason in yard.outcome(name)["message"]
    assert "rank 1: /mnt/corpus: input/output error" in ended.told[1]


def test_a_hang_of_one_is_noticed_by_all(yard: Yard) -> None:
    name = yard.new("hanging")
    before = at_rank(1, "hang_at(5)")
    words = yard.train("adamw", name, "--guard.hang_time", "2s")
    ended = yard.tries(2, *words, before=before)
    assert ended.codes == [1, 1], ended.errors
    files = sorted(path.name for path in yard.run(name).glob("hang-*"))
    assert files == ["hang-000000004-rank-1.txt", "hang-000000004.txt"]
    assert "time.sleep" in (yard.run(name) / files[0]).read_text("utf-8")
    assert "it hangs" in log_of(yard, name)
    assert "slangmod: rank 1: nothing was done for" in ended.told[1]


def test_a_killed_one_ends_all_within_a_minute(yard: Yard) -> None:
    for rank in (0, 1, 2):
        name, begun = yard.new("killed"), time.monotonic()
        before = at_rank(rank, "kill_at(5)")
        words = yard.train("bits", name)
        ended = yard.tries(4, *words, before=before)
        assert time.monotonic() - begun < 60
        codes = [-signal.SIGKILL if one == rank else 1 for one in range(4)]
        assert ended.codes == codes, ended.errors
        yard.done(4, "resume", "--name", name)
        yard.compare(yard.whole("bits", 4), name)


def test_as_many_rows_are_computed_at_a_time_as_fit_everywhere(yard: Yard) -> None:
    name = yard.new("fitting")
    words = yard.train("adamw", name, "--train.batch_size", "auto")
    before = at_rank(0, "fewer_rows(4)") + at_rank(1, "fewer_rows(2)")
    yard.done(2, *words, before=before)
    assert "rows_at_once = 2" in (yard.run(name) / "summary.toml").read_text("utf-8")
    assert_alike(yard.whole("adamw", 0), yard.run(name), 1e-5)
    measured = yard.new("measured")
    yard.done(2, *yard.train("adamw", measured, "--train.batch_size", "auto"))
    # Losses of single mini-batches are shares of that of several computed at once.
    alone, together = (
        [row["test_loss"] for row in rows(run, "epochs")]
        for run in (yard.whole("adamw", 0), yard.run(measured))
    )
    assert_close(alone, together, 1e-5)
