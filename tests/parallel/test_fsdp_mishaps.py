"""Where weights are spread, what befalls one process befalls the run."""

import signal

import pytest

from tests.parallel.mishaps import at_rank
from tests.parallel.spreading import MODEL, OPTIMIZER, content, last, spread
from tests.parallel.yard import Yard, assert_alike

pytestmark = pytest.mark.slow

BACKGROUND = ("--checkpoint.background", "true")


def log_of(yard: Yard, name: str) -> str:
    return (yard.run(name) / "train.log").read_text("utf-8")


def assert_same_end(yard: Yard, one: str, other: str) -> None:
    for kind in (MODEL, OPTIMIZER):
        assert content(last(yard.run(one)), kind) == content(
            last(yard.run(other)), kind
        )


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("more", [(), BACKGROUND])
def test_a_full_disk_of_one_puts_a_checkpoint_off(yard: Yard, rank, more) -> None:
    wanted = spread(yard, "bits", 2)
    name = yard.new("full")
    step = 3
    before = at_rank(rank, f"no_room_for({step}, 1)")
    yard.done(2, *yard.train("bits-fsdp", name, *more), before=before)
    said = log_of(yard, name)
    assert said.count("no space left on device") == 1
    assert said.count("no checkpoint this time: training goes on") == 1
    assert said.count("checkpoints are written again") == 1
    assert_same_end(yard, name, wanted.name)
    assert not list((yard.run(name) / "checkpoints").glob(".*"))


@pytest.mark.parametrize("rank", [0, 1])
def test_the_end_of_a_run_waits_for_the_disk_of_each(yard: Yard, rank) -> None:
    wanted = spread(yard, "bits", 2)
    name = yard.new("late")
    before = at_rank(rank, "no_room_for(14, 3)")
    yard.done(2, *yard.train("bits-fsdp", name), before=before)
    assert "no space left on device" in log_of(yard, name)
    assert yard.newest(name) == "step-000000014"
    assert_same_end(yard, name, wanted.name)


def test_a_run_that_is_to_stop_without_checkpoints_stops_everywhere(yard: Yard) -> None:
    spread(yard, "bits", 2)
    name = yard.new("stops")
    before = at_rank(1, "no_room_for(3, 99)")
    words = yard.train("bits-fsdp", name, "--checkpoint.on_error", "stop")
    ended = yard.tries(2, *words, before=before)
    assert ended.codes == [1, 1], ended.errors
    assert ended.told[0].count("checkpoint.on_error = 'stop' ends the run") == 1
    assert ended.told[1] == ""


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("more", [(), BACKGROUND])
def test_one_killed_while_it_saves_leaves_the_older_checkpoint(
    yard: Yard, rank, more
) -> None:
    wanted = spread(yard, "bits", 2)
    name = yard.new("killed")
    before = at_rank(rank, "kill_in_part_of(8)")
    ended = yard.tries(2, *yard.train("bits-fsdp", name, *more), before=before)
    assert ended.codes == [-signal.SIGKILL if one == rank else 1 for one in range(2)]
    assert int(last(yard.run(name)).name[5:]) < 8
    yard.done(2, "resume", "--name", name)
    assert_same_end(yard, name, wanted.name)


def test_a_spike_in_one_takes_all_back(yard: Yard) -> None:
    guard = ("--guard.on_spike", "rewind", "--guard.spike_window", "8")
    before = at_rank(1, "spoil(61, 30.0)")
    names = [yard.new("spiking") for _ in range(2)]
    spread(yard, "adamw", 2)
    for name in names:
        words = yard.train("adamw-fsdp", name, *guard)
        yard.done(2, *words, before=before)
        outcome = yard.outcome(name)
        assert (outcome["spikes"], outcome["rewinds"]) == (1, 1)
    yard.compare(*map(yard.run, names[:1]), names[1])
    replicated = yard.new("spiking")
    yard.done(2, *yard.train("adamw", replicated, *guard), before=before)
    assert_alike(yard.run(replicated), yard.run(names[0]), 1e-5)


def test_a_loss_that_is_not_finite_in_one_is_left_out_by_all(yard: Yard) -> None:
    spread(yard, "adamw", 2)
    name = yard.new("skipping")
    before = at_rank(1, "spoil(7, float('nan'))")
    words = yard.train("adamw-fsdp", name, "--guard.non_finite", "skip")
    yard.done(2, *words, before=before)
    assert yard.outcome(name)["skipped_steps"] == 1


def test_what_cannot_even_be_begun_in_the_background_is_told_at_once(
    yard: Yard,
) -> None:
    spread(yard, "bits", 2)
    name = yard.new("refused")
    before = at_rank(0, "no_place_for(4)")
    words = yard.train("bits-fsdp", name, *BACKGROUND, "--checkpoint.on_error", "stop")
    ended = yard.tries(2, *words, before=before)
    assert ended.codes == [1, 1], ended.errors
    assert "checkpoint.on_error = 'stop' ends the run" in ended.told[0]
    assert yard.outcome(name)["steps"] == 4


def test_a_run_that_takes_the_place_of_another_begins_alike_everywhere(
    yard: Yard,
) -> None:
    wanted, name = spread(yard, "bits", 2), yard.new("anew")
    words = yard.train("bits-fsdp", name, *BACKGROUND, "--checkpoint.keep", "20")
    yard.done(2, *words)
    more = ("--overwrite", "--parallel.timeout", "30s")
    yard.done(2, *words, *more, before=at_rank(0, "move_late()"))
    assert_same_end(yard, name, wanted.name)


def test_folders_that_machines_do_not_share_are_refused(yard: Yard) -> None:
    name = yard.new("apart")
    before = (
        "import os\nif os.environ['RANK'] == '1':\n"
        "    import shutil\n"
        "    from slangmod.commands import joining\n"
        "    joining.LATEST = 1.0\n"
        "    kept = os.getcwd() + '/../apart'\n"
        "    shutil.copytree('.', kept, ignore=shutil.ignore_patterns('runs'))\n"
        "    os.environ['SLM_WORKDIR'] = kept\n"
    )
    ended = yard.tries(2, *yard.train("adamw", name), before=before)
    assert ended.codes == [2, 2], ended.errors
    assert "put workdir on a disk that all machines share" in ended.told[0]
    assert not yard.run(name).exists()
