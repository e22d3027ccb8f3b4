"""Raw files -> corpus, part by part: what a process does that cleans some of them."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from slangmod.commands.counting import amount, counted
from slangmod.errors import DataError
from slangmod.files import sha256_of
from slangmod.settings.sections import Settings
from slangmod.syncing import make_folder
from slangmod.text.cleaning import build_cleaner, build_cutter
from slangmod.text.documents import RawFile, split_of_file
from slangmod.text.readers import Oddities, read_documents
from slangmod.text.splitting import Document, Plan

PART_BYTES: Final = 1 << 28
"""Raw files that follow each other are one part until they have so many bytes."""
MOST_PARTS: Final = 256
"""Where there is more text, parts are larger: files are kept open by those who read."""

MOST_FAULTS: Final = 20
"""Files that could not be read to their end of which it is said why."""

Part = tuple[RawFile, ...]


def parts_of(files: tuple[RawFile, ...]) -> tuple[Part, ...]:
    """Files in their order, divided; the same however many processes there are."""
    sizes = [size_of(file) for file in files]
    enough = max(PART_BYTES, -(-sum(sizes) // MOST_PARTS))
    parts: list[Part] = []
    begin = held = 0
    for end, size in enumerate(sizes, 1):
        held += size
        if held >= enough or end == len(files):
            parts.append(files[begin:end])
            begin, held = end, 0
    return tuple(parts)


def size_of(file: RawFile) -> int:
    """Bytes on disk; 0 where that cannot be known, which whoever reads it will tell."""
    try:
        return file.path.stat().st_size
    except OSError:
        return 0


@dataclass
class Found:
    """What cleaning some files has found, in numbers and in words; adds up."""

    documents: dict[str, int] = field(default_factory=dict)
    """kept, by split"""
    characters: dict[str, int] = field(default_factory=dict)
    named: dict[str, int] = field(default_factory=dict)
    """characters by the split that the file's name asks for, "" for none"""
    dropped: int = 0
    nulls: int = 0
    surrogates: int = 0
    faults: list[str] = field(default_factory=list)
    """why a file was not read to its end, where that is put up with"""
    files: list[tuple[str, str, str]] = field(default_factory=list)
    """what was written: split, its folder and name, sha256"""

    @classmethod
    def sum(cls, parts: Iterable["Found"]) -> "Found":
        """Of several parts in their order, but for their files."""
        whole = cls()
        for part in parts:
            for name in ("documents", "characters", "named"):
                sums, more = getattr(whole, name), getattr(part, name)
                sums.update({key: sums.get(key, 0) + more[key] for key in more})
            whole.dropped += part.dropped
            whole.nulls += part.nulls
            whole.surrogates += part.surrogates
            whole.faults += part.faults
        return whole

    def asked_for(self) -> dict[str | None, int]:
        """Characters by the split that files ask for, None for no split."""
        return {split or None: count for split, count in self.named.items()}

    def in_words(self) -> Iterator[str]:
        """What was put up with, if anything."""
        if self.nulls:
            yield f"{amount(self.nulls, 'document')} null, and skipped"
        if self.surrogates:
            yield (
                f"in {amount(self.surrogates, 'document')}, surrogates that "
                "belong to no character became U+FFFD"
            )

    def faults_in_words(self, files: int) -> Iterator[str]:
        """Which of ``files`` were not read to their end, the first of many."""
        if not self.faults:
            return
        yield from (f"left out: {fault}" for fault in self.faults[:MOST_FAULTS])
        left = amount(len(self.faults), "file")
        yield f"{left} of {files} not read to the end (files.on_bad_file)"


@dataclass
class Source:
    """Cleaned documents out of raw files, and the count of what was dropped."""

    settings: Settings
    files: Part
    found: Found = field(default_factory=Found)

    def __post_init__(self) -> None:
        """Build what cleans and cuts, so that bad settings are found at once."""
        self.clean = build_cleaner(self.settings)
        self.cut = build_cutter(self.settings)

    def documents(self) -> Iterator[Document]:
        """All documents that are long enough, each with the split of its file."""
        self.found, oddities = Found(), Oddities()
        named = self.found.named
        least = self.settings.files.min_doc_len
        for file in self.files:
            asked = split_of_file(file.name)
            for text in self._read(file, oddities):
                for document in self.cut(self.clean(text)):
                    if len(document) < least:
                        self.found.dropped += 1
                    else:
                        named[asked or ""] = named.get(asked or "", 0) + len(document)
                        yield asked, document
        self.found.nulls, self.found.surrogates = oddities.nulls, oddities.surrogates

    def counted(self) -> Iterator[Document]:
        """The same, with a bar where somebody is looking."""
        return counted(self.documents(), self.settings, "clean")

    def _read(self, file: RawFile, oddities: Oddities) -> Iterator[str]:
        """The documents of one file; of a broken one, if allowed, those before."""
        files = self.settings.files
        try:
            yield from read_documents(file, files.column, oddities, files.max_doc_bytes)
        except DataError as error:
            if files.on_bad_file == "stop":
                raise
            self.found.faults.append(str(error))


def clean_part(
    settings: Settings, files: Part, folder: Path, plan: Plan, begin: int
) -> dict[str, Any]:
    """Write the documents of ``files`` into ``folder``, which is made; a ``Found``.

    ``begin``: characters of train in the parts before, where ``plan`` has cuts.
    """
    from slangmod.text.corpus import write_corpus

    make_folder(folder)
    source = Source(settings, files)
    written = write_corpus(folder, plan.deal(source.counted(), begin))
    found = source.found
    found.documents = {split: one.documents for split, one in written.items()}
    found.characters = {split: one.characters for split, one in written.items()}
    found.files = [
        (str(split_of_file(path.name)), f"{folder.name}/{path.name}", sha256_of(path))
        for path in sorted(folder.iterdir())
    ]
    return asdict(found)
