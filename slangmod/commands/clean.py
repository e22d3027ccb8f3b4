"""``clean``: raw documents -> corpus."""

import logging
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from slangmod import __version__
from slangmod.commands.call import Call
from slangmod.commands.counting import amount, counted, spaced, unwatched
from slangmod.commands.raw_parts import Found, Source, clean_part, parts_of, size_of
from slangmod.errors import DataError
from slangmod.files import (
    folder_aside,
    mark,
    move,
    read_mark,
    refuse_foreign,
    remove_folder,
    sha256_of,
    unsound,
)
from slangmod.parallel.crew import ALONE, Crew, crew_of, usable
from slangmod.parallel.sharing import Sharing
from slangmod.parallel.together import together
from slangmod.parallel.workers import results_of
from slangmod.settings.derived import seconds_of
from slangmod.settings.hashes import section_hash
from slangmod.settings.paths import corpus_folder
from slangmod.settings.sections import Settings
from slangmod.text.documents import (
    SPLITS,
    RawFile,
    find_files,
    fingerprints,
    split_of_file,
)
from slangmod.text.splitting import Plan, plan_around

logger = logging.getLogger(__name__)


def run(call: Call) -> None:
    """Make the corpus that the settings ask for."""
    clean(call.settings, crew_of(os.environ))


def clean(settings: Settings, crew: Crew = ALONE) -> None:
    """Read raw documents, clean them, deal them out to splits, write the corpus.

    Does nothing if the corpus was made from the same files with the same settings.
    Raises DataError, and leaves everything as it was, if anything cannot be read or if
    there are files in the corpus folder that slangmod has not made. Files are shared
    among ``crew`` and the cores of each machine; the corpus is the same for any number.
    """
    folder = corpus_folder(settings)
    files = find_files(settings.files.raw, settings.files.suffix, settings.workdir)
    source = Source(settings, files)
    refuse_foreign(folder)
    patience = seconds_of(settings.parallel.timeout)
    with together(folder, crew, patience) as team:
        team.agree(lambda: [[file.name, size_of(file)] for file in files])
        settings = settings if team.leads else unwatched(settings)
        work = Work(settings, source, crew, team)
        inputs = {"settings": _what_matters(settings), "raw": work.fingerprints()}
        if team.tell(lambda: _is_fresh(folder, inputs)):
            return
        if team.leads:
            _warn_of_unnamed(files)
        key = section_hash({"version": __version__, **inputs})
        with team.place(key, folder) as place:
            dealt = work.make(place, key)
            team.tell(lambda: _put_together(place, folder, dealt, team, inputs))
        if team.leads:
            dealt.say(settings, len(files))


@dataclass(frozen=True)
class Dealt:
    """Documents of all parts, and by which plan they went to their splits."""

    plan: Plan
    key: str
    """by which the team knows the parts"""
    parts: Sequence[Found]

    @property
    def whole(self) -> Found:
        """What all parts have in sum."""
        return Found.sum(self.parts)

    def say(self, settings: Settings, files: int) -> None:
        """Log what was kept, what was put up with, and what was not."""
        whole, least = self.whole, settings.files.min_doc_len
        each = ", ".join(f"{s} {spaced(n)}" for s, n in whole.documents.items())
        kept = amount(sum(whole.documents.values()), "document")
        count = (
            f"{kept} kept ({amount(sum(whole.characters.values()), 'character')}), "
            f"{spaced(whole.dropped)} dropped (shorter than "
            f"{amount(least, 'character')}); {each}"
        )
        for line in (*whole.in_words(), count, *filter(None, [self.plan.in_words()])):
            logger.info("clean: %s", line)
        for line in whole.faults_in_words(files):
            logger.warning("clean: %s", line)


