"""A pipe in place of a file, which nobody writes, makes no command wait."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slangmod.commands.chat import read_system
from slangmod.errors import DataError
from slangmod.growing import Growing
from slangmod.locks import locked
from slangmod.reading import IrregularError, open_regular, regular
from slangmod.search.storage import open_journal
from tests.cases import mostly_slow
from tests.reliability.workplace import Here

RUN = "runs/first"
LAST = f"{RUN}/checkpoints/step-000000006"
LOOK = (("compare",), ("report",), ("summarize",), ("monitor",), ("verify",))
USE = (
    ("evaluate", "--name", "first"),
    ("generate", "the", "--name", "first", "--chat.max_tokens", "2"),
    ("replay", "--step", "3", "--name", "first"),
)
GO_ON = (
    ("train", "--continue", "--toml", "config.toml", "--name", "first"),
    ("resume", "--name", "first", "--train.max_steps", "7"),
)
ANEW = ("train", "--toml", "config.toml", "--name", "new")

TABLES = ("steps.csv", "epochs.csv", "memory.csv", "speed.csv", "samples.jsonl")
OTHERS = ("incidents.jsonl", "train.log", "summary.toml", "run.lock", "run.holder")
OF_RUN = [f"{RUN}/{name}" for name in (*TABLES, *OTHERS)]
OF_CHECKPOINT = [
    f"{LAST}/{name}" for name in ("manifest.json", "model.safetensors", "state.json")
]
OF_MODEL = [
    f"{RUN}/model/{name}"
    for name in ("model.safetensors", "config.json", "tokenizer.json", ".slangmod.json")
]
OF_DATA = [
    *("encodings-*/train-00000.bin", "encodings-*/train-00000.ends"),
    *("encodings-*/token_bytes.bin", "encodings-*/manifest.json"),
    *("encodings-*/.slangmod.json", "corpus/train-00000.parquet"),
    "tokenizer-*.json",
]


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Ends what waits, by a signal; of a library that goes on the whole test ends."""

    def end(*_: object) -> None:
        raise TimeoutError("it waits for whoever writes the pipe")

    old = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


def piped(here: Here, pattern: str) -> Path:
    """Put a pipe in place of that file."""
    path = next(here.folder.glob(pattern), here.folder / pattern)
    if path.exists():
        path.unlink()
    os.mkfifo(path)
    return path


def ends(here: Here, *words: str) -> int:
    """The exit code of a command, which says what it has to say in clean lines."""
    with at_most(60):
        told = here.run(*words)
    said = " ".join([*told.errors, told.rest])
    assert "Traceback" not in said, words
    assert "unexpected" not in said, words
    assert "waits for" not in said, words
    assert len(told.errors) == (told.code in (1, 2) and words[0] != "verify"), told
    return told.code


@pytest.mark.timeout(300)
@pytest.mark.parametrize("pattern", OF_RUN)
def test_of_a_run(here: Here, promise, pattern: str) -> None:
    piped(here, pattern)
    for words in LOOK:
        assert ends(here, *words) in ((0, 1) if words == ("verify",) else (0,)), words
    for words in GO_ON:
        line = here.refused(*words)
        assert line == f"{pattern}: is not a regular file; remove it"
    promise("R17", len(LOOK) + len(GO_ON))


@pytest.mark.timeout(300)
def test_of_its_settings(here: Here, promise) -> None:
    piped(here, f"{RUN}/config.toml")
    for words in LOOK[:4]:
        assert ends(here, *words) == 0
    for words in (*USE, *GO_ON):
        assert "config.toml: is " in here.refused(*words)
    promise("R17", 4 + len(USE) + len(GO_ON))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("pattern", mostly_slow(OF_CHECKPOINT, OF_CHECKPOINT[-1:]))
def test_of_a_checkpoint(here: Here, promise, pattern: str) -> None:
    name = Path(piped(here, pattern)).name
    assert ends(here, "verify") == 1
    assert ends(here, *USE[2]) == 0
    told = here.run(*GO_ON[1])
    assert (told.code, told.errors) == (0, [])
    assert f"{name}: " in told.rest
    assert "going back to step-000000004" in told.rest
    promise("R7", 3)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("pattern", OF_MODEL)
def test_of_a_model(here: Here, promise, pattern: str) -> None:
    name = Path(piped(here, pattern)).name
    assert ends(here, "verify") == 1
    for words in USE[:2]:
        assert name in here.refused(*words)
    assert ends(here, "resume", "--name", "first") in (0, 2)
    promise("R17", 4)


def test_of_a_model_from_before_there_were_hashes(here: Here, promise) -> None:
    (here.folder / RUN / "model" / ".slangmod.json").unlink()
    piped(here, f"{RUN}/model/model.safetensors")
    line = here.refused(*USE[1])
    assert "model.safetensors: not a regular file" in line
    promise("R17", 1)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("pattern", OF_DATA)
def test_of_data(here: Here, promise, pattern: str) -> None:
    name = piped(here, pattern).name
    assert ends(here, "verify") == 1
    assert name.partition("-")[0] in here.refused(*ANEW)
    for words in (GO_ON[1], USE[0]):
        assert ends(here, *words) in (0, 2)
    promise("R14", 4)


