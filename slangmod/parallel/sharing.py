"""Work on files in numbered parts, shared by a crew; here, by one process alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slangmod.files import folder_for_a_while


class Sharing:
    """Work that nobody else has a part in; ``slangmod.parallel.meeting`` has others.

    All processes of a crew call the same methods in the same order. What goes from one
    to the other is plain JSON.
    """

    leads = True
    """whether this process puts together what all have made"""

    def tell(self, make: Callable[[], Any]) -> Any:
        """What ``make`` gives to the first process, which alone calls it."""
        return make()

    def agree(self, look: Callable[[], Any]) -> None:
        """Wait until all see what the first process sees: plain JSON.

        Disks of a network may show a file to one machine later than to another.
        """

    def share(
        self, key: str, count: int, work: Callable[[list[int]], Iterator[Any]]
    ) -> list[Any]:
        """The results of ``count`` tasks, by number.

        ``work`` is given the numbers of this process's tasks, and yields their results
        in that order. What is there under ``key``, from an earlier try, is not made
        again; an empty key is that of this try.
        """
        del key
        return [*work([*range(count)])]

    @contextmanager
    def place(self, key: str, path: Path) -> Iterator[Path]:
        """The folder for parts of what is to become ``path``, known by ``key``."""
        del key
        with folder_for_a_while(path) as place:
            yield place

    def forget(self, key: str) -> None:
        """The parts of ``key`` are taken away; nobody may rely on them any more."""
