"""Real limits of a real system, through the real command line."""

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import ENVIRONMENT, Shell, make_folder
from tests.end_to_end.test_interruption import assert_same_outcome

TRAIN = ("train", "--toml", "config.toml", "--train.max_epochs", "12")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run called whole, for which there was always room."""
    shell = make_folder(tmp_path_factory.mktemp("whole"))
    shell.done("clean", "tokenize", "encode", "--toml", "config.toml")
    shell.done(*TRAIN, "--name", "whole")
    return shell.folder


@pytest.fixture
def small_disk(whole: Path, tmp_path: Path) -> Iterator[Path]:
    """A disk with room for 3 MB, holding all but the run."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("no right to mount a disk here")
    try:
        shutil.copytree(
            whole, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("runs")
        )
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path) -> Path:
    """Take all the room that is left."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        for size in (4096, 1):
            try:
                while stream.write(bytes(size)):
                    pass
            except OSError:
                continue
    return ballast


@pytest.mark.parametrize("background", ["false", "true"])
def test_a_run_outlives_a_full_disk(small_disk, whole, promise, background) -> None:
    words = [*TRAIN, "--name", "run", "--checkpoint.background", background]
    process = subprocess.Popen(
        [sys.executable, "-m", "slangmod", *words],
        cwd=small_disk,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    run = small_disk / "runs" / "run"
    deadline = time.monotonic() + 120
    while len(list(run.glob("checkpoints/step-*"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    ballast = fill(small_disk)
    time.sleep(5)
    ballast.unlink()
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert "no space left on device" in errors
    assert_same_outcome(whole / "runs" / "whole", run)
    promise("R9", 1)


def test_a_limit_on_the_size_of_files_is_a_full_disk(whole, tmp_path, promise) -> None:
    """steps.csv outgrows it while checkpoints do not."""
    shutil.copytree(whole, tmp_path / "work")
    shell = Shell(tmp_path / "work")
    steps = (whole / "runs" / "whole" / "steps.csv").stat().st_size
    largest = max(
        path.stat().st_size
        for path in (whole / "runs" / "whole" / "checkpoints").rglob("*")
        if path.is_file()
    )
    limit = max(largest, steps // 2) + 4096
    few = "--train.max_epochs", "60"
    shell.done("train", "--toml", "config.toml", *few, "--name", "longer")
    longer = shell.folder / "runs" / "longer"
    assert (longer / "steps.csv").stat().st_size > limit
    words = ["train", "--toml", "config.toml", *few, "--name", "run"]
    done = subprocess.run(
        [sys.executable, "-m", "slangmod", *words, "--checkpoint.on_error", "stop"],
        cwd=shell.folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 1, done.stderr
    assert "steps.csv: file too large" in done.stderr
    assert "Traceback" not in done.stderr
    shell.done("resume", "--name", "run", "--checkpoint.on_error", "continue")
    assert_same_outcome(longer, shell.folder / "runs" / "run")
    promise("R9", 1)


def test_without_room_for_a_checkpoint_no_run_begins(whole, tmp_path, promise) -> None:
    shutil.copytree(whole, tmp_path / "work")
    done = subprocess.run(
        [sys.executable, "-m", "slangmod", *TRAIN, "--name", "run"],
        cwd=tmp_path / "work",
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)),
    )
    assert done.returncode == 1, done.stderr
    assert "nothing has been trained yet" in done.stderr
    assert not os.path.lexists(tmp_path / "work" / "runs" / "run")
    promise("R9", 1)


def test_background_saves_change_nothing_through_the_command_line(
    whole, tmp_path, promise
) -> None:
    shutil.copytree(whole, tmp_path / "work")
    shell = Shell(tmp_path / "work")
    shell.done(*TRAIN, "--name", "run", "--checkpoint.background", "true")
    assert_same_outcome(whole / "runs" / "whole", shell.folder / "runs" / "run")
    promise("R9", 1)
