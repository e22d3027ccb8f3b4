"""Signals at any time: the exit code says what is there, and resume goes on from it."""

import csv
import os
import pty
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import tomli

from tests.reliability.forks import ENVIRONMENT, Forks
from tests.reliability.small_work import make_folder
from tests.reliability.tiny import tiny, write_raw

PROGRAM = f"{sys.executable} -m slangmod"
TRAIN = ("train", "--toml", "config.toml")
STAGES = """
[[stage]]
epochs = 1

[[stage]]
epochs = 2
reset_optimizer = false
[stage.train]
learning_rate = 0.005
"""
KINDS = {
    signal.SIGTERM: 75,
    signal.SIGUSR1: 75,
    signal.SIGHUP: 75,
    signal.SIGINT: 130,
}
TIMED = {"seconds", "tokens_per_second"}


@pytest.fixture(scope="module", autouse=True)
def heeded() -> Iterator[None]:
    """Whoever started the tests may ignore a hang-up, which would be inherited."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="module")
def forks(heeded) -> Iterator[Forks]:
    server = Forks()
    yield server
    server.close()


@pytest.fixture(scope="module")
def work(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run called whole, and one with stages, both undisturbed."""
    folder = make_folder(tmp_path_factory.mktemp("signals") / "work")
    forks.done(folder, "clean", "tokenize", "encode", "--toml", "config.toml")
    forks.done(folder, *TRAIN, "--name", "whole")
    config = (folder / "config.toml").read_text("utf-8")
    (folder / "stages.toml").write_text(config + STAGES, "utf-8")
    forks.done(folder, "train", "--toml", "stages.toml", "--name", "whole-stages")
    return folder


def rows(path: Path) -> list[tuple[str, ...]]:
    """Rows of a table without what depends on the clock."""
    with path.open(newline="", encoding="utf-8") as stream:
        return [
            tuple(text for key, text in row.items() if key not in TIMED)
            for row in csv.DictReader(stream)
        ]


def what_was_learnt(run: Path) -> dict[str, object]:
    """All that must be the same of two runs that are equal."""
    newest = max(run.glob("checkpoints/step-*"))
    files = (
        run / "model/model.safetensors",
        newest / "model.safetensors",
        newest / "optimizer.safetensors",
    )
    summary = tomli.loads((run / "summary.toml").read_text("utf-8"))
    return {
        **{str(path.relative_to(run)): path.read_bytes() for path in files},
        **{name: rows(run / name) for name in ("steps.csv", "epochs.csv")},
        **{name: summary[name] for name in ("outcome", "validation")},
    }


def nothing_is_half_written(run: Path) -> bool:
    return not [*run.rglob(".aside-*"), *run.rglob(".old-*")]


def resumed_like(forks: Forks, run: Path, whole: str) -> bool:
    """Whether ``run``, gone on with, has learnt what the undisturbed run has."""
    assert nothing_is_half_written(run)
    forks.done(run.parents[1], "resume", "--name", run.name)
    return what_was_learnt(run) == what_was_learnt(run.with_name(whole))


def after(seconds: float, number: int) -> Callable[[int], None]:
    """Sends a process the signal after ``seconds``, if it is still there."""

    def send(pid: int) -> None:
        time.sleep(seconds)
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    return send


def disturb_at_random(forks: Forks, folder: Path, number: int, trials: int) -> int:
    """Signals at so many random times; -> how many found a run to go on with."""
    chance = random.Random(int(number))
    began = time.monotonic()
    forks.done(folder, *TRAIN, "--name", "whole", "--overwrite")
    longest = 1.1 * (time.monotonic() - began)
    gone_on = 0
    for trial in range(trials):
        run = folder / "runs" / f"{signal.Signals(number).name}-{trial}"
        send = after(chance.uniform(0, longest), number)
        ended = forks.run(folder, *TRAIN, "--name", run.name, disturb=send)
        assert "Traceback" not in ended.errors
        if not run.exists():
            # It may come before the program has taken its first step in Python.
            assert ended.code in (128 + number, -number), ended
            continue
        is_over = (run / "model").exists()
        assert ended.code in ((KINDS[number], 0) if is_over else (KINDS[number],))
        assert resumed_like(forks, run, "whole"), run
        shutil.rmtree(run)
        gone_on += 1
    return gone_on


def test_a_signal_at_any_time_loses_nothing(forks, work, promise) -> None:
    assert disturb_at_random(forks, work, signal.SIGTERM, 4) > 0
    promise("R8", 4)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("number", KINDS)
