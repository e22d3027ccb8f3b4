"""Processes that are alive meet, whatever those before them have left behind."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from slangmod.errors import RunError
from slangmod.parallel import store
from slangmod.parallel.launch import Launch, launch_of
from slangmod.parallel.store import Notes, has_met, meet, open_notes
from tests.parallel.ranks import environment_of, new_store

SIZE = 3


@pytest.fixture
def kept(monkeypatch):
    """The store that torchrun keeps."""
    monkeypatch.setattr(store, "_sessions", {})
    return new_store()


def launches(port: int, restarts: tuple[int, ...] = (0,) * SIZE) -> list[Launch]:
    """Places of processes whose machines count restarts by themselves."""
    found = [
        launch_of(environment_of(rank, SIZE, port, TORCHELASTIC_RESTART_COUNT=count))
        for rank, count in enumerate(restarts)
    ]
    return [launch for launch in found if launch is not None]


def met(places: list[Launch], pauses: tuple[float, ...] = (0.0,) * SIZE) -> list[Notes]:
    """What each has in common with the others; some come later."""

    def come(launch: Launch, pause: float) -> Notes:
        time.sleep(pause)
        return meet(launch, 20.0)

    with ThreadPoolExecutor(SIZE) as pool:
        return [*pool.map(come, places, pauses)]


@pytest.mark.parametrize("pauses", [(0, 0, 0), (0.2, 0, 0.1), (0, 0.2, 0)])
def test_all_have_one_session_whoever_comes_first(kept, pauses):
    places = launches(kept.port)
    sessions = {notes.session for notes in met(places, pauses)}
    assert len(sessions) == 1
    assert all(map(has_met, places))
    assert {open_notes(place, 5.0).session for place in places} == sessions


def test_a_second_time_nobody_is_waited_for(kept):
    places = launches(kept.port)
    (before, *_) = met(places)
    assert meet(places[0], 5.0).session == before.session


def test_machines_that_count_restarts_differently_meet(kept, monkeypatch):
    (before, *_) = met(launches(kept.port))
    before.confess(["the first try"])
    monkeypatch.setattr(store, "_sessions", {})  # as in new processes
    again = met(launches(kept.port, (1, 0, 3)))
    assert len({notes.session for notes in again}) == 1
    assert again[0].session != before.session
    assert again[1].failures(0.1) == {}
    places = {notes.meeting_place() for notes in again}
    assert len(places) == 1


def test_one_that_is_begun_anew_while_others_wait_is_let_in(kept, monkeypatch):
    # What it had said before its end is there, and answered.
    old = open_notes(launches(kept.port)[2], 5.0)
    old.write("hello/2", "a word of one that is no more")
    assert len({one.session for one in met(launches(kept.port), (0, 0, 0.5))}) == 1
    assert "no more" not in json.dumps(json.loads(str(old.read("begin")))[1])


def test_who_does_not_come_is_named(kept):
    leader, _, last = launches(kept.port)
    with pytest.raises(RunError, match=r"of 3 processes, rank 1, 2 has not come"):
        meet(leader, 0.3)
    with pytest.raises(
        RunError, match=r"rank 0 has not come .* can reach 127\.0\.0\.1:"
    ):
        meet(last, 0.3)
    assert not has_met(leader)


def test_who_has_met_a_leader_that_is_no_more_meets_the_next(kept, monkeypatch):
    first, second, third = launches(kept.port)
    with ThreadPoolExecutor(SIZE) as pool:
        early = pool.submit(meet, second, 20.0)
        with pytest.raises(RunError, match="rank 2 has not come"):
            meet(first, 0.5)
        rest = [pool.submit(meet, one, 20.0) for one in (first, third)]
        sessions = {one.result().session for one in (early, *rest)}
    assert len(sessions) == 1
