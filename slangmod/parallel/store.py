"""What the processes of a launch write down for each other, in torchrun's own store.

It needs no process group, so that it serves before there is one, and when one has
broken. With ``lasting`` it is torchrun that keeps it, through all restarts. It then
holds what processes have written that are no more; and how often they were restarted,
each machine counts by itself. So those that are alive meet first: each says hello with
a word of chance, the leader answers with the word of a new session and all words that
it has heard, and who finds its own among them says that it is here.
"""

import json
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]

from slangmod.errors import RunError
from slangmod.parallel.launch import Launch

FOLDER: Final = "slangmod"
"""What the names of all that is written begin with."""

PAUSE: Final = 0.05
"""Seconds between two looks at what another may still write."""


HELLO, BEGIN, HERE, ALL = "hello", "begin", "here", "all"
"""What is written when processes meet."""


@dataclass(frozen=True)
class Notes:
    """Texts by name, which all processes of a launch read and write."""

    launch: Launch
    store: Store
    session: str
    """a word that only those have in common that have met"""

    def write(self, name: str, text: str) -> None:
        """Keep ``text`` until the launch ends."""
        self.store.set(f"{FOLDER}/{name}", text)

    def read(self, name: str, patience: float = 0.0) -> str | None:
        """What was written by that name; None if it is not within so many seconds."""
        key, deadline = f"{FOLDER}/{name}", time.monotonic() + patience
        while not self.store.check([key]):
            if time.monotonic() >= deadline:
                return None
            time.sleep(PAUSE)
        text: bytes = self.store.get(key)
        return text.decode("utf-8", "surrogatepass")

    def meeting_place(self) -> str:
        """A name for the next group that is formed, which none before it had."""
        count = self.store.add(f"{FOLDER}/{self._of(self.launch.rank, 'met')}", 1)
        return f"{FOLDER}/{self.session}/group/{count}"

    def confess(self, lines: Sequence[str]) -> None:
        """Let the others know why this process ends before its time."""
        with suppress(RuntimeError):  # who keeps the store may be gone before us
            self.write(self._of(self.launch.rank, "failed"), json.dumps(lines))

    def failures(self, patience: float) -> dict[int, list[str]]:
        """What others that ended before their time had to say, by rank."""
        found: dict[int, list[str]] = {}
        deadline = time.monotonic() + patience
        with suppress(RuntimeError):
            while not found and time.monotonic() < deadline:
                for rank in range(self.launch.size):
                    text = self.read(self._of(rank, "failed"))
                    if text is not None and rank != self.launch.rank:
                        found[rank] = json.loads(text)
                time.sleep(PAUSE)
        return found

    def tell(self, lines: Sequence[str]) -> None:
        """Let the others know what the leader has said on standard error."""
        with suppress(RuntimeError):
            self.write(self._of(0, "told"), json.dumps(lines))

    def told(self, patience: float) -> list[str] | None:
        """What the leader said there; None if that cannot be known in time."""
        with suppress(RuntimeError):
            text = self.read(self._of(0, "told"), patience)
            return None if text is None else list(json.loads(text))
        return None

    def _of(self, rank: int, what: str) -> str:
        """A name that nobody has written who is no more."""
        return f"{self.session}/{what}/{rank}"

    def lead(self, deadline: float) -> str:
        """Have all others come, however late, to a new session; -> its word.

        Raises RunError where some do not until ``deadline``, on the monotonic clock.
        """
        session, answered = uuid.uuid4().hex, [""]
        absent = [*range(1, self.launch.size)]
        while absent:
            heard = [self.read(f"{HELLO}/{n}") or "" for n in range(self.launch.size)]
            if heard != answered:  # also where one was begun anew meanwhile
                self.write(BEGIN, json.dumps([session, heard]))
                answered = heard
            names = [f"{session}/{HERE}/{rank}" for rank in absent]
            there = [self.read(name) is not None for name in names]
            absent = [rank for rank, one in zip(absent, there, strict=True) if not one]
            if absent:
                ranks = ", ".join(map(str, absent[:5])) + (" ..." if absent[5:] else "")
                self._wait(deadline, f"rank {ranks}")
        self.write(f"{session}/{ALL}", "yes")
        return session

    def follow(self, deadline: float) -> str:
        """Find the session that the leader has begun with this process; -> its word."""
        word, ours = uuid.uuid4().hex, ""
        self.write(f"{HELLO}/{self.launch.rank}", word)
        while not ours or self.read(f"{ours}/{ALL}") is None:
            session, heard = json.loads(self.read(BEGIN) or '["", []]')
            if word in heard and session != ours:  # or that of a leader begun anew
                ours = str(session)
                self.write(f"{ours}/{HERE}/{self.launch.rank}", "yes")
            self._wait(deadline, "another" if ours else "rank 0")
        return ours

    def _wait(self, deadline: float, absent: str) -> None:
        """Let a moment pass; RunError where it was the last."""
        if time.monotonic() >= deadline:
            raise RunError(
                f"of {self.launch.size} processes, {absent} has not come within "
                "parallel.timeout; start all of them together, where each can reach "
                f"{self.launch.address}:{self.launch.port}"
            )
        time.sleep(PAUSE)


_sessions: Final[dict[Launch, str]] = {}
"""What this process has met the others for: once."""


def meet(launch: Launch, timeout: float) -> Notes:
    """The notes of those processes of ``launch`` that are alive now.

    The first time, waits until all have come. Raises RunError where some have not
    within ``timeout`` seconds, and RuntimeError where nobody keeps notes.
    """
    notes = open_notes(launch, timeout)
    if launch not in _sessions:
        come = notes.lead if launch.leads else notes.follow
        _sessions[launch] = come(time.monotonic() + timeout)
    return replace(notes, session=_sessions[launch])


def has_met(launch: Launch) -> bool:
    """Whether this process has met the others."""
    return launch in _sessions


def open_notes(launch: Launch, timeout: float) -> Notes:
    """The notes of ``launch``; waits at most ``timeout`` seconds for their keeper.

    Those of processes that have met, if this one has. Raises RuntimeError where nobody
    keeps them.
    """
    hosts = launch.leads and not launch.lasting
    store = TCPStore(
        launch.address,
        launch.port,
        is_master=hosts,
        timeout=timedelta(seconds=timeout),
        wait_for_workers=False,
    )
    return Notes(launch, store, _sessions.get(launch, f"restart-{launch.restarts}"))