def test_thirty_signals_at_any_time_lose_nothing(forks, work, promise, number) -> None:
    assert disturb_at_random(forks, work, number, 30) > 10
    promise("R8", 30)


PLACES = {
    "building the model": ("slangmod.commands.train:open_session", 1),
    "choosing the step": ("slangmod.commands.train:choose_step", 1),
    "the first row": ("slangmod.commands.scribe:open_recording", 1),
    "the first checkpoint": ("slangmod.training.checkpoint:manifest_of", 1),
    "a step": ("slangmod.training.trainer:clip_gradients", 5),
    "an evaluation": ("slangmod.training.evaluate:cross_entropy_sum", 2),
    "a checkpoint": ("slangmod.training.checkpoint:manifest_of", 3),
    "removing old ones": ("slangmod.training.saver:prune_checkpoints", 4),
    "a new stage": ("slangmod.commands.conduct:next_session", 1),
    "the last evaluation": ("slangmod.training.evaluate:cross_entropy_sum", 13),
    "loading the best": ("slangmod.commands.conduct:load_weights", 1),
    "validation": ("slangmod.training.evaluate:count_targets", 17),
    "the model's folder": ("slangmod.commands.scribe:save_model", 1),
    "the summary": ("slangmod.commands.scribe:write_summary", 1),
}
"""Functions that are at work then, and at which call of them a signal comes."""

EARLY = ("building the model", "choosing the step", "the first row")
"""Before there is a checkpoint."""

QUICK = ("choosing the step", "a new stage")


def signal_in(place: str, call: int, number: int) -> tuple[str, ...]:
    """Lines by which a process gets a signal in the call of a function."""
    module, _, name = place.partition(":")
    return (
        "import importlib, os",
        f"module, calls = importlib.import_module({module!r}), []",
        f"whole = module.{name}",
        "def disturbed(*args, **named):",
        "    calls.append(1)",
        f"    if len(calls) == {call}:",
        f"        os.kill(os.getpid(), {int(number)})",
        "    return whole(*args, **named)",
        f"module.{name} = disturbed",
    )


def stopped_in(forks: Forks, folder: Path, place: str, number: int) -> bool:
    """A run with stages gets a signal there; whether it ends as it should."""
    run = folder / "runs" / "disturbed"
    shutil.rmtree(run, ignore_errors=True)
    lines = signal_in(*PLACES[place], number)
    staged = ("train", "--toml", "stages.toml", "--name", run.name)
    ended = forks.run(folder, *staged, before=lines)
    assert signal.Signals(number).name in ended.errors
    assert len([line for line in ended.errors.splitlines() if "error:" in line]) == 1
    if place in EARLY:
        return ended.code == 128 + number and not run.exists()
    summary = tomli.loads((run / "summary.toml").read_text("utf-8"))
    over = place in ("the model's folder", "the summary")
    assert (summary["outcome"]["reason"] == "stopped") == (not over)
    return ended.code == KINDS[number] and resumed_like(forks, run, "whole-stages")


@pytest.mark.parametrize("place", QUICK)
def test_whatever_is_under_way_is_brought_to_an_end(
    forks, work, promise, place
) -> None:
    assert stopped_in(forks, work, place, signal.SIGTERM)
    promise("R8", 1)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", KINDS)
def test_every_kind_of_signal_is_heeded_at_every_place(
    forks, work, promise, number
) -> None:
    for place in PLACES:
        assert stopped_in(forks, work, place, number), place
    promise("R8", len(PLACES))


