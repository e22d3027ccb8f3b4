"""Processes, here threads, that meet in a folder and share work."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slangmod.errors import RunError, UserError
from slangmod.parallel import meeting
from slangmod.parallel.crew import Crew
from slangmod.parallel.sharing import Sharing
from slangmod.parallel.together import together


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Looks and beats of hundredths of seconds."""
    monkeypatch.setattr(meeting, "SECONDS_BETWEEN_BEATS", 0.05)
    monkeypatch.setattr(meeting, "SECONDS_BETWEEN_LOOKS", 0.005)
    monkeypatch.setattr(meeting, "LONGEST_SILENCE", 0.5)
    monkeypatch.setattr(meeting, "FAREWELL", 0.5)


Work = Callable[[Sharing], Any]


def all_of(path: Path, works: list[Work], timeout: float = 5.0) -> list[Any]:
    """What each process of a crew returns, or the error that it raises."""
    found: list[Any] = [None] * len(works)

    def one(rank: int) -> None:
        try:
            with together(path, Crew(rank, len(works)), timeout) as team:
                found[rank] = works[rank](team)
        except Exception as error:
            found[rank] = error

    threads = [threading.Thread(target=one, args=(r,)) for r in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def squares(made: list[int]) -> Callable[[list[int]], Iterator[int]]:
    """Work whose results are squares; which were made is noted."""

    def work(numbers: list[int]) -> Iterator[int]:
        for number in numbers:
            made.append(number)
            yield number**2

    return work


def test_each_task_is_done_once_and_all_know_the_results(tmp_path):
    made: list[int] = []
    found = all_of(tmp_path / "x", [lambda t: t.share("", 7, squares(made))] * 3)
    assert found == [[n**2 for n in range(7)]] * 3
    assert sorted(made) == [*range(7)]
    assert [*tmp_path.iterdir()] == []


def test_more_processes_than_tasks_and_no_task_at_all(tmp_path):
    assert (
        all_of(tmp_path / "x", [lambda t: t.share("", 1, squares([]))] * 3) == [[0]] * 3
    )
    assert all_of(tmp_path / "x", [lambda t: t.share("", 0, squares([]))] * 2) == [
        [],
        [],
    ]


def test_one_process_alone_needs_no_folder(tmp_path):
    with together(tmp_path / "x", Crew(), 1.0) as team:
        assert team.share("", 3, squares([])) == [0, 1, 4]
        assert team.tell(lambda: {"a": 1}) == {"a": 1}
        with team.place("key", tmp_path / "x") as place:
            assert place.is_dir()
    assert [*tmp_path.iterdir()] == []


def test_the_first_process_speaks_for_all(tmp_path):
    works: list[Work] = [lambda t, n=n: t.tell(lambda: [n, None]) for n in range(3)]
    assert all_of(tmp_path / "x", works) == [[0, None]] * 3


def test_all_wait_until_they_see_the_same(tmp_path):
    late = threading.Timer(0.3, lambda: (tmp_path / "file").touch())
    late.start()
    works: list[Work] = [
        lambda t: t.agree(lambda: [True]),
        lambda t: t.agree(lambda: [(tmp_path / "file").exists()]),
    ]
    assert all_of(tmp_path / "x", works) == [None, None]
    assert (tmp_path / "file").exists()
    works[1] = lambda t: t.agree(lambda: [False])
    found = all_of(tmp_path / "x", works)
    assert "rank 1 of 2" in str(found[1])
    assert "does not find the files that the first process finds" in str(found[1])


def test_a_process_that_does_not_come_is_named(tmp_path):
    with (
        pytest.raises(RunError, match=r"rank 1 of 2 has not come for 0\.2 s"),
        together(tmp_path / "x", Crew(0, 2), 0.2),
    ):
        pass
    with (
        pytest.raises(RunError, match=r"rank 0 of 2 has not come for 0\.2 s"),
        together(tmp_path / "y", Crew(1, 2), 0.2),
    ):
        pass


def test_a_process_that_died_is_named_with_its_machine(tmp_path, monkeypatch):
    def dies(team: Sharing) -> None:
        assert isinstance(team, meeting.Meeting)
        team.stop()
        raise SystemExit  # as silent as a kill: fail() is kept from telling

    monkeypatch.setattr(meeting.Meeting, "fail", lambda *_: None)
    works: list[Work] = [lambda t: t.share("", 4, squares([])), dies]

    found: list[Any] = []

    def first() -> None:
        try:
            with together(tmp_path / "x", Crew(0, 2), 5.0) as team:
                works[0](team)
        except RunError as error:
            found.append(str(error))

    thread = threading.Thread(target=first)
    thread.start()
    with pytest.raises(SystemExit), together(tmp_path / "x", Crew(1, 2), 5.0) as team:
        works[1](team)
    thread.join()
    assert "rank 1 of 2 (process" in found[0]
    assert "gives no sign of life for 0.5 s" in found[0]


def test_an_error_of_one_ends_all_and_says_whose_it_was(tmp_path):
    def fails(team: Sharing) -> None:
        raise UserError("raw/a.txt: is broken")

    wait: Work = lambda t: t.share("", 4, squares([]))  # noqa: E731
    found = all_of(tmp_path / "x", [wait, fails, wait])
    assert str(found[1]) == "raw/a.txt: is broken"
    for one in (found[0], found[2]):
        assert isinstance(one, UserError)
        assert "raw/a.txt: is broken" in str(one)
        assert "rank" in str(one)


def test_what_is_done_is_not_done_again_after_a_failure(tmp_path):
    def broken(numbers: list[int]) -> Iterator[int]:
        yield from squares([])(numbers[:1])
        raise RunError("the disk is full")

    good: Work = lambda t: t.share("k", 6, squares([]))  # noqa: E731
    all_of(tmp_path / "x", [good, lambda t: t.share("k", 6, broken)])
    made: list[int] = []
    found = all_of(tmp_path / "x", [lambda t: t.share("k", 6, squares(made))] * 2)
    assert found == [[n**2 for n in range(6)]] * 2
    assert {0, 1}.isdisjoint(made)
    assert {3, 5} <= {*made}


def test_what_is_left_under_another_key_is_taken_away(tmp_path):
    left = tmp_path / ".crew-x"

    def breaks_off(team: Sharing) -> None:
        with team.place("old", tmp_path / "x") as place:
            team.share("old", 2, squares([]))
            team.tell(lambda: (place / "part").mkdir())
            raise RunError("broken off")

    all_of(tmp_path / "x", [breaks_off] * 2)
    assert (left / "work-old" / "part").is_dir()
    seen: list[bool] = []

    def goes_on(team: Sharing) -> None:
        with team.place("new", tmp_path / "x") as place:
            seen.append(place.is_dir() and not (left / "work-old").exists())
            seen.append(not [*left.glob("old-*")])

    assert all_of(tmp_path / "x", [goes_on] * 2) == [None, None]
    assert seen == [True] * 4
    assert not left.exists()


def test_nobody_takes_the_files_of_an_earlier_try_for_somebody_alive(tmp_path):
    left = tmp_path / ".crew-x"
    with pytest.raises(RunError), together(tmp_path / "x", Crew(0, 2), 0.1):
        pass
    token = json.loads((left / "rank-00000.json").read_text())
    other = {**token, "token": "dead", "error": "of another time"}
    (left / "rank-00001.json").write_text(json.dumps(other))
    with (
        pytest.raises(RunError, match="rank 1 of 2 has not come"),
        together(tmp_path / "x", Crew(0, 2), 0.2),
    ):
        pass
    assert (
        all_of(tmp_path / "x", [lambda t: t.share("", 2, squares([]))] * 2)
        == [[0, 1]] * 2
    )


def test_a_first_process_that_was_started_anew_is_noticed(tmp_path):
    def first(team: Sharing) -> None:
        assert isinstance(team, meeting.Meeting)
        content = {"session": "another", "tokens": []}
        (team.folder / "begin.json").write_text(json.dumps(content))
        team.stop()
        threading.Event().wait(0.3)

    found = all_of(tmp_path / "x", [first, lambda t: t.tell(lambda: 1)])
    assert "was started anew" in str(found[1])


def test_what_a_crew_has_left_goes_when_one_process_has_done_the_work(tmp_path):
    left = tmp_path / ".crew-x"
    with pytest.raises(RunError), together(tmp_path / "x", Crew(0, 2), 0.1):
        pass
    with together(tmp_path / "x", Crew(), 1.0):
        pass
    assert left.is_dir()  # perhaps they are still at work
    for path in left.glob("rank-*.json"):
        os.utime(path, (1e9, 1e9))
    with pytest.raises(ValueError), together(tmp_path / "x", Crew(), 1.0):
        raise ValueError
    assert left.is_dir()
    with together(tmp_path / "x", Crew(), 1.0):
        pass
    assert not left.exists()
    left.mkdir()  # of somebody else
    with together(tmp_path / "x", Crew(), 1.0):
        pass
    assert left.is_dir()


def test_nothing_is_written_through_a_link(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / ".slangmod.json").write_text("{}")
    before = sorted(outside.iterdir())
    path = tmp_path / "x"
    path.with_name(".crew-x").symlink_to(outside)
    found = all_of(path, [lambda team: team.tell(lambda: 1)] * 2, timeout=0.5)
    assert all("is a link to another place" in str(one) for one in found)
    assert sorted(outside.iterdir()) == before
    path.with_name(".crew-x").unlink()

    def places(team: Sharing) -> None:
        team.tell(lambda: (tmp_path / ".crew-x" / "work-k").symlink_to(outside))
        with team.place("k", path) as place:
            (place / "part").write_text("mine")

    found = all_of(path, [places] * 2, timeout=0.5)
    assert all("is a link to another place" in str(one) for one in found)
    assert sorted(outside.iterdir()) == before
