"""A team of several processes, over torch.distributed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore  # type: ignore[attr-defined]

from slangmod.errors import LostError, SlangmodError, is_out_of_memory
from slangmod.parallel.launch import Launch
from slangmod.parallel.store import Notes, meet
from slangmod.parallel.team import ALONE, Team

BACKENDS: Final = {"nccl": "cpu:gloo,cuda:nccl", "gloo": "gloo"}
"""What carries tensors, by ``parallel.backend``; texts and flags are the host's, so
that agreeing on them never waits for a GPU."""

PATIENCE: Final = 2.0
"""Seconds for which it is looked whether a process that is gone said why."""

SIGNS: Final = (
    *("gloo", "nccl", "process group", "connection", "socket", "broken pipe"),
    "timed out",
)
"""Words, in small letters, of errors of torch that come of a process that is gone."""


@dataclass(frozen=True)
class Group(Team):
    """Several processes that have met; all methods wait for the slowest of them.

    Where one of them is gone, or silent for longer than the time set, all raise
    RuntimeError, which ``explained`` puts into words.
    """

    notes: Notes | None = None

    @property
    def alone(self) -> bool:
        """It is not."""
        return False

    def sum(self, tensor: Tensor) -> Tensor:
        """Make ``tensor`` the sum of those of all, in place, and return it."""
        dist.all_reduce(tensor)
        return tensor

    def gather(self, tensor: Tensor, to: int) -> list[Tensor]:
        """Those of all, which are of one shape, in process ``to``; else none."""
        mine = to == self.rank
        places = [torch.empty_like(tensor) for _ in range(self.size if mine else 0)]
        dist.gather(tensor, places if mine else None, to)
        return places

    def scatter(self, tensors: list[Tensor], like: Tensor, of: int) -> Tensor:
        """What process ``of`` has for this one in ``tensors``; the others give none.

        It is of the shape of ``like``.
        """
        place = torch.empty_like(like)
        dist.scatter(place, tensors if of == self.rank else None, of)
        return place

    def any(self, flag: bool) -> bool:
        """Whether the flag of any is true."""
        return bool(self.sum(torch.tensor(int(flag))))

    def meet(self) -> None:
        """Wait until all are here."""
        self.any(False)

    def texts(self, text: str) -> list[str]:
        """What each of them says, in the order of their ranks."""
        words = bytes_of(text)
        sizes = torch.zeros(self.size, dtype=torch.int64)
        sizes[self.rank] = len(words)
        each = self.sum(sizes).tolist()
        # Of one length, as collectives want it; texts are short.
        mine = torch.zeros(max(each), dtype=torch.uint8)
        mine[: len(words)] = words
        all_of_them = [torch.empty_like(mine) for _ in each]
        dist.all_gather(all_of_them, mine)
        pairs = zip(all_of_them, each, strict=True)
        return [text_of(words[:size]) for words, size in pairs]

    def text(self, text: str) -> str:
        """What the leader says, whatever the others do."""
        words = bytes_of(text)
        size = torch.tensor(len(words))
        dist.broadcast(size, 0)
        if not self.leads:
            words = torch.empty(int(size), dtype=torch.uint8)
        dist.broadcast(words, 0)
        return text_of(words)

    def note(self, name: str, text: str) -> None:
        """Write something down that torchrun keeps until all of it has ended."""
        if self.notes is not None:
            self.notes.write(name, text)

    def noted(self, name: str) -> str | None:
        """What this process, or one before a restart, wrote down; None if nothing."""
        return None if self.notes is None else self.notes.read(name)

    def explained(self, error: Exception) -> Exception:
        """What to raise for ``error``, which may come of what befell another."""
        if isinstance(error, SlangmodError) or not isinstance(error, RuntimeError):
            return error
        if is_out_of_memory(error) or self.notes is None:
            return error
        failures = self.notes.failures(PATIENCE)
        if failures:
            said = "; ".join(
                f"rank {rank}: {' '.join(lines)}" for rank, lines in failures.items()
            )
            return LostError(f"another process of the run has failed: {said}")
        text = " ".join(str(error).split())
        if any(sign in text.lower() for sign in SIGNS):
            return LostError(
                "another process of the run is gone, or silent for longer than "
                "parallel.timeout; the last checkpoint is good, and `slangmod resume` "
                f"continues from it ({text[:200]})"
            )
        return error


def bytes_of(text: str) -> Tensor:
    """Its UTF-8 bytes, [n] uint8; lone surrogates, as in odd file names, survive."""
    return torch.tensor(list(text.encode("utf-8", "surrogatepass")), dtype=torch.uint8)


def text_of(words: Tensor) -> str:
    """The text of UTF-8 bytes [n] uint8."""
    return bytes(words.tolist()).decode("utf-8", "surrogatepass")


def backend_for(device: torch.device, wanted: str = "auto") -> str:
    """What carries tensors between devices of this kind, unless it is ``wanted``."""
    if wanted != "auto":
        return wanted
    return "nccl" if device.type == "cuda" else "gloo"


@contextmanager
def open_team(
    launch: Launch | None, device: torch.device, backend: str, timeout: float
) -> Iterator[Team]:
    """Meet the other processes of ``launch``, and part when the block ends.

    None, which is outside torchrun: nobody is met. ``backend`` is "auto", "nccl" or
    "gloo"; ``timeout``, in seconds, is how long anybody waits for the others. Where
    the block ends with an error, the others can read why.
    """
    if launch is None:
        yield ALONE
        return
    name = backend_for(device, backend)
    if device.type == "cuda":
        torch.cuda.set_device(device)  # or all would have some memory of the first
    try:
        notes = meet(launch, timeout)
        team = Group(launch.rank, launch.size, launch.local_rank, notes)
        dist.init_process_group(
            BACKENDS[name],
            timeout=timedelta(seconds=timeout),
            store=PrefixStore(notes.meeting_place(), notes.store),
            rank=launch.rank,
            world_size=launch.size,
            device_id=device if name == "nccl" else None,
        )
    except (dist.DistStoreError, dist.DistNetworkError) as error:
        reason = " ".join(str(error).split())[:200]
        raise LostError(
            f"{launch.size} processes could not meet within parallel.timeout: {reason}"
        ) from error
    try:
        yield team
    except Exception as error:
        told = team.explained(error)
        if told is error:  # and not what another has already said
            notes.confess([str(error) or type(error).__name__])
            raise
        raise told from error
    except BaseException as error:  # a signal, say
        notes.confess([str(error) or type(error).__name__])
        raise
    finally:
        dist.destroy_process_group()
