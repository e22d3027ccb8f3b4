"""What there is to say of the encodings of a run, its tokenizer and its corpus."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slangmod.data.checking import faults_of
from slangmod.data.shards import broken, encodings_folder, open_encodings, refuse_stale
from slangmod.errors import DataError, SlangmodError, UserError
from slangmod.files import MARKER, read_mark, sha256_of, unlisted, unsound
from slangmod.settings.paths import corpus_folder, tokenizer_path
from slangmod.settings.sections import Settings
from slangmod.text.provenance import made_from, record_path
from slangmod.text.tokenizer import open_codec


@dataclass(frozen=True)
class Verdict:
    """What was looked at, in words what is there, and what is wrong, a line each."""

    place: str
    holds: str
    problems: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """For a person: what is sound in one line, each problem in one."""
        if not self.problems:
            yield f"{self.place}: sound ({self.holds})"
        yield from self.problems


def verdict(place: Path, look: Callable[[list[str]], Iterator[str]]) -> Verdict:
    """What ``look`` yields of ``place``; it is given a list of what there is."""
    holds: list[str] = []
    problems: list[str] = []
    try:
        problems.extend(look(holds))
    except UserError as error:
        problems.extend(error.problems)
    except SlangmodError as error:
        problems.append(str(error))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problems.append(f"{getattr(error, 'filename', None) or place}: {reason}")
    return Verdict(str(place), ", ".join(holds), tuple(problems))


def verdict_on_corpus(settings: Settings) -> Verdict:
    """Of the files that ``clean`` has written, by hash."""
    folder = corpus_folder(settings)

    def look(holds: list[str]) -> Iterator[str]:
        way = "move it away, and run `slangmod clean`"
        listed = (read_mark(folder) or {}).get("files")
        if not folder.is_dir():
            holds.append("there is none, and training does without")
        elif not isinstance(listed, dict):
            yield f"{folder / MARKER}: does not say what clean has written; {way}"
        else:
            holds.append(f"{len(listed)} files")
            for name in unsound(folder):
                yield f"{folder / name}: is not as clean has written it; {way}"
            for name in unlisted(folder):
                yield f"{folder / name}: was not made by clean; {way}"

    return verdict(folder, look)


def verdict_on_tokenizer(settings: Settings) -> Verdict:
    """Of the tokenizer file: whether it loads, and is as ``tokenize`` has made it."""
    path = tokenizer_path(settings)

    def look(holds: list[str]) -> Iterator[str]:
        codec = open_codec(settings)
        holds.append(f"{codec.vocab_size} tokens")
        if record_path(path).exists() and made_from(path) is None:
            yield (
                f"{path}: is not as tokenize has made it; run `slangmod tokenize "
                "encode`, or bring the old one back"
            )

    return verdict(path, look)


def verdict_on_encodings(settings: Settings) -> Verdict:
    """Of the shards, each by size, hash, and what its numbers mean."""
    try:
        folder = encodings_folder(settings)
    except DataError as error:
        return Verdict(f"{settings.workdir}/encodings", "", error.problems)

    def look(holds: list[str]) -> Iterator[str]:
        encodings = open_encodings(folder)
        manifest = encodings.manifest
        for name, split in manifest.splits.items():
            holds.append(f"{name} of {split.tokens} tokens")
        for name, reason in faults_of(folder, manifest):
            yield str(broken(folder / name, reason))
        if manifest.tokenizer_sha256 != sha256_of(tokenizer_path(settings)):
            yield str(broken(folder, "is by another tokenizer than its name says"))
        if not strange(corpus_folder(settings)):
            refuse_stale(settings, folder, as_marked)

    return verdict(folder, look)


def strange(corpus: Path) -> bool:
    """Whether a corpus lacks files of its own or has others, as its verdict says."""
    listed = (read_mark(corpus) or {}).get("files")
    there = {path.name for path in corpus.glob("*.parquet")}
    return isinstance(listed, dict) and there != set(listed)


def as_marked(paths: Sequence[Path]) -> list[str]:
    """sha256 of the files of a corpus, as ``clean`` has written them down.

    Whether they still are so, the verdict on the corpus says.
    """
    listed = (read_mark(paths[0].parent) or {}).get("files") if paths else None
    known = listed if isinstance(listed, dict) else {}
    return [str(known.get(path.name) or sha256_of(path)) for path in paths]