@pytest.mark.parametrize(
    "place",
    [
        "slangmod.commands.going_on:load_checkpoint",
        pytest.param("slangmod.commands.resume:check_fresh", marks=pytest.mark.slow),
        pytest.param("slangmod.commands.scribe:open_recording", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_about_to_go_on_stops_at_once(
    forks, work, promise, place
) -> None:
    run = work / "runs" / "halved"
    shutil.rmtree(run, ignore_errors=True)
    few = (*TRAIN, "--name", run.name, "--train.max_steps", "12")
    forks.done(work, *few)
    more = ("resume", "--name", run.name, "--train.max_steps", "none")
    lines = signal_in(place, 1, signal.SIGTERM)
    ended = forks.run(work, *more, before=lines)
    assert ended.code == 75
    assert "with a checkpoint at step-000000012" in ended.errors
    forks.done(work, *more)
    assert what_was_learnt(run) == what_was_learnt(run.with_name("whole"))
    promise("R8", 1)


@pytest.mark.parametrize("again", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_second_ctrl_c_ends_a_step_at_once(forks, work, promise, again) -> None:
    run = work / "runs" / f"hasty-{again}"
    lines = (
        "import os, signal, time, slangmod.training.trainer as trainer",
        "steps, clip = [], trainer.clip_gradients",
        "def slow(*args):",
        "    steps.append(1)",
        "    if len(steps) == 15:",
        "        os.kill(os.getpid(), signal.SIGINT)",
        f"        for _ in range({again}):",
        "            os.kill(os.getpid(), signal.SIGINT)",
        "        time.sleep(1000)",
        "    return clip(*args)",
        "trainer.clip_gradients = slow",
    )
    ended = forks.run(work, *TRAIN, "--name", run.name, before=lines)
    assert ended.code == 130
    assert "Traceback" not in ended.errors
    summary = tomli.loads((run / "summary.toml").read_text("utf-8"))
    assert summary["outcome"]["reason"] == "stopped"
    assert summary["outcome"]["message"] == "broken off"
    assert resumed_like(forks, run, "whole")
    promise("R8", 1)


def test_a_second_ctrl_c_does_not_wait_for_data_that_hang(forks, work, promise) -> None:
    run = work / "runs" / "hanging"
    lines = (
        "import os, signal, time, slangmod.training.feed as feed",
        "times, whole = [], feed.Feed._prepare",
        "def slow(*args):",
        "    times.append(1)",
        "    if len(times) == 15:",
        "        for _ in range(2):",
        "            time.sleep(0.1)",
        "            os.kill(os.getpid(), signal.SIGINT)",
        "        time.sleep(1000)",
        "    return whole(*args)",
        "feed.Feed._prepare = slow",
    )
    ended = forks.run(work, *TRAIN, "--name", run.name, before=lines)
    assert ended.code == 130
    assert ended.errors.endswith("resume` continues from the last checkpoint\n")
    assert resumed_like(forks, run, "whole")
    promise("R8", 1)


@pytest.mark.slow
@pytest.mark.parametrize("number", KINDS)
@pytest.mark.parametrize(
    ("action", "place", "made"),
    [
        ("clean", "slangmod.commands.clean:mark", "corpus"),
        ("tokenize", "slangmod.commands.tokenize:train_codec", "tokenizer-*"),
        ("encode", "slangmod.commands.encode:manifest_content", "encodings-*"),
    ],
)
def test_what_makes_data_ends_with_nothing_half_written(
    forks, work, tmp_path, promise, number, action, place, made
) -> None:
    folder = tmp_path / "work"
    shutil.copytree(work, folder, ignore=shutil.ignore_patterns("runs"))
    for path in folder.glob(made):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    chain = ("clean", "tokenize", "encode", "train", "--toml", "config.toml")
    ended = forks.run(folder, *chain, before=signal_in(place, 1, number))
    assert ended.code == 128 + number
    last = ended.errors.splitlines()[-1]
    assert last.startswith(f"slangmod: error: stopped by {number.name}; nothing half")
    assert not [*folder.glob(made)]
    assert nothing_is_half_written(folder)
    assert not (folder / "runs").exists()
    assert action in ("clean", "tokenize", "encode")
    promise("R8", 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "closed",
    ["2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>&1 | head -1", "| head -1", "2>/dev/full"],
)
def test_streams_that_nobody_reads_stop_no_training(work, promise, closed) -> None:
    run = work / "runs" / "unread"
    shutil.rmtree(run, ignore_errors=True)
    shell(work, f"{PROGRAM} train --toml config.toml --name unread {closed}")
    assert what_was_learnt(run) == what_was_learnt(run.with_name("whole"))
    promise("R8", 1)


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "2>&1 | head -1"])
def test_a_signal_has_its_exit_code_where_nobody_reads(work, promise, closed) -> None:
    run = work / "runs" / "unread"
    shutil.rmtree(run, ignore_errors=True)
    code = shell(
        work,
        f"set -o pipefail; {PROGRAM} train --toml config.toml --name unread "
        f"--train.max_epochs 9999 {closed} & sleep 0.2; "
        "until grep -qs ^1, runs/unread/epochs.csv; do sleep 0.1; done; "
        'kill -TERM $(cut -d" " -f2 runs/unread/run.holder); wait %1',
    )
    assert code == 75
    promise("R8", 1)


def shell(folder: Path, command: str) -> int:
    """Exit code of a line of bash in ``folder``."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=ENVIRONMENT,
        timeout=120,
        check=False,
        capture_output=True,
    )
    return done.returncode


def in_a_terminal(folder: Path, *words: str, before: Sequence[str] = ()) -> int:
    """The command in a terminal that is closed once it has learnt; -> exit code."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        argv = [*before, sys.executable, "-m", "slangmod", *words]
        os.execvpe(argv[0], argv, ENVIRONMENT)
    while True:
        ready, _, _ = select.select([terminal], [], [], 60)
        assert ready
        if b"epoch   2 |" in os.read(terminal, 65536):
            break
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.slow
@pytest.mark.parametrize("progress", ["true", "false"])
def test_a_closed_terminal_is_a_reason_to_save_and_stop(
    forks, work, promise, progress
) -> None:
    run = work / "runs" / f"hung-up-{progress}"
    words = (*TRAIN, "--name", run.name, "--progress", progress)
    code = in_a_terminal(work, *words, "--train.max_epochs", "200")
    assert code == 75
    summary = tomli.loads((run / "summary.toml").read_text("utf-8"))
    assert summary["outcome"]["reason"] == "stopped"
    promise("R8", 1)


@pytest.mark.slow
@pytest.mark.parametrize("progress", ["true", "false"])
def test_a_closed_terminal_is_none_for_who_ignores_it(work, promise, progress) -> None:
    run = work / "runs" / f"ignoring-{progress}"
    words = (*TRAIN, "--name", run.name, "--progress", progress)
    ignoring = ("bash", "-c", 'trap "" HUP; exec "$@"', "bash")
    assert in_a_terminal(work, *words, before=ignoring) == 0
    assert what_was_learnt(run) == what_was_learnt(run.with_name("whole"))
    promise("R8", 1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_program_loads_ends_it(work, promise, number) -> None:
    begin = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "print(flush=True)\n"
        "from slangmod.__main__ import entry_point\n"
        "entry_point()\n"
    )
    chance, trials = random.Random(int(number)), 10
    for trial in range(trials):
        name = f"early-{trial}"
        with subprocess.Popen(
            [sys.executable, "-c", begin, *TRAIN, "--name", name],
            cwd=work,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            process.stdout.readline()
            time.sleep(chance.uniform(0, 2))
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
        assert "Traceback" not in errors
        if not (work / "runs" / name).exists():
            assert process.returncode in (128 + number, -number), errors
    promise("R8", trials)


@pytest.mark.slow
def test_a_terminals_ctrl_c_reaches_helpers_that_say_nothing(tmp_path, promise) -> None:
    config = tiny(threads=2, progress=False).replace('"byte"', '"bpe"\nvocab = 300')
    (tmp_path / "config.toml").write_text(config, "utf-8")
    write_raw(tmp_path / "raw", 6_000_000, 150)
    command = [sys.executable, "-m", "slangmod"]
    asked = ("--toml", "config.toml")
    made = subprocess.run(
        [*command, "clean", "tokenize", *asked], cwd=tmp_path, check=False
    )
    assert made.returncode == 0
    chance, trials, told = random.Random(2), 20, 0
    for _ in range(trials):
        with subprocess.Popen(
            [*command, "encode", *asked],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            time.sleep(chance.uniform(0.2, 1.2))
            os.killpg(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        assert "Traceback" not in errors
        if process.returncode == 0:  # it was quicker
            shutil.rmtree(*tmp_path.glob("encodings-*"))
            continue
        assert process.returncode in (130, -signal.SIGINT)
        told += "stopped by SIGINT" in errors
        assert not [*tmp_path.glob("encodings-*")]
        assert nothing_is_half_written(tmp_path)
    assert told > trials // 4
    promise("R8", trials)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_compiling_is_broken_off_with_all_that_helps_in_it(
    forks, work, tmp_path, promise, number
) -> None:
    chance, trials = random.Random(int(number)), 4
    code = {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    long = ("--model.compile", "true", "--train.max_epochs", "100000")

    def break_off(pid: int) -> None:
        deadline = time.monotonic() + 120
        while "compiling" not in (work / "errors.txt").read_text("utf-8"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 12))
        os.killpg(pid, number)  # as a terminal does, and schedulers

    for trial in range(trials):
        run = work / "runs" / f"compiled-{number.name}-{trial}"
        cache = tmp_path / str(trial)
        lines = (f"import os; os.environ['TORCHINDUCTOR_CACHE_DIR'] = {str(cache)!r}",)
        argv = (*TRAIN, "--name", run.name, *long)
        ended = forks.run(work, *argv, disturb=break_off, before=lines)
        assert "Traceback" not in ended.errors
        assert ended.errors.count("error:") == 1
        assert ended.code == (KINDS[number] if run.exists() else code)
    promise("R8", trials)