@dataclass(frozen=True)
class Work:
    """The parts of a corpus, made by a team."""

    settings: Settings
    source: Source
    crew: Crew
    team: Sharing

    def fingerprints(self) -> dict[str, str]:
        """sha256 of each raw file, by name."""
        parts = parts_of(self.source.files)
        skips = self.settings.files.on_bad_file == "skip"
        hashed = partial(fingerprints, unreadable=skips)

        def work(numbers: list[int]) -> Iterator[dict[str, str]]:
            return results_of(self.processes(), hashed, [(parts[n],) for n in numbers])

        shared = self.team.share("", len(parts), work)
        return {name: digest for part in shared for name, digest in part.items()}

    def processes(self) -> int:
        """Of this machine, for this member of the crew."""
        return self.settings.threads or self.crew.cores or usable()

    def make(self, place: Path, key: str) -> "Dealt":
        """Clean all parts into ``place``, dealt out so that no split stays empty.

        Raises DataError if nothing is left.
        """
        dealt = Dealt(Plan(), f"{key}-dealt", self.parts(place, f"{key}-dealt", Plan()))
        if not sum(dealt.whole.documents.values()):
            raise self.nothing_left(dealt.whole)
        if all(dealt.whole.characters[split] for split in SPLITS):
            return dealt
        key = f"{key}-cut"
        told = self.team.tell(lambda: self.plan_anew(place, key))
        plan = Plan(**{**told, "cuts": tuple(map(tuple, told["cuts"]))})
        return Dealt(plan, key, self.parts(place, key, plan, dealt.parts))

    def plan_anew(self, place: Path, key: str) -> dict[str, Any]:
        """The plan by which no split stays empty; what was dealt before goes.

        So do parts that an earlier try has dealt by the same plan, under ``key``.
        """
        plan = plan_around(self.source.counted)
        self.team.forget(key)
        for folder in place.iterdir():
            remove_folder(folder)
        return asdict(plan)

    def parts(
        self, place: Path, key: str, plan: Plan, before: Sequence[Found] = ()
    ) -> list[Found]:
        """All parts by ``plan``; if it has cuts, ``before`` tells what is in each."""
        parts = parts_of(self.source.files)
        one_by_one = len(parts) == 1 or self.processes() == 1
        settings = self.settings if one_by_one else unwatched(self.settings)
        begins = [0, *accumulate(plan.before_cuts(one.asked_for()) for one in before)]

        def work(numbers: list[int]) -> Iterator[dict[str, Any]]:
            each = [
                (
                    settings,
                    parts[number],
                    place / f"{number:05d}-{uuid.uuid4().hex}",
                    plan,
                    begins[number] if before else 0,
                )
                for number in numbers
            ]
            made = results_of(self.processes(), clean_part, each)
            if one_by_one:
                return made
            return counted(made, self.settings, "clean", len(each), "parts")

        return [Found(**one) for one in self.team.share(key, len(parts), work)]

    def nothing_left(self, whole: Found) -> DataError:
        """What to raise where no document is left."""
        files = self.settings.files
        faults = f"; {whole.faults[0]}" if whole.faults else ""
        return DataError(
            f'files.raw = "{files.raw}": no document is left; {whole.dropped} were '
            f"shorter than files.min_doc_len = {files.min_doc_len}{faults}"
        )


def _is_fresh(folder: Path, inputs: dict[str, Any]) -> bool:
    """Whether the corpus is there, was made from ``inputs`` and is as it was written.

    Raises DataError where somebody has changed it.
    """
    if not folder.exists():
        return False
    _refuse_changed(folder)
    if (read_mark(folder) or {}).get("inputs") != inputs or unsound(folder):
        return False
    logger.info("clean: %s is up to date, nothing to do", folder)
    return True


def _refuse_changed(folder: Path) -> None:
    """Raise DataError if somebody has changed a file of the corpus by hand."""
    for name in unsound(folder):
        if (folder / name).exists():
            raise DataError(
                f"{folder / name}: was changed after slangmod had made it, so {folder} "
                "is left alone; move it away to have it made anew"
            )


def _put_together(
    place: Path, folder: Path, dealt: Dealt, team: Sharing, inputs: dict[str, Any]
) -> None:
    """Make ``folder`` the corpus, of the parts in ``place``.

    Files of a split are numbered through. Of test and validation, which are small,
    those of all parts become one.
    """
    from slangmod.text.corpus import join_files

    team.forget(dealt.key)
    written = [file for part in dealt.parts for file in part.files]
    with folder_aside(folder) as aside:
        digests: dict[str, str] = {}
        for split in SPLITS:
            files = [
                (place / name, digest) for s, name, digest in written if s == split
            ]
            if split != "train" and len(files) > 1:
                join_files(aside, split, [path for path, _ in files])
                made = sorted(aside.glob(f"{split}-*"))
                digests |= {path.name: sha256_of(path) for path in made}
                continue
            for number, (path, digest) in enumerate(files):
                name = f"{split}-{number:05d}.parquet"
                move(path, aside / name)
                digests[name] = digest
        files_of = dict(sorted(digests.items()))
        mark(aside, {"made_by": "clean", "inputs": inputs, "files": files_of})


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
        matters["max_doc_bytes"] = files.max_doc_bytes  # larger ones are left out
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
