"""What the processes of a run do together; here, where there is only one."""

from dataclasses import dataclass
from typing import Final

from torch import Tensor


@dataclass(frozen=True)
class Team:
    """The processes of a run; each of them calls the same methods in the same order.

    This is a team of one, which needs nobody. ``slangmod.parallel.group`` has that of
    several.
    """

    rank: int = 0
    """of this process, from 0"""
    size: int = 1
    """number of processes"""
    seat: int | None = None
    """of this process among those of its machine, from 0; None where it is alone"""

    @property
    def leads(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether torchrun has not started this process, which then agrees with none.

        A single process that it did start reduces its gradients like several.
        """
        return True

    def sum(self, tensor: Tensor) -> Tensor:
        """Make ``tensor`` the sum of those of all, in place, and return it."""
        return tensor

    def gather(self, tensor: Tensor, to: int) -> list[Tensor]:
        """Those of all, which are of one shape, in process ``to``; else none."""
        return [tensor] if to == self.rank else []

    def scatter(self, tensors: list[Tensor], like: Tensor, of: int) -> Tensor:
        """What process ``of`` has for this one in ``tensors``; the others give none.

        It is of the shape of ``like``.
        """
        del like, of
        return tensors[self.rank]

    def any(self, flag: bool) -> bool:
        """Whether the flag of any is true."""
        return flag

    def meet(self) -> None:
        """Wait until all are here."""

    def texts(self, text: str) -> list[str]:
        """What each of them says, in the order of their ranks."""
        return [text]

    def text(self, text: str) -> str:
        """What the leader says, whatever the others do."""
        return text

    def note(self, name: str, text: str) -> None:
        """Write something down that torchrun keeps until all of it has ended."""

    def noted(self, name: str) -> str | None:
        """What this process, or one before a restart, wrote down; None if nothing."""
        del name  # nobody keeps anything for a process that torchrun did not start
        return None

    def explained(self, error: Exception) -> Exception:
        """What to raise for ``error``, which may come of what befell another."""
        return error


ALONE: Final = Team()
"""The team of a process that was not started by torchrun."""
