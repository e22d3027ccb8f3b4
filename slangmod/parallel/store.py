"""What the processes of a launch write down for each other, in torchrun's own store.

It needs no process group, so that it serves before there is one, and when one has
broken. With ``lasting`` it is torchrun that keeps it, through all restarts.
"""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]

from slangmod.parallel.launch import Launch

FOLDER: Final = "slangmod"
"""What the names of all that is written begin with."""

PAUSE: Final = 0.05
"""Seconds between two looks at what another may still write."""


@dataclass(frozen=True)
class Notes:
    """Texts by name, which all processes of a launch read and write."""

    launch: Launch
    store: Store

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
        return f"{FOLDER}/{self.launch.restarts}/group/{count}"

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
        """A name that no earlier restart has written."""
        return f"{self.launch.restarts}/{what}/{rank}"


def open_notes(launch: Launch, timeout: float) -> Notes:
    """The notes of ``launch``; waits at most ``timeout`` seconds for their keeper.

    Raises RuntimeError where nobody keeps them.
    """
    hosts = launch.leads and not launch.lasting
    store = TCPStore(
        launch.address,
        launch.port,
        is_master=hosts,
        timeout=timedelta(seconds=timeout),
        wait_for_workers=False,
    )
    return Notes(launch, store)
