from concurrent.futures import ThreadPoolExecutor

import pytest

from slangmod.commands.together import alone, launch_in, to_say
from slangmod.errors import LostError, RunError, StoppedError, UserError
from slangmod.parallel import store
from slangmod.parallel.launch import Launch
from tests.parallel.ranks import environment_of, new_store


@pytest.fixture
def launches(monkeypatch):
    """The places of three processes whose store is kept by somebody else."""
    monkeypatch.setattr("slangmod.commands.together.LONGEST", 0.2)
    kept = new_store()
    yield [launch_in(environment_of(rank, 3, kept.port)) for rank in range(3)]
    del kept


def test_outside_torchrun_there_is_no_launch():
    assert launch_in({}) is None
    assert launch_in(environment_of(0, 2, 1, RANK="none")) is None


def test_what_the_leader_has_said_no_other_says(launches):
    error, lines = UserError("a.toml:1: no", "a.toml:2: no"), ["a.toml:1: no"]
    assert to_say(error, lines, launches[0]) == lines
    assert to_say(error, lines, launches[1]) == []
    both = [*lines, "a.toml:2: no"]
    assert to_say(error, both, launches[2]) == ["rank 2: a.toml:2: no"]


def test_what_the_leader_has_not_said_is_said_with_the_rank(launches):
    assert to_say(RunError("no"), ["no"], launches[1]) == ["rank 1: no"]


def test_that_another_has_failed_is_left_to_the_leader_if_it_speaks(launches):
    lost = LostError("gone")
    assert to_say(lost, ["gone"], launches[1]) == ["rank 1: gone"]
    to_say(lost, ["rank 2 is gone"], launches[0])
    assert to_say(lost, ["gone"], launches[1]) == []
    assert to_say(StoppedError("stopped", 75), ["stopped"], launches[2]) == []


def test_errors_are_told_where_nobody_keeps_a_store(monkeypatch):
    def refuse(*_: object) -> None:
        raise RuntimeError("nobody answers")

    monkeypatch.setattr(store, "open_notes", refuse)
    for rank, told in ((0, "no"), (1, "rank 1: no")):
        assert to_say(RunError("no"), ["no"], Launch(rank, 2, rank, 2)) == [told]


def test_an_action_that_is_not_for_several_is_done_by_the_leader(launches):
    done: list[int] = []

    def act() -> int:
        done.append(1)
        return 7

    with ThreadPoolExecutor(3) as pool:  # they wait for each other
        codes = pool.map(lambda launch: alone(launch, 0, act, 20.0), reversed(launches))
    assert [*codes] == [7, 7, 7]
    assert done == [1]
