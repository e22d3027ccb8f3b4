"""Processes meet in a folder that all of them see, and share work there.

No network, no clock of another machine, no lock: files alone, each replaced as a whole.
In the folder ``.crew-NAME`` beside what is to be made, each process writes
``rank-00003.json`` anew every few seconds: a word of chance that is its own, and a
count. The first process answers with ``begin.json``: a word for this session, and the
words of all that it has seen. Who finds its own word in it is part of the session, and
says so; thus nothing that an earlier try has left is taken for somebody alive.
"""

import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from slangmod.errors import RunError, UserError
from slangmod.files import ASIDE, MARKER, write_json
from slangmod.parallel.crew import Crew
from slangmod.parallel.sharing import Sharing
from slangmod.parallel.signs import make, read, remove
from slangmod.reading import read_json, refuse_link

SECONDS_BETWEEN_BEATS: Final = 5.0
SECONDS_BETWEEN_LOOKS: Final = 0.05
LONGEST_SILENCE: Final = 120.0
"""Seconds without a beat after which one that was there counts as dead."""
FAREWELL: Final = 60.0
"""Seconds that the first process waits for the others to leave, at the end."""
SHORT: Final = 2.0
"""Seconds that it waits for them where it gives up."""

BEGIN: Final = "begin.json"
LARGEST: Final = 1 << 30
"""Bytes of results that are read: hashes of very many files."""