def test_of_the_mark_of_a_corpus(here: Here) -> None:
    piped(here, "corpus/.slangmod.json")
    assert ends(here, "verify") == 1
    assert ends(here, *ANEW) == 0


def test_of_a_base(here: Here, promise) -> None:
    os.mkfifo(here.folder / "below.toml")
    (here.folder / "a.toml").write_text('base = "below.toml"\n')
    line = here.refused("config", "show", "--toml", "a.toml")
    assert line == "below.toml: cannot be read: not a regular file"
    promise("R17", 1)


def test_what_a_user_names_may_be_a_pipe(here: Here) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"seed = 7\n")
    os.close(writing)
    assert ends(here, "config", "check", f"/dev/fd/{reading}") == 0
    os.close(reading)


def test_of_raw_text(here: Here) -> None:
    """A folder is searched without it; named itself, it is no file to be read."""
    os.mkfifo(here.folder / "raw" / "more.txt")
    assert ends(here, "clean", "--toml", "config.toml") == 0
    pipe = str(here.folder / "raw" / "more.txt")
    line = here.refused("clean", "--toml", "config.toml", "--files.raw", pipe)
    assert line.startswith(pipe)


def test_what_grows_is_no_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with at_most(60):
        error = Growing(tmp_path / "pipe").add(b"a")
        assert error is not None
        assert error.strerror == "not a regular file"
        with (
            pytest.raises(DataError, match="is no file, and so no lock"),
            locked(tmp_path / "pipe", "it"),
        ):
            pass
        with pytest.raises(DataError, match="not a regular file"):
            open_journal(tmp_path / "pipe")


def test_a_socket_a_pipe_with_a_writer_and_a_device_are_no_files(tmp_path) -> None:
    import socket

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDWR)
    (tmp_path / "null").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(tmp_path / "socket"))  # a long name does not fit
        for name in ("pipe", "null", "socket"):
            with pytest.raises(IrregularError, match="not a regular file"):
                open_regular(tmp_path / name)
            with pytest.raises(IrregularError):
                regular(tmp_path / name, os.O_WRONLY | os.O_APPEND)
    os.close(end)


def test_a_device_without_end_fills_no_memory(here: Here, promise) -> None:
    run = here.folder / RUN
    names = (*TABLES, *OTHERS[:3], "config.toml", "model/model.safetensors")
    for name in names:
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to("/dev/zero")
    for words in (*LOOK[:4], *GO_ON):
        assert ends(here, *words) in (0, 2), words
    assert read_system("/dev/zero") == "/dev/zero"
    promise("R17", len(names))


def test_a_folder_in_place_of_a_table_is_told_before_training(here, promise) -> None:
    others = "incidents.jsonl", "train.log", "summary.toml", ".sums.json"
    for name in (*TABLES, *others):
        path = here.folder / RUN / name
        kept = path.with_name("kept")
        if path.exists():
            path.rename(kept)
        path.mkdir()
        for words in GO_ON:
            line = here.refused(*words)
            assert line.startswith(f"{RUN}/{name}: ")
            assert line.endswith("move it away")
        path.rmdir()
        if kept.exists():
            kept.rename(path)
    promise("R9", 2 * len(TABLES))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everything")
def test_a_table_that_may_not_be_written_is_told_before_training(here) -> None:
    (here.folder / RUN / "steps.csv").chmod(0o444)
    assert "steps.csv: cannot be written: permission denied" in here.refused(*GO_ON[0])


def test_a_link_in_a_circle_is_refused_and_passed_over(here, promise) -> None:
    (here.folder / "runs" / "loop").symlink_to("loop")
    for words in (("verify", "loop"), ("train", *ANEW[1:3], "--name", "loop")):
        line = here.refused(*words)
        assert "is a symbolic link that leads in a circle" in line
    for words in (*LOOK, ("resume",)):
        assert ends(here, *words) == 0, words
    told = here.run("compare")
    assert "runs/loop: is a symbolic link" in told.rest
    promise("R18", 8)


def test_a_file_of_a_run_from_elsewhere_is_not_shown(here, promise) -> None:
    secret = here.folder.parent / "secret"
    secret.write_text('password = "hidden"\n')
    for name in ("config.toml", "summary.toml", "samples.jsonl", "steps.csv"):
        path = here.folder / RUN / name
        kept = path.read_bytes() if path.exists() else None
        path.unlink(missing_ok=True)
        path.symlink_to(secret)
        for action in ("report", "compare", "verify", "monitor", "summarize"):
            line = here.refused(action, "first")
            assert f"{name}: leads out of the working directory" in line
        told = here.run("summarize")
        assert f"{name}: leads out of the working directory" in told.rest
        path.unlink()
        if kept is not None:
            path.write_bytes(kept)
    promise("R18", 4 * 6)


def test_a_link_within_and_one_to_a_folder_elsewhere_are_read(here) -> None:
    run = here.folder / RUN
    shutil.move(run / "config.toml", here.folder / "elsewhere.toml")
    (run / "config.toml").symlink_to(here.folder / "elsewhere.toml")
    shutil.move(run / "model", here.folder.parent / "model")
    (run / "model").symlink_to(here.folder.parent / "model")
    for words in (("verify", "first"), USE[1]):
        assert ends(here, *words) == 0
