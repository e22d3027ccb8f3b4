"""A disk whose calls can be counted, refused, recorded, or be the last of a process.

It stands at the functions of Python that become one system call each. Streams that are
opened for writing are led there, too, so that every byte passes ``os.write``.
"""

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Hook = Callable[[str, Path], None]
"""Told the name of a call and what it is about, before it is made; may raise."""

BY_PATH = ("mkdir", "unlink", "rmdir", "rename", "replace")
LOOKING = ("stat", "lstat", "scandir", "listdir", "statvfs")
"""Calls that change nothing; ``after`` is not told of them."""
BY_DESCRIPTOR = ("write", "fsync", "ftruncate", "posix_fadvise")


def nothing(*_: object) -> None:
    """Let every call pass."""


class Raw(io.RawIOBase):
    """An open file whose writes and closing go through ``os``."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._descriptor

    def write(self, content: Any) -> int:
        return os.write(self._descriptor, content)

    def close(self) -> None:
        if not self.closed:
            try:
                super().close()
            finally:
                os.close(self._descriptor)


class Handed(io.FileIO):
    """A descriptor to read from, whose closing goes through ``os``."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "rb", closefd=False)
        self._descriptor = descriptor

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._descriptor)


@dataclass
class Disk:
    """What happens to calls about files below ``root``."""

    root: Path
    before: Hook = nothing
    after: Callable[..., None] = nothing
    calls: list[str] = field(default_factory=list)
    syncs: bool = False
    """whether to bother the real disk with syncs"""
    _paths: dict[int, Path] = field(default_factory=dict)

    def place(self, path: Any, dir_fd: int | None = None) -> Path | None:
        """The absolute path, if it is below the root."""
        if isinstance(path, int):
            return self._paths.get(path)
        if dir_fd is not None:
            if dir_fd not in self._paths:
                return None
            path = self._paths[dir_fd] / os.fspath(path)
        absolute = Path(os.path.abspath(os.fspath(path)))  # noqa: PTH100
        return absolute if absolute.is_relative_to(self.root) else None

    def begin(self, name: str, path: Path) -> None:
        self.calls.append(f"{name} {path.name}")
        self.before(name, path)


@contextmanager
def installed(disk: Disk) -> Iterator[Disk]:
    """Let ``disk`` stand at the calls while the block runs."""
    names = (*BY_PATH, *LOOKING, *BY_DESCRIPTOR, "open", "close")
    real = {name: getattr(os, name) for name in names}
    real_open = io.open

    def by_path(name: str) -> Callable[..., Any]:
        def call(path: Any, *args: Any, **words: Any) -> Any:
            place = disk.place(path, words.get("dir_fd"))
            if place is None:
                return real[name](path, *args, **words)
            disk.begin(name, place)
            result = real[name](path, *args, **words)
            if name in LOOKING:
                return result
            other = disk.place(args[0]) if name in ("rename", "replace") else None
            disk.after(name, place, other)
            return result

        return call

    def by_descriptor(name: str) -> Callable[..., Any]:
        def call(descriptor: int, *args: Any) -> Any:
            place = disk.place(descriptor)
            if place is None:
                return real[name](descriptor, *args)
            disk.begin(name, place)
            quiet = name == "fsync" and not disk.syncs
            result = None if quiet else real[name](descriptor, *args)
            detail = bytes(args[0][:result]) if name == "write" else None
            disk.after(name, place, detail if name == "write" else args)
            return result

        return call

    def open_(path: Any, flags: int, mode: int = 0o777, *, dir_fd: Any = None) -> int:
        place = disk.place(path, dir_fd)
        if place is None:
            return real["open"](path, flags, mode, dir_fd=dir_fd)
        disk.begin("open", place)
        new = bool(flags & os.O_CREAT) and not is_there(place)
        descriptor = real["open"](path, flags, mode, dir_fd=dir_fd)
        disk._paths[descriptor] = place
        if new:
            disk.after("create", place)
        return descriptor

    def is_there(path: Path) -> bool:
        """By a look that is no call of whoever is under test."""
        try:
            real["stat"](path)
        except FileNotFoundError:
            return False
        return True

    def close(descriptor: int) -> None:
        place = disk._paths.pop(descriptor, None)
        real["close"](descriptor)  # which it is even where closing fails
        if place is not None:
            disk.begin("close", place)

    def stream(path: Any, mode: str = "r", *args: Any, **words: Any) -> Any:
        if path in disk._paths and mode == "rb":
            return io.BufferedReader(Handed(path))
        place = None if isinstance(path, int) else disk.place(path)
        if place is None:
            return real_open(path, mode, *args, **words)
        if mode != "xb":
            disk.begin(f"open {mode}", place)
            return real_open(path, mode, *args, **words)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return io.BufferedWriter(Raw(os.open(path, flags, 0o666)))

    patched: dict[str, Any] = {name: by_path(name) for name in (*BY_PATH, *LOOKING)}
    patched |= {name: by_descriptor(name) for name in BY_DESCRIPTOR}
    patched |= {"open": open_, "close": close}
    for name, function in patched.items():
        setattr(os, name, function)
    io.open = stream
    try:
        yield disk
    finally:
        for name in names:
            setattr(os, name, real[name])
        io.open = real_open


@dataclass
class Strike:
    """Refuses call number ``at``, counted from 1, or lets the process die before it."""

    at: int
    error: int | None
    """errno; None to die"""
    count: int = 0

    def __call__(self, name: str, path: Path) -> None:
        if self.error is None and name in LOOKING:
            return  # what is found is as it was before the call that follows
        self.count += 1
        if self.count != self.at:
            return
        if self.error is None:
            os._exit(9)
        raise OSError(self.error, os.strerror(self.error), str(path))


@dataclass
class Full:
    """A disk with room for ``room`` bytes below ``root``, until ``freed``."""

    root: Path
    room: int
    freed: bool = False
    refusals: int = 0

    def __call__(self, name: str, path: Path) -> None:
        if self.freed or name not in ("write", "mkdir"):
            return
        used = sum(
            file.stat().st_size for file in self.root.rglob("*") if file.is_file()
        )
        if used >= self.room:
            self.refusals += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
