"""What a file system may have kept of a course of calls when power failed.

A name (made, renamed, removed) is kept for certain once its folder has been synced
after; before that, any of them may be there and any missing, in whatever combination,
as if each stood in a journal of its own. The bytes of a file are kept for certain once
it has been synced; what was written after that may be there, missing, half there,
zeros, or garbled.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

VARIANTS = {
    "there": lambda kept, more: kept + more,
    "missing": lambda kept, more: kept + more[:0],
    "half": lambda kept, more: kept + more[: len(more) // 2],
    "zeros": lambda kept, more: kept + bytes(len(more)),
    "garbled": lambda kept, more: kept + bytes(byte ^ 1 for byte in more),
}
"""By name: what is found of a file, given its synced bytes and the later ones."""

MOST = 6
"""Changes of names that are combined in all ways; of more, a sample."""


@dataclass
class Node:
    """A file or a folder."""

    folder: bool
    now: bytes = b""
    kept: bytes = b""
    names: dict[str, int] = field(default_factory=dict)


Change = tuple[int, str, str | None, int]
"""Folder, name that goes away ("" for none), name that comes, and what it names."""


class Journal:
    """The file system below ``root`` as calls change it; see ``faulty_disk.Disk``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.nodes = [Node(True)]
        self.kept: dict[int, dict[str, int]] = {0: {}}
        self.pending: list[Change] = []
        for path in sorted(root.rglob("*")):
            self.note("mkdir" if path.is_dir() else "create", path)
            if path.is_file():
                self.note("write", path, path.read_bytes())
                self.note("fsync", path)
            self.note("fsync", path.parent)

    def find(self, path: Path) -> int:
        """The node that ``path`` names now."""
        number = 0
        for part in path.relative_to(self.root).parts:
            number = self.nodes[number].names[part]
        return number

    def note(self, name: str, path: Path, detail: object = None) -> None:
        """Take note of a call that has been made."""
        if name in ("mkdir", "create"):
            self.nodes.append(Node(name == "mkdir"))
            self.kept[len(self.nodes) - 1] = {}
            self._change(path, None, path.name, len(self.nodes) - 1)
        elif name == "write":
            assert isinstance(detail, bytes)
            self.nodes[self.find(path)].now += detail
        elif name in ("rename", "replace"):
            assert isinstance(detail, Path)
            assert detail.parent == path.parent
            self._change(path, path.name, detail.name, self.find(path))
        elif name in ("unlink", "rmdir"):
            self._change(path, path.name, None, -1)
        elif name == "fsync":
            self._sync(self.find(path))

    def _change(self, path: Path, old: str | None, new: str | None, node: int) -> None:
        change = self.find(path.parent), old or "", new, node
        apply(self.nodes[change[0]].names, change)
        self.pending.append(change)

    def _sync(self, number: int) -> None:
        node = self.nodes[number]
        node.kept = node.now
        for change in [one for one in self.pending if one[0] == number]:
            apply(self.kept[number], change)
            self.pending.remove(change)

    def crashes(self) -> Iterator[dict[str, bytes]]:
        """All that may be found, as the contents of files by their paths."""
        seen = set()
        for chosen, variant in product(self._choices(), VARIANTS.values()):
            names = {number: dict(kept) for number, kept in self.kept.items()}
            for change in chosen:
                apply(names[change[0]], change)
            tree: dict[str, bytes] = {}
            self._collect(0, "", names, variant, tree)
            frozen = tuple(sorted(tree.items()))
            if frozen not in seen:
                seen.add(frozen)
                yield tree

    def _choices(self) -> Iterator[list[Change]]:
        pending = self.pending
        count = len(pending)
        if count <= MOST:
            masks = list(range(2**count))
        else:
            chance = random.Random(count)
            masks = [2**n - 1 for n in range(count + 1)]  # those up to one
            masks += [1 << n for n in range(count)]  # one
            masks += [2**count - 1 - (1 << n) for n in range(count)]  # all but one
            masks += [chance.getrandbits(count) for _ in range(30)]
        for mask in masks:
            yield [change for place, change in enumerate(pending) if mask >> place & 1]

    def _collect(self, number, prefix, names, variant, tree) -> None:
        for name, child in names[number].items():
            node = self.nodes[child]
            if node.folder:
                tree[f"{prefix}{name}/"] = b""
                self._collect(child, f"{prefix}{name}/", names, variant, tree)
            else:
                tree[prefix + name] = variant(node.kept, node.now[len(node.kept) :])


def apply(names: dict[str, int], change: Change) -> None:
    """Change the names in a folder; what a rename brings comes whatever was before."""
    _, old, new, node = change
    names.pop(old, None)
    if new is not None:
        names[new] = node


def put(tree: dict[str, bytes], folder: Path) -> None:
    """Make ``tree`` in ``folder``, which is empty."""
    for path, content in sorted(tree.items()):
        if path.endswith("/"):
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(content)
