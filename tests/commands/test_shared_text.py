"""Corpus, tokenizer and shards are the same, whoever has made their parts."""

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from slangmod.commands import raw_parts
from slangmod.commands.clean import clean
from slangmod.commands.encode import encode
from slangmod.commands.tokenize import run, tokenize
from slangmod.data.shards import encodings_folder
from slangmod.errors import DataError, RunError, UserError
from slangmod.parallel import meeting
from slangmod.parallel.crew import ALONE, Crew
from slangmod.parallel.together import together
from slangmod.settings.sections import Settings
from slangmod.text import corpus

WORDS = "the cat sat on a mat, and then it was gone; nobody knew where".split()  # noqa: SIM905


def write_raw(folder: Path, names: tuple[str, ...], documents: int) -> None:
    """Files of ``documents`` each, of all kinds."""
    chance = random.Random(7)
    folder.mkdir()
    for name in names:
        texts = [" ".join(chance.choices(WORDS, k=40)) for _ in range(documents)]
        lines = "\n".join(json.dumps({"text": text}) for text in texts)
        if name.endswith(".gz"):
            (folder / name).write_bytes(gzip.compress(lines.encode()))
        elif name.endswith(".txt"):
            (folder / name).write_text("\n".join(texts))
        else:
            (folder / name).write_text(lines)


