"""Poor surroundings: no memory left, no home, few letters, clocks that go back."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli

from slangmod.cli import main
from slangmod.training.trainer import Trainer

TRAIN = ("train", "--toml", "config.toml", "--name", "run")
FEW = ("--train.max_steps", "8")
MORE = ("resume", "--name", "run", "--train.max_steps", "12")
GREEK = "γάτος κάθισε στο χαλί και είδε τον σκύλο που έτρεχε · "


def command(
    folder: Path, *words: str, environment: dict[str, str], **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """The command in an environment of its own, with nothing else in it."""
    needed = {name: os.environ[name] for name in ("PATH",)}
    extra = {
        name: os.environ[name]
        for name in ("PYTHONPATH", "LD_LIBRARY_PATH")
        if name in os.environ
    }
    return subprocess.run(
        [sys.executable, "-m", "slangmod", *words],
        cwd=folder,
        env={**needed, **extra, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        timeout=240,
        check=False,
        **options,
    )


def no_home(folder: Path) -> dict[str, str]:
    return {"HOME": str(folder / "there is none")}


def read_only_home(folder: Path) -> dict[str, str]:
    home = folder / "home"
    home.mkdir()
    home.chmod(stat.S_IRUSR | stat.S_IXUSR)
    return {"HOME": str(home)}


def few_letters(folder: Path) -> dict[str, str]:
    return {"LC_ALL": "POSIX"}


def ascii_streams(folder: Path) -> dict[str, str]:
    return {"LANG": "C", "PYTHONIOENCODING": "ascii", "TERM": "dumb"}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "surroundings", [no_home, read_only_home, few_letters, ascii_streams]
)
def test_a_run_is_trained_resumed_and_used_in_poor_surroundings(
    shell, surroundings
) -> None:
    for name, size in (("train", 60), ("test", 20), ("validation", 20)):
        (shell.folder / "raw" / f"{name}.txt").write_text(GREEK * size, "utf-8")
    environment = surroundings(shell.folder)
    for words in (
        ("clean", "tokenize", "encode", "--toml", "config.toml"),
        (*TRAIN, *FEW, "--samples.every", "4", "--samples.prompts", '["γάτος"]'),
        MORE,
        ("generate", "γάτος", "--chat.max_tokens", "20"),
        ("summarize", "run"),
    ):
        done = command(shell.folder, *words, environment=environment)
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
        assert b"Traceback" not in done.stderr
    assert (shell.folder / "runs/run/model/model.safetensors").is_file()


def test_a_clock_that_goes_back_changes_nothing(encoded, monkeypatch) -> None:
    monkeypatch.chdir(encoded.folder)
    assert main([*TRAIN, "--train.max_steps", "12"]) == 0
    now = [2e9]

    def backwards() -> float:
        now[0] -= 3600
        return now[0]

    monkeypatch.setattr("time.time", backwards)
    other = ("--name", "other")
    assert main([*TRAIN, *FEW, *other]) == 0
    assert main([*MORE, *other]) == 0
    run, twin = (encoded.folder / "runs" / name for name in ("run", "other"))
    model = "model/model.safetensors"
    assert (run / model).read_bytes() == (twin / model).read_bytes()
    cost = tomli.loads((twin / "summary.toml").read_text("utf-8"))["cost"]
    assert cost["seconds"] > 0


class OutOfMemoryError(RuntimeError):
    """Named as torch's is."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        pytest.param(OutOfMemoryError("CUDA out of memory"), marks=pytest.mark.slow),
        pytest.param(
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_step_without_memory_is_told_and_costs_no_checkpoint(
    encoded, monkeypatch, capsys, error
) -> None:
    taken = Trainer.take_step

    def exhausted(self: Trainer, state: Any, *others: Any) -> None:
        if state.counters.step == 9:
            raise error
        taken(self, state, *others)

    monkeypatch.chdir(encoded.folder)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "take_step", exhausted)
        assert main([*TRAIN, "--train.max_steps", "12"]) == 1
    lines = capsys.readouterr().err.splitlines()
    (told,) = [line for line in lines if line.startswith("slangmod: error: ")]
    assert "out of memory in step 10, after mini-batch 18" in told
    assert "MiB in use" in told
    assert "a smaller train.batch_size" in told
    run = encoded.folder / "runs/run"
    outcome = tomli.loads((run / "summary.toml").read_text("utf-8"))["outcome"]
    assert outcome["reason"] == "failed"
    assert "out of memory" in outcome["message"]
    assert main(["resume", "--name", "run"]) == 0


@pytest.mark.slow
def test_a_process_that_may_have_no_more_memory_says_so(encoded) -> None:
    limited = (
        "import resource, sys\n"
        "from slangmod import cli\n"
        "from slangmod.training.trainer import Trainer\n"
        "taken = Trainer.take_step\n"
        "def limited(self, state, *others):\n"
        "    if state.counters.step == 3:\n"
        "        pages = int(open('/proc/self/statm').read().split()[0])\n"
        "        most = pages * resource.getpagesize() + 2**26\n"
        "        resource.setrlimit(resource.RLIMIT_AS, (most, most))\n"
        "        import torch\n"
        "        torch.zeros(2**36)\n"
        "    taken(self, state, *others)\n"
        "Trainer.take_step = limited\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, *TRAIN],
        cwd=encoded.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "out of memory in step 4" in done.stderr
    assert "Traceback" not in done.stderr
    encoded.done("resume", "--name", "run")


@pytest.mark.slow
def test_an_old_run_keeps_its_name_where_the_new_one_does_not_begin(encoded) -> None:
    encoded.done(*TRAIN, *FEW)
    run = encoded.folder / "runs/run"
    before = (run / "model/model.safetensors").read_bytes()
    lines = (
        "import os, sys\n"
        "import slangmod.commands.train as train\n"
        "def stopped(*_): os.kill(os.getpid(), {})\n"
        "train.{} = stopped\n"
        "from slangmod import cli\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    for place in ("open_session", "write_text"):
        for number in (signal.SIGTERM, signal.SIGKILL):
            if place == "write_text" and number == signal.SIGKILL:
                continue  # that instant leaves the old run under its other name
            subprocess.run(
                [
                    *(sys.executable, "-c", lines.format(int(number), place)),
                    *(*TRAIN, "--overwrite"),
                ],
                cwd=encoded.folder,
                timeout=120,
                check=False,
            )
            assert (run / "model/model.safetensors").read_bytes() == before
            assert [path.name for path in run.parent.iterdir()] == ["run"]
    encoded.done(*TRAIN, *FEW, "--overwrite")
    assert (run.with_name("run.old-1") / "model/model.safetensors").exists()
