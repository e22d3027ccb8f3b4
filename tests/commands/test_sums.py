"""What a run has recorded is held against its hashes, and no sound run is accused."""

import errno
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slangmod.cli import main
from slangmod.commands import sums
from slangmod.commands.sums import faults_of_sums
from slangmod.commands.watchdog import Watchdog
from slangmod.runs.directory import RunDir
from slangmod.training.manifest import OWN, own_hash, text_of
from slangmod.training.trainer import Trainer
from tests.cases import mostly_slow
from tests.reliability.small_work import make_work, train

RUN = Path("runs/first")
SUMS = RUN / ".sums.json"
RECORDED = (
    *("steps.csv", "epochs.csv", "memory.csv", "speed.csv"),
    *("samples.jsonl", "summary.toml"),
)
SAMPLES = ("--samples.every", "5", "--samples.prompts", '["the"]')
MORE = ("--name", "first", "--train.max_epochs", "3")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("summed") / "work"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_work(folder)
        assert train("first", *SAMPLES) == 0
    return folder


@pytest.fixture
def work(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a folder with a run that has ended, as the current one."""
    shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def verified(capsys) -> tuple[str, list[str]]:
    """What is said of the run where it is sound, or what is wrong with it."""
    capsys.readouterr()
    code = main(["verify", "first"])
    lines = capsys.readouterr().out.splitlines()
    wrong = [line for line in lines if ": sound (" not in line]
    assert code == bool(wrong)
    return lines[0], wrong


def flip(path: Path, place: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def stop_after_step(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM when so many steps are done."""
    taken = Trainer.take_step

    def take_step(self, state, *others):
        taken(self, state, *others)
        if state.counters.step == number:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Trainer, "take_step", take_step)


def test_all_that_is_recorded_is_known_by_hash(work, capsys):
    sound, wrong = verified(capsys)
    assert not wrong
    assert sound.endswith(f"model, {', '.join(RECORDED)} by hash)")