HASHED = ("a.jsonl", "b.jsonl.gz", "c.jsonl", "d.txt", "e.txt", "f.jsonl")
NAMED = ("train-1.txt", "train-2.txt", "test.txt", "train-3.txt", "train-4.jsonl")
"""Dealt out by the hashes of documents; and with validation cut off the end."""


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Parts, groups and pauses so small that there are many of them."""
    monkeypatch.setattr(raw_parts, "PART_BYTES", 5000)
    monkeypatch.setattr(corpus, "GROUP_CHARACTERS", 2000)
    monkeypatch.setattr(meeting, "SECONDS_BETWEEN_BEATS", 0.2)
    monkeypatch.setattr(meeting, "SECONDS_BETWEEN_LOOKS", 0.005)


@pytest.fixture
def work(tmp_path):
    """Makes settings whose work is in a folder of that name."""

    def make(name: str, names: tuple[str, ...] = HASHED, **tokens: object) -> Settings:
        if not (tmp_path / "raw").exists():
            write_raw(tmp_path / "raw", names, 60)
        return Settings.model_validate(
            {
                "workdir": str(tmp_path / name),
                "files": {"raw": str(tmp_path / "raw"), "cleaners": ("quotes",)},
                "tokens": {"algo": "bpe", "vocab": 300, **tokens},
                "threads": 1,
                "progress": False,
                "parallel": {"timeout": "20s"},
            }
        )

    return make


def made(settings: Settings, crew: Crew = ALONE) -> None:
    """Corpus, tokenizer and shards."""
    clean(settings, crew)
    with together(Path(settings.workdir) / "t", crew, 20.0) as team:
        team.tell(lambda: tokenize(settings))
    encode(settings, crew)


def made_by(settings: Settings, size: int) -> list[BaseException | None]:
    """The same by a crew; how each ended."""
    found: list[BaseException | None] = [None] * size

    def one(rank: int) -> None:
        try:
            made(settings, Crew(rank, size))
        except Exception as error:
            found[rank] = error

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def content_of(settings: Settings) -> dict[str, bytes]:
    """All files of a folder of work."""
    folder = Path(settings.workdir)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("names", "dropout"),
    [
        (HASHED, 0.0),
        pytest.param(HASHED, 0.2, marks=SLOW),
        pytest.param(NAMED, 0.0, marks=SLOW),
        pytest.param(NAMED, 0.2, marks=SLOW),
    ],
)
def test_a_crew_makes_what_one_process_makes(work, names, dropout):
    alone = work("alone", names, dropout=dropout)
    made(alone)
    crew = work("crew", names, dropout=dropout)
    assert made_by(crew, 3) == [None] * 3
    assert content_of(crew) == content_of(alone)
    assert len([*Path(alone.workdir, "corpus").glob("train-*")]) > 2
    assert len([*Path(alone.workdir, "corpus").glob("test-*")]) == 1
    manifest = json.loads((encodings_folder(alone) / "manifest.json").read_text())
    assert len(manifest["splits"]["train"]["shards"]) > 2


@SLOW
def test_parts_hold_what_the_whole_holds(work, monkeypatch):
    parts, whole = work("parts"), work("whole")
    made(parts)
    monkeypatch.setattr(raw_parts, "PART_BYTES", 1 << 30)
    made(whole)
    for split in ("train", "test", "validation"):
        of_parts = [*corpus.corpus_documents(Path(parts.workdir, "corpus"), split)]
        of_whole = [*corpus.corpus_documents(Path(whole.workdir, "corpus"), split)]
        assert of_parts == of_whole
    ids = [
        b"".join(path.read_bytes() for path in sorted(folder.glob("train-*.bin")))
        for folder in map(encodings_folder, (parts, whole))
    ]
    assert ids[0] == ids[1]


@SLOW
def test_what_is_there_is_not_made_again(work, caplog):
    settings = work("w")
    assert made_by(settings, 2) == [None] * 2
    before = content_of(settings)
    caplog.set_level("INFO")
    caplog.clear()
    assert made_by(settings, 2) == [None] * 2
    assert content_of(settings) == before
    told = [line for line in caplog.messages if "up to date" in line]
    assert [line.split(":")[0] for line in told] == ["clean", "tokenize", "encode"]


@SLOW
def test_a_broken_file_ends_all_and_leaves_nothing_made(work, tmp_path):
    settings = work("w")
    (tmp_path / "raw" / "c.jsonl").write_text("{")
    found = made_by(settings, 2)
    assert all(isinstance(error, UserError) for error in found)
    assert all("c.jsonl:1: not valid JSON" in str(error) for error in found)
    assert not [*Path(settings.workdir).iterdir()]
    write_raw(tmp_path / "other", ("c.jsonl",), 60)
    (tmp_path / "other" / "c.jsonl").replace(tmp_path / "raw" / "c.jsonl")
    assert made_by(settings, 2) == [None] * 2
    assert not Path(settings.workdir, ".crew-corpus").exists()


@SLOW
def test_a_repetition_goes_on_with_the_parts_that_are_there(work, monkeypatch):
    settings, once = work("w"), work("once")
    made(once)
    cleaned: list[str] = []
    real = raw_parts.clean_part

    def failing(settings, files, *rest):
        if files[0].name == "e.txt" and not cleaned[6:]:
            raise RunError("the machine is gone")
        cleaned.append(files[0].name)
        return real(settings, files, *rest)

    monkeypatch.setattr("slangmod.commands.clean.clean_part", failing)
    assert all(isinstance(error, RunError) for error in made_by(settings, 2))
    before = [*cleaned]
    monkeypatch.setattr("slangmod.commands.clean.clean_part", real)
    counted: list[str] = []

    def noting(settings, files, *rest):
        counted.append(files[0].name)
        return real(settings, files, *rest)

    monkeypatch.setattr("slangmod.commands.clean.clean_part", noting)
    assert made_by(settings, 2) == [None] * 2
    assert "e.txt" in counted
    assert {*before}.isdisjoint(counted)
    assert content_of(settings) == content_of(once)


@SLOW
def test_parts_that_were_cut_before_a_failure_are_made_anew(work, monkeypatch):
    """What was dealt before the cuts were known has to go, and they lie beside it."""
    settings, once = work("w", NAMED), work("once", NAMED)
    made(once)
    real = raw_parts.clean_part

    def failing(settings, files, folder, plan, *rest):
        if plan.cuts and files[0].name == "train-4.jsonl":
            raise RunError("the machine is gone")
        return real(settings, files, folder, plan, *rest)

    monkeypatch.setattr("slangmod.commands.clean.clean_part", failing)
    assert all(isinstance(error, RunError) for error in made_by(settings, 2))
    monkeypatch.setattr("slangmod.commands.clean.clean_part", real)
    assert made_by(settings, 2) == [None] * 2
    assert content_of(settings) == content_of(once)


def test_a_crew_meets_in_the_folder_of_work_wherever_the_tokenizer_is(
    work, tmp_path, monkeypatch
):
    places = []

    def noting(path, *rest):
        places.append(path)
        return together(path, *rest)

    monkeypatch.setattr("slangmod.commands.tokenize.together", noting)
    settings = work("w").replace(
        **{"files.tokenizer": str(tmp_path / "far" / "t.json")}
    )
    clean(settings)
    run(SimpleNamespace(settings=settings))
    assert [path.parent for path in places] == [tmp_path / "w"]
    assert (tmp_path / "far" / "t.json").is_file()


@SLOW
def test_a_split_that_nobody_can_fill_is_refused_by_all(work, tmp_path):
    settings = work("w")
    for path in (tmp_path / "raw").iterdir():
        path.unlink()
    (tmp_path / "raw" / "a.txt").write_text("")
    found = made_by(settings, 2)
    assert all("no document is left" in str(error) for error in found)
    with pytest.raises(DataError, match="no document is left"):
        clean(settings)


CONFIG = """
workdir = "{name}"
progress = false
threads = {threads}
[files]
raw = "raw"
[tokens]
algo = "bpe"
vocab = 300
[parallel]
timeout = "60s"
"""
PROGRAM = (
    "from slangmod.commands import raw_parts; raw_parts.PART_BYTES = 20_000; "
    "import sys; from slangmod.cli import main; sys.exit(main(sys.argv[1:]))"
)
ACTIONS = ("clean", "tokenize", "encode")


def command(name: str, *words: str, threads: int = 1) -> list[str]:
    """The whole pipeline, in small parts, in the folder ``name``."""
    Path(f"{name}.toml").write_text(CONFIG.format(name=name, threads=threads))
    return [sys.executable, *words, *ACTIONS, "--toml", f"{name}.toml"]


def started(name: str, size: int) -> list[subprocess.Popen[str]]:
    """The processes of a step of SLURM."""
    return [
        subprocess.Popen(
            command(name, "-c", PROGRAM),
            env={
                **os.environ,
                "SLURM_STEP_ID": "0",
                "SLURM_PROCID": str(rank),
                "SLURM_NTASKS": str(size),
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with raw text, and what one process makes of it."""
    monkeypatch.chdir(tmp_path)
    write_raw(tmp_path / "raw", HASHED, 400)
    subprocess.run(command("alone", "-c", PROGRAM), check=True)
    return tmp_path


