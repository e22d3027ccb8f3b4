"""``clean``: raw documents -> corpus."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slangmod.commands.call import Call
from slangmod.commands.counting import amount, counted, spaced
from slangmod.errors import DataError
from slangmod.files import (
    folder_aside,
    mark,
    read_mark,
    refuse_foreign,
    sha256_of,
    unsound,
)
from slangmod.settings.paths import corpus_folder
from slangmod.settings.sections import Settings
from slangmod.text.cleaning import build_cleaner, build_cutter
from slangmod.text.documents import (
    SPLITS,
    RawFile,
    find_files,
    fingerprints,
    split_of_file,
)
from slangmod.text.readers import Oddities, read_documents
from slangmod.text.splitting import Document, Plan, plan_around

logger = logging.getLogger(__name__)

MOST_FAULTS = 20
"""Files that could not be read to their end of which it is said why."""


def run(call: Call) -> None:
    """Make the corpus that the settings ask for."""
    clean(call.settings)


def clean(settings: Settings) -> None:
    """Read raw documents, clean them, deal them out to splits, write the corpus.

    Does nothing if the corpus was made from the same files with the same settings.
    Raises DataError, and leaves everything as it was, if anything cannot be read or if
    there are files in the corpus folder that slangmod has not made.
    """
    folder = corpus_folder(settings)
    files = find_files(settings.files.raw, settings.files.suffix, settings.workdir)
    source = Source(settings, files)
    refuse_foreign(folder)
    skips = settings.files.on_bad_file == "skip"
    raw = fingerprints(files, unreadable=skips)
    inputs = {"settings": _what_matters(settings), "raw": raw}
    if folder.exists():
        _refuse_changed(folder)
        same = (read_mark(folder) or {}).get("inputs") == inputs
        if same and not unsound(folder):
            logger.info("clean: %s is up to date, nothing to do", folder)
            return
    _warn_of_unnamed(files)
    with folder_aside(folder) as aside:
        told = _fill(aside, source)
        digests = {path.name: sha256_of(path) for path in sorted(aside.iterdir())}
        mark(aside, {"made_by": "clean", "inputs": inputs, "files": digests})
    for line in (*source.in_words(), *told):
        logger.info("clean: %s", line)
    for line in source.faults_in_words():
        logger.warning("clean: %s", line)


@dataclass
class Source:
    """Cleaned documents out of raw files, and the count of what was dropped."""

    settings: Settings
    files: tuple[RawFile, ...]
    oddities: Oddities = field(default_factory=Oddities)
    dropped: int = 0
    faults: list[str] = field(default_factory=list)
    """why a file was not read to its end, where that is put up with"""

    def __post_init__(self) -> None:
        """Build what cleans and cuts, so that bad settings are found at once."""
        self.clean = build_cleaner(self.settings)
        self.cut = build_cutter(self.settings)

    def documents(self) -> Iterator[Document]:
        """All documents that are long enough, each with the split of its file."""
        self.oddities, self.dropped = Oddities(), 0
        self.faults.clear()
        least = self.settings.files.min_doc_len
        for file in self.files:
            named = split_of_file(file.name)
            for text in self._read(file):
                for document in self.cut(self.clean(text)):
                    if len(document) < least:
                        self.dropped += 1
                    else:
                        yield named, document

    def _read(self, file: RawFile) -> Iterator[str]:
        """The documents of one file; of a broken one, if allowed, those before."""
        files = self.settings.files
        try:
            yield from read_documents(
                file, files.column, self.oddities, files.max_doc_bytes
            )
        except DataError as error:
            if files.on_bad_file == "stop":
                raise
            self.faults.append(str(error))

    def faults_in_words(self) -> Iterator[str]:
        """Which files were not read to their end, the first of many, and how many."""
        if not self.faults:
            return
        yield from (f"left out: {fault}" for fault in self.faults[:MOST_FAULTS])
        left = amount(len(self.faults), "file")
        yield f"{left} of {len(self.files)} not read to the end (files.on_bad_file)"

    def in_words(self) -> Iterator[str]:
        """What was put up with, if anything."""
        if self.oddities.nulls:
            yield f"{amount(self.oddities.nulls, 'document')} null, and skipped"
        if self.oddities.surrogates:
            yield (
                f"in {amount(self.oddities.surrogates, 'document')}, surrogates that "
                "belong to no character became U+FFFD"
            )


def _refuse_changed(folder: Path) -> None:
    """Raise DataError if somebody has changed a file of the corpus by hand."""
    for name in unsound(folder):
        if (folder / name).exists():
            raise DataError(
                f"{folder / name}: was changed after slangmod had made it, so {folder} "
                "is left alone; move it away to have it made anew"
            )


def _fill(folder: Path, source: Source) -> list[str]:
    """Write all documents into ``folder``; what there is to say of them."""
    from slangmod.text.corpus import write_corpus

    def read() -> Iterator[Document]:
        return counted(source.documents(), source.settings, "clean")

    plan = Plan()
    written = write_corpus(folder, plan.deal(read()))
    kept = sum(split.documents for split in written.values())
    if not kept:
        faults = f"; {source.faults[0]}" if source.faults else ""
        raise DataError(
            f'files.raw = "{source.settings.files.raw}": no document is left; '
            f"{source.dropped} were shorter than files.min_doc_len = "
            f"{source.settings.files.min_doc_len}{faults}"
        )
    if not all(written[split].characters for split in SPLITS):
        plan = plan_around(read)
        for path in folder.iterdir():
            path.unlink()
        written = write_corpus(folder, plan.deal(read()))
    least = source.settings.files.min_doc_len
    each = ", ".join(f"{s} {spaced(w.documents)}" for s, w in written.items())
    characters = sum(split.characters for split in written.values())
    count = (
        f"{amount(kept, 'document')} kept ({amount(characters, 'character')}), "
        f"{spaced(source.dropped)} dropped (shorter than {amount(least, 'character')})"
        f"; {each}"
    )
    return [count, *filter(None, [plan.in_words()])]


def _what_matters(settings: Settings) -> dict[str, Any]:
    """The settings that change the corpus, given the raw files."""
    files, tokens = settings.files, settings.tokens
    matters: dict[str, Any] = {
        "column": files.column,
        "min_doc_len": files.min_doc_len,
        "cleaners": list(files.cleaners),
        "eos_regex": tokens.eos_regex,
    }
    if files.on_bad_file == "skip":
        matters["on_bad_file"] = "skip"
    if "encoding" in files.cleaners:
        matters["encoding"] = files.encoding
    if "wiki40b" in files.cleaners:
        matters["eos_string"] = tokens.eos_string
    return matters


def _warn_of_unnamed(files: tuple[RawFile, ...]) -> None:
    """Where some files are named for a split, those that are not may be a slip."""
    unnamed = [file.name for file in files if split_of_file(file.name) is None]
    if 0 < len(unnamed) < len(files):
        more = f" and {len(unnamed) - 3} more" if len(unnamed) > 3 else ""
        logger.warning(
            "clean: the names of %s%s say nothing of train, test or validation; "
            "each of their documents goes by a hash of its text",
            ", ".join(unnamed[:3]),
            more,
        )