@pytest.mark.parametrize("name", mostly_slow(RECORDED, ("steps.csv",)))
def test_each_flipped_bit_is_one_line(work, capsys, name):
    path = RUN / name
    content = path.read_bytes()
    for share in range(8):
        flip(path, share * (len(content) - 1) // 7, bit=share)
        _, (line,) = verified(capsys)
        assert line.startswith(f"{path}:")
        path.write_bytes(content)
    digit = content.rindex(b"1")
    flip(path, digit)
    _, (line,) = verified(capsys)
    way = line.partition("; ")[2]
    known = f"{path}: differs from what was written when training ended; "
    assert line.startswith(known)
    assert ("resume --name first" in way) == (name == "summary.toml")
    assert ("backup" in way) == (name != "summary.toml")


def test_what_is_gone_or_a_link_is_told(work, capsys):
    (RUN / "speed.csv").unlink()
    (RUN / "memory.csv").rename("elsewhere")
    (RUN / "memory.csv").symlink_to(work / "elsewhere")
    _, (first, second) = verified(capsys)
    assert first.startswith("runs/first/memory.csv: is a link")
    assert second.startswith("runs/first/speed.csv: is missing; ")


def test_a_summary_that_was_changed_is_made_anew_by_its_way_out(work, capsys):
    text = (RUN / "summary.toml").read_text()
    (RUN / "summary.toml").write_text(text.replace("perplexity = ", "perplexity = 1"))
    _, (line,) = verified(capsys)
    assert "remove that file, and `slangmod resume --name first` writes it" in line
    (RUN / "summary.toml").unlink()
    _, (line,) = verified(capsys)
    assert line.startswith("runs/first/summary.toml: is missing; `slangmod resume")
    assert main(["resume", "--name", "first"]) == 0
    assert verified(capsys)[1] == []
    assert SUMS.exists()


def test_a_run_from_before_is_looked_at_as_before(work, capsys):
    SUMS.unlink()
    flip(RUN / "speed.csv", -2)
    sound, wrong = verified(capsys)
    assert not wrong
    assert sound.endswith("model, rows of steps.csv and epochs.csv)")


def test_a_run_that_was_stopped_is_known_by_hash_too(work, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after_step(12, patch)
        assert main(["resume", *MORE]) == 75
    assert verified(capsys)[0].endswith("summary.toml by hash)")
    flip(RUN / "steps.csv", -3)
    assert verified(capsys)[1]


def goes_on() -> None:
    assert main(["resume", *MORE]) == 0


def continues_otherwise() -> None:
    toml = ("--toml", "config.toml", *SAMPLES)
    change = ("--allow-change", "train.clip_grad", "--train.clip_grad", "0.1")
    assert main(["train", "--continue", *toml, *MORE, *change]) == 0


def is_left_alone() -> None:
    change = ("--allow-change", "train.clip_grad", "--train.clip_grad", "0.1")
    assert main(["resume", "--name", "first", *change]) == 0
    assert (RUN / "changes.json").exists()


def sums_up_anew() -> None:
    shutil.rmtree(RUN / "model")
    assert main(["resume", "--name", "first"]) == 0


def begins_anew() -> None:
    assert train("first", "--overwrite", "--train.max_steps", "3") == 0


def is_only_used() -> None:
    for action in ("evaluate", "report", "compare"):
        assert main([action, "--name", "first"]) == 0


@contextmanager
def looked_at_after_each_write(run: RunDir) -> Iterator[list[str]]:
    """What verify would find wrong, were the process killed then."""
    writes = (os.write, os.unlink, os.rename, os.replace, os.ftruncate, os.open)
    found: list[str] = []

    def look(_: object, event: str, function: object) -> None:
        if event == "c_return" and function in writes:
            found.extend(str(path) for path in faults_of_sums(run)[1])

    sys.setprofile(look)
    try:
        yield found
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize(
    "act",
    [
        *(goes_on, is_only_used),
        *mostly_slow((continues_otherwise, is_left_alone), ()),
        *mostly_slow((sums_up_anew, begins_anew), ()),
    ],
)
def test_a_sound_run_is_never_accused_whenever_it_is_killed(work, capsys, act):
    with looked_at_after_each_write(RunDir(RUN)) as found:
        act()
    assert found == []
    assert SUMS.exists()
    assert verified(capsys)[0].endswith(" by hash)")
    assert not list(RUN.glob(".aside-*"))


def test_an_old_run_that_gave_way_keeps_its_sums(work, capsys):
    begins_anew()
    assert main(["verify", "first.old-1"]) == 0
    assert " by hash)" in capsys.readouterr().out
    flip(Path("runs/first.old-1/speed.csv"), -2)
    assert main(["verify", "first.old-1"]) == 1


def test_a_copied_run_is_sound(work, capsys):
    shutil.copytree(RUN, "runs/second")
    assert main(["verify", "second"]) == 0
    assert "runs/second: sound" in capsys.readouterr().out


def test_a_run_that_goes_on_while_it_is_looked_at_is_not_accused(
    work, capsys, monkeypatch
):
    def go_on(run: RunDir) -> sums.Mapping[str, sums.Written]:
        monkeypatch.undo()
        monkeypatch.chdir(work)
        known = sums.read_sums(run)
        SUMS.unlink()
        with (RUN / "speed.csv").open("a") as table:
            table.write("of another step\n")
        return known

    monkeypatch.setattr(sums, "read_sums", go_on)
    assert verified(capsys)[1] == []


def test_a_summary_that_is_written_after_the_end_accuses_nobody(
    work, capsys, monkeypatch
):
    """As of a run that is ended because it hangs as it leaves."""
    leave = Watchdog.__exit__

    def hang(self, *error):
        self.sum_up("hangs")
        leave(self, *error)

    monkeypatch.setattr(Watchdog, "__exit__", hang)
    assert main(["resume", *MORE]) == 0
    assert 'reason = "failed"' in (RUN / "summary.toml").read_text()
    assert verified(capsys)[1] == []


def test_a_full_disk_leaves_a_run_without_them_that_has_ended(
    work, capsys, monkeypatch
):
    def refuse(path, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(sums, "write_text", refuse)
    assert main(["resume", *MORE]) == 0
    assert "no space left on device" in capsys.readouterr().err
    assert not SUMS.exists()
    assert verified(capsys)[0].endswith("rows of steps.csv and epochs.csv)")


def test_no_sums_are_written_into_the_folder_of_another(work, tmp_path):
    run = RunDir(tmp_path / "runs" / "gone")
    with run.lock(), sums.sums_at_end(run):
        run.summary.write_text("a = 1")
        run.lock_file.unlink()
        run.lock_file.touch()
    assert not run.sums.exists()


def test_what_was_left_of_a_run_that_is_gone_is_forgotten(work, monkeypatch):
    def look(*others):
        assert not SUMS.exists()
        return taken(*others)

    taken = Trainer.take_step

    for path in RUN.iterdir():
        if path != SUMS:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    monkeypatch.setattr(Trainer, "take_step", look)
    assert train("first") == 0
    assert SUMS.exists()


@pytest.mark.parametrize("ended", [False, True])
def test_what_a_kill_left_of_them_is_swept_away(work, ended):
    left = RUN / f".aside-{'a' * 32}-.sums.json"
    left.touch()
    assert main(["resume", *(MORE[:2] if ended else MORE)]) == 0
    assert not left.exists()


def put(content: object) -> None:
    SUMS.write_text(content if isinstance(content, str) else json.dumps(content))


def forge(files: object) -> None:
    """A record with the hash that it must have."""
    content = {"format": 1, "files": files}
    SUMS.write_text(text_of({**content, OWN: own_hash(content)}))


SUM = {"size": 1, "sha256": "a"}


def be_a_link() -> None:
    SUMS.rename("elsewhere")
    SUMS.symlink_to(Path("elsewhere").resolve())


def be_a_folder() -> None:
    SUMS.unlink()
    SUMS.mkdir()


def be_a_pipe() -> None:
    SUMS.unlink()
    os.mkfifo(SUMS)


BROKEN = {
    "cut off": lambda: SUMS.write_bytes(SUMS.read_bytes()[:99]),
    "flipped": lambda: flip(SUMS, -30),
    "empty": lambda: put(""),
    "no JSON": lambda: put("{"),
    "no table": lambda: put([1]),
    "a word": lambda: put('"files"'),
    "deep": lambda: put("[" * 100_000),
    "not UTF-8": lambda: SUMS.write_bytes(b"\xff\xfe"),
    "a list of files": lambda: forge([1]),
    "a number of files": lambda: forge(3),
    "a sum that is none": lambda: forge({"steps.csv": 3}),
    "a size that is none": lambda: forge({"steps.csv": {**SUM, "size": True}}),
    "a hash that is none": lambda: forge({"steps.csv": {**SUM, "sha256": 3}}),
    "a place above": lambda: forge({"../../config.toml": SUM}),
    "the folder above": lambda: forge({"..": SUM}),
    "a place from the root": lambda: forge({"/etc/passwd": SUM}),
    "control characters": lambda: forge({"\x1b[2Jsteps.csv": SUM}),
    "many": lambda: forge({f"a{number}": SUM for number in range(1000)}),
    "a link": be_a_link,
    "a folder": be_a_folder,
    "a pipe": be_a_pipe,
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_record_is_one_line_and_leads_nowhere(work, capsys, kind):
    BROKEN[kind]()
    _, (line,) = verified(capsys)
    assert line.startswith(f"{SUMS}: is ")
    assert "remove" in line
    assert line.isprintable()
    assert len(line) < 500
    SUMS.rmdir() if SUMS.is_dir() else SUMS.unlink()
    assert verified(capsys)[0].endswith("rows of steps.csv and epochs.csv)")