def files_of(name: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(name)): path.read_bytes()
        for path in sorted(Path(name).rglob("*"))
        if path.is_file() and ".aside-" not in str(path)
    }


@SLOW
@pytest.mark.parametrize("size", [2, 4])
def test_processes_of_srun_make_the_same_files(place, size):
    processes = started("srun", size)
    told = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * size
    assert files_of("srun") == files_of("alone")
    assert "documents kept" in told[0]
    assert told[1:] == [""] * (size - 1)


@SLOW
def test_processes_of_torchrun_make_the_same_files(place):
    run = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    slangmod = command("torchrun")[1:]
    subprocess.run([*run, "-m", "slangmod", *slangmod], check=True)
    subprocess.run([sys.executable, "-m", "slangmod", *command("one")[1:]], check=True)
    assert files_of("torchrun") == files_of("one")


@SLOW
def test_several_cores_make_the_same_files(place):
    words = command("cores", "-c", PROGRAM, threads=3)
    subprocess.run(words, check=True)
    assert files_of("cores") == files_of("alone")


@SLOW
def test_killed_at_any_instant_and_started_again_all_make_the_same_files(place):
    chance = random.Random(1)
    for number in range(8):
        processes = started("killed", 3)
        time.sleep(chance.uniform(0.3, 3.0))
        victim = number % 3
        processes[victim].send_signal(signal.SIGKILL)
        for process in processes:  # as srun does where one of its tasks has died
            process.kill()
            process.communicate()
    processes = started("killed", 3)
    told = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 3, told
    assert files_of("killed") == files_of("alone")
