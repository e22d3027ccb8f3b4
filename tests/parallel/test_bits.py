"""As many processes as before end with the same bits, wherever a run was resumed."""

import pytest

from tests.parallel.yard import Yard, assert_alike, hook, rows

STOPPED = "signal after step"


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("config", ["bits", "stages"])
def test_two_runs_by_as_many_processes_are_equal(yard: Yard, config, size) -> None:
    name = yard.new("again")
    yard.done(size, *yard.train(config, name))
    yard.compare(yard.whole(config, size), name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "size", "steps"),
    [("bits", 2, (1, 4, 5, 9)), ("bits", 4, (2, 7)), ("stages", 4, (3, 6, 9))],
)
def test_a_run_resumed_by_as_many_processes_has_the_same_bits(
    yard: Yard, config, size, steps
) -> None:
    for step in steps:
        name = yard.new("resumed")
        before = hook(STOPPED, step, rank=size - 1)
        ended = yard.tries(size, *yard.train(config, name), before=before)
        assert ended.codes == [75] * size, ended.errors
        assert yard.newest(name) == f"step-{step:09d}"
        yard.done(size, "resume", "--name", name)
        yard.compare(yard.whole(config, size), name, stopped=True)


@pytest.mark.slow
def test_dropout_is_drawn_anew_by_each_process(yard: Yard) -> None:
    one, two = (rows(yard.whole("bits", size)) for size in (1, 2))
    assert [row["tokens"] for row in one] == [row["tokens"] for row in two]
    assert one[-1]["loss"] != two[-1]["loss"]


@pytest.mark.slow
@pytest.mark.parametrize(("config", "tolerance"), [("adamw", 1e-5), ("muon", 1e-3)])
def test_a_run_goes_on_with_any_number_of_processes(
    yard: Yard, config, tolerance
) -> None:
    name = yard.new("moving")
    for size, steps in ((2, 11), (0, 23), (4, 37), (2, 50)):
        begins = yard.train(config, name), ("resume", "--name", name)
        words = (*begins[steps > 11], "--train.max_steps", str(steps))
        if size:
            yard.done(size, *words)
        else:
            assert yard.alone(*words) == 0
        assert yard.newest(name) == f"step-{steps:09d}"
    assert_alike(yard.whole(config, 2), yard.run(name), tolerance)