@dataclass
class Meeting(Sharing):
    """A crew at one piece of work; all call the same methods in the same order."""

    folder: Path
    crew: Crew
    timeout: float
    """seconds that each is waited for to come"""
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    session: str = ""
    _told: int = 0
    _known: int = 0
    _beats: int = 0
    _last_words: dict[str, Any] = field(default_factory=dict)
    _writing: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        """Who leads is known by its place."""
        self.leads = self.crew.leads

    @property
    def pause(self) -> float:
        """Seconds between looks: with many processes, less often."""
        return SECONDS_BETWEEN_LOOKS * (1 + self.crew.size / 4)

    def path_of(self, rank: int) -> Path:
        """The file in which a process says that it is there."""
        return self.folder / f"rank-{rank:05d}.json"

    def beat(self) -> None:
        """Say that this process is there."""
        with self._writing:
            self._beats += 1
            content = {
                "token": self.token,
                "session": self.session,
                "host": os.uname().nodename,
                "process": os.getpid(),
                "beats": self._beats,
                "known": self._known,
                **self._last_words,
            }
            write_json(self.path_of(self.crew.rank), content)

    def keep_beating(self) -> None:
        """Say so again and again, until it is over."""
        while not self._over.wait(min(SECONDS_BETWEEN_BEATS, self.timeout / 10)):
            with suppress(OSError):  # of a disk that may be well again next time
                self.beat()

    def stop(self) -> None:
        """Give no more signs of life."""
        self._over.set()

    def begin(self) -> None:
        """Meet all others."""
        if self.leads:
            make(self.folder)
            self.session = uuid.uuid4().hex
            self.beat()
            self.wait(lambda: not self.absent(), self.absent)
            return
        self.wait((self.folder / MARKER).is_file, lambda: [0])
        self.beat()
        self.wait(self.admitted, lambda: [0])
        self.beat()

    def admitted(self) -> bool:
        """Whether the first process has seen us; its session is ours from then on."""
        answer = read(self.folder / BEGIN)
        if self.token not in answer.get("tokens", ()):
            return False
        self.session = str(answer.get("session"))
        return True

    def admit(self) -> None:
        """Answer those who have come, the late ones and those begun anew among them."""
        seen = [read(self.path_of(rank)).get("token") for rank in range(self.crew.size)]
        answer = {"session": self.session, "tokens": seen}
        if read(self.folder / BEGIN) != answer:
            write_json(self.folder / BEGIN, answer)

    def absent(self) -> list[int]:
        """Who has not said that it is part of this session."""
        return [
            rank
            for rank in range(self.crew.size)
            if read(self.path_of(rank)).get("session") != self.session
        ]

    def behind(self) -> list[int]:
        """Who does not yet know the results of what was shared last."""
        return [
            rank
            for rank in range(self.crew.size)
            if read(self.path_of(rank)).get("known", 0) < self._known
        ]

    def tell(self, make: Callable[[], Any]) -> Any:
        """What ``make`` gives to the first process, which alone calls it."""
        self._told += 1
        path = self.folder / f"{self.session}-told-{self._told:03d}.json"
        if self.leads:
            write_json(path, {"value": make()})
        self.wait(path.is_file, lambda: [0])
        return read_json(path, LARGEST)["value"]

    def agree(self, look: Callable[[], Any]) -> None:
        """Wait until all see what the first process sees."""
        seen, patience = self.tell(look), min(LONGEST_SILENCE, self.timeout)
        until = time.monotonic() + patience
        while json.loads(json.dumps(look())) != seen:
            self.look()
            if time.monotonic() > until:
                raise RunError(
                    f"{self.named(self.crew.rank)} does not find the files that the "
                    "first process finds; all must see the same raw text and workdir"
                )
            time.sleep(self.pause)

    def share(
        self, key: str, count: int, work: Callable[[list[int]], Iterator[Any]]
    ) -> list[Any]:
        """The results of ``count`` tasks, by number, whoever has made them."""
        self._told += 1
        key = key or f"{self.session}-{self._told:03d}"
        paths = [self.folder / f"{key}-{number:05d}.json" for number in range(count)]
        own = range(self.crew.rank, count, self.crew.size)
        missing = [number for number in own if not paths[number].is_file()]
        for number, result in zip(missing, work(missing), strict=True):
            write_json(paths[number], {"value": result})
            self.look()

        def owed() -> list[int]:
            there = {path.name for path in self.folder.glob(f"{key}-*.json")}
            numbers = [n for n in range(count) if paths[n].name not in there]
            return sorted({number % self.crew.size for number in numbers})

        self.wait(lambda: not owed(), owed)
        results = [read_json(path, LARGEST)["value"] for path in paths]
        self._known = self._told
        self.beat()
        return results

    @contextmanager
    def place(self, key: str, path: Path) -> Iterator[Path]:
        """The folder for parts of what is to become ``path``; its name tells ``key``.

        What earlier tries have left under other keys is removed. It stays where the
        block ends badly, so that a repetition need not make the parts again.
        """
        del path  # the whole meeting is beside it
        place = self.folder / f"work-{key}"
        if self.leads:
            for leftover in self.folder.iterdir():
                if not leftover.name.startswith(
                    ("rank-", BEGIN, MARKER, ASIDE, self.session, key, place.name)
                ):
                    remove(leftover)
            refuse_link(place)
            place.mkdir(exist_ok=True)
        self.tell(lambda: None)
        yield place

    def forget(self, key: str) -> None:
        """The parts of ``key`` are taken away; nobody may rely on them any more."""
        self.wait(lambda: not self.behind(), self.behind)
        for path in self.folder.glob(f"{key}-*.json"):
            path.unlink()

    def look(self) -> None:
        """What has to be seen to again and again. Raises if another has failed."""
        if self.leads:
            self.admit()
        elif read(self.folder / BEGIN).get("session") not in (self.session, None):
            raise RunError(
                f"{self.folder.name}: the first process was started anew; start all of "
                "them together"
            )
        for rank in range(self.crew.size):
            content = read(self.path_of(rank))
            failed = content.get("session") == self.session and "error" in content
            if failed and rank != self.crew.rank:
                kind = UserError if content.get("code") == 2 else RunError
                raise kind(f"{self.named(rank)}: {content['error']}")

    def wait(self, done: Callable[[], bool], who: Callable[[], list[int]]) -> None:
        """Wait until ``done``, as long as those that ``who`` names give signs of life.

        Raises RunError, naming one that is missing, and what a failed one has said.
        """
        heard: dict[int, tuple[str, float]] = {}
        began = time.monotonic()
        while not done():
            if self.session:
                self.look()
            now = time.monotonic()
            for rank in who():
                sign = json.dumps(read(self.path_of(rank)))
                if rank not in heard or heard[rank][0] != sign:
                    # What is there at the first look may be years old.
                    heard[rank] = sign, began if rank not in heard else now
                elif now - heard[rank][1] > self.patience(rank):
                    raise RunError(self.missing(rank))
            time.sleep(self.pause)

    def patience(self, rank: int) -> float:
        """Seconds for which a process may be silent."""
        there = read(self.path_of(rank)).get("session") == self.session != ""
        return min(LONGEST_SILENCE, self.timeout) if there else self.timeout

    def missing(self, rank: int) -> str:
        """What to say of one that gives no sign of life."""
        there = read(self.path_of(rank)).get("session") == self.session != ""
        what = "gives no sign of life" if there else "has not come"
        return (
            f"{self.named(rank)} {what} for {self.patience(rank):g} s; all must see "
            f"{self.folder.parent} and be started together; what is done is kept, "
            "the same command goes on"
        )

    def named(self, rank: int) -> str:
        """A process, as people and the system know it."""
        content = read(self.path_of(rank))
        known = content.get("session") == self.session != ""
        where = f" (process {content['process']} on {content['host']})" if known else ""
        return f"rank {rank} of {self.crew.size}{where}"

    def fail(self, error: BaseException) -> None:
        """Let the others know why; after an error of the user's the folder goes."""
        text = str(error) or type(error).__name__
        self._last_words = {"error": text, "code": getattr(error, "exit_code", 1)}
        with suppress(OSError):
            self.beat()
        if self.leads and isinstance(error, UserError) and self.all_gone(SHORT):
            remove(self.folder)

    def leave(self) -> None:
        """Go; the first process goes last, and takes the folder away."""
        if not self.leads:
            self._last_words = {"left": True}
            with suppress(OSError):  # who has heard it may have taken the folder away
                self.beat()
            return
        self.all_gone(FAREWELL)
        remove(self.folder)

    def all_gone(self, seconds: float) -> bool:
        """Whether all others have said within so many seconds that they are leaving."""
        others, until = range(1, self.crew.size), time.monotonic() + seconds
        while time.monotonic() < until:
            if all({"left", "error"} & {*read(self.path_of(r))} for r in others):
                return True
            time.sleep(self.pause)
        return False
