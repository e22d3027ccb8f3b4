import errno
import os
import shutil
import subprocess
import sys
import time
from datetime import datetime

import pytest

from slangmod.errors import RunBusyError, UserError
from slangmod.files import folder_aside
from slangmod.locks import holder_file
from slangmod.runs.directory import RunDir, new_name, runs_of, trials_of
from tests.reliability.faulty_disk import Disk, installed
from tests.reliability.power import Journal


def begun(workdir, name):
    run = RunDir.of(workdir, name)
    run.root.mkdir(parents=True)
    run.config.write_text("")
    return run


@pytest.mark.parametrize("name", ["first", "a", "A-1_b.c", "x" * 64, "-", "..."])
def test_names_of_the_contract_are_taken(tmp_path, name):
    assert RunDir.of(tmp_path, name).root == tmp_path / "runs" / name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "../x",
        "/etc",
        "x" * 65,
        "a b",
        "a\n",
        "é",
        "a\x00",
        "\x1b",
    ],
)
def test_other_names_are_refused_without_being_printed_raw(tmp_path, name):
    with pytest.raises(UserError) as caught:
        RunDir.of(tmp_path, name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("inside", ["runs", "runs/evil"])
def test_a_symbolic_link_does_not_lead_out_of_the_working_directory(tmp_path, inside):
    outside = tmp_path / "outside"
    (outside / "evil").mkdir(parents=True)
    link = tmp_path / "work" / inside
    link.parent.mkdir(parents=True)
    link.symlink_to(outside if inside == "runs" else outside / "evil")
    with pytest.raises(UserError, match="symbolic link"):
        RunDir.of(tmp_path / "work", "evil")


def test_a_working_directory_may_itself_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert RunDir.of(tmp_path / "link", "first").name == "first"


def test_the_newest_run_comes_first_and_what_is_no_run_not_at_all(tmp_path):
    for age, name in enumerate(["b", "a", "c"]):
        run = begun(tmp_path, name)
        os.utime(run.config, (1000 - age, 1000 - age))
    (tmp_path / "runs" / "empty").mkdir()
    (tmp_path / "runs" / "not a name").mkdir()
    (tmp_path / "runs" / "file").write_text("")
    assert [run.name for run in runs_of(tmp_path)] == ["b", "a", "c"]


def test_where_there_are_no_runs_none_are_found(tmp_path):
    assert runs_of(tmp_path) == ()
    assert runs_of(tmp_path / "missing") == ()


def test_a_new_name_is_the_date_and_time_and_free(tmp_path):
    now = datetime(2026, 11, 20, 23, 57, 59)
    assert new_name(tmp_path, now) == "2026-11-20-23h57m59s"
    begun(tmp_path, "2026-11-20-23h57m59s")
    assert new_name(tmp_path, now) == "2026-11-20-23h57m59s-2"


def test_a_second_holder_is_refused_and_told_who_the_first_is(tmp_path):
    run = begun(tmp_path, "first")
    with run.lock():
        assert run.in_use()
        with pytest.raises(RunBusyError) as caught, run.lock():
            pass
        assert f"process {os.getpid()} on {os.uname().nodename}" in str(caught.value)
    assert not run.in_use()


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path):
    run = begun(tmp_path, "first")
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from slangmod.runs.directory import RunDir\n"
            "with RunDir.of(sys.argv[1], 'first').lock():\n"
            "    print('held', flush=True); time.sleep(60)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"held\n"
    assert run.in_use()
    with pytest.raises(RunBusyError, match=f"process {holder.pid} "), run.lock():
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert not run.in_use()
    with run.lock():
        pass


def test_a_full_disk_is_told_with_the_file_that_it_refuses(tmp_path, monkeypatch):
    run = begun(tmp_path, "first")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space") as caught, run.lock():
        pass
    assert caught.value.filename == str(holder_file(run.lock_file))
    with pytest.raises(OSError, match="No space") as caught, folder_aside(run.model):
        pass
    assert caught.value.filename == str(run.model)


def test_a_folder_whose_maker_died_before_it_was_durable_is_so_once_locked(tmp_path):
    root = tmp_path.resolve()
    (root / "runs").mkdir()
    run, journal = RunDir.of(root, "first"), Journal(root)
    with installed(Disk(root, after=journal.note)):
        run.root.mkdir()
        assert {"runs/first/" in tree for tree in journal.crashes()} == {False, True}
        with run.lock():
            assert all("runs/first/" in tree for tree in journal.crashes())


def test_what_a_dead_holder_left_is_swept_and_a_report_under_way_is_not(tmp_path):
    run = begun(tmp_path, "first")
    names = ("config.toml", "summary.toml", "tracking.json", "changes.json")
    for name in (*names, "run.holder", "report.html"):
        (run.root / f".aside-{'0' * 32}-{name}").write_text("half")
    for folder in (run.root / f".aside-{'0' * 32}-model", run.bad_steps):
        folder.mkdir()
        (folder / f".aside-{'0' * 32}-step-000000001.json").write_text("half")
    with run.lock():
        left = [path.name for path in run.root.rglob(".aside-*")]
    assert left == [f".aside-{'0' * 32}-report.html"]
    assert run.config.is_file()


def test_a_run_that_never_began_leaves_nothing(tmp_path):
    run = RunDir.of(tmp_path, "first")
    with pytest.raises(RuntimeError), run.lock():
        run.config.write_text("")
        raise RuntimeError
    assert not run.root.exists()


def test_a_run_with_a_checkpoint_stays_whatever_happens(tmp_path):
    run = RunDir.of(tmp_path, "first")
    with pytest.raises(RuntimeError), run.lock():
        (run.checkpoints / "step-000000000").mkdir(parents=True)
        raise RuntimeError
    assert run.has_checkpoints()


def test_a_folder_that_was_there_before_is_never_removed(tmp_path):
    run = RunDir.of(tmp_path, "first")
    run.root.mkdir(parents=True)
    (run.root / "notes.txt").write_text("mine")
    with run.lock():
        pass
    assert (run.root / "notes.txt").read_text() == "mine"


def test_a_checkpoint_half_written_is_none(tmp_path):
    run = begun(tmp_path, "first")
    (run.checkpoints / ".aside-1-step-000000000").mkdir(parents=True)
    assert not run.has_checkpoints()


def with_checkpoint(workdir, name):
    run = begun(workdir, name)
    (run.checkpoints / "step-000000000").mkdir(parents=True)
    return run


def test_a_new_run_leaves_the_old_one_whole_under_the_next_free_name(tmp_path):
    for number in (1, 2):
        run = with_checkpoint(tmp_path, "first")
        run.config.write_text(str(number))
        with run.lock(), run.vacated() as old:
            assert [*run.root.iterdir()] != []  # of its lock
            assert not run.exists()
            (run.checkpoints / "step-000000000").mkdir(parents=True)
        assert old.name == f"first.old-{number}"
        assert old.config.read_text() == str(number)
        assert not old.in_use()
        shutil.rmtree(run.root)


def test_an_old_run_has_its_name_back_where_no_new_one_began(tmp_path):
    run = with_checkpoint(tmp_path, "first")
    run.config.write_text("old")
    with pytest.raises(RuntimeError), run.lock(), run.vacated() as old:
        run.config.write_text("new")
        raise RuntimeError
    assert run.config.read_text() == "old"
    assert run.has_checkpoints()
    assert not old.root.exists()
    assert not run.in_use()


def test_the_longest_name_is_kept_to(tmp_path):
    run = with_checkpoint(tmp_path, "x" * 64)
    with run.lock(), run.vacated() as old:
        (run.checkpoints / "step-000000000").mkdir(parents=True)
    assert old.name == "x" * 58 + ".old-1"
    assert RunDir.of(tmp_path, old.name) == old


def test_looking_at_a_lock_does_not_take_it(tmp_path):
    run = begun(tmp_path, "first")
    run.lock_file.write_text("")
    holder_file(run.lock_file).write_text("a process that was killed")
    until = time.monotonic() + 0.1
    while time.monotonic() < until:
        assert not run.in_use()
    with run.lock():
        pass


def test_a_trial_is_a_run_in_the_folder_of_its_sweep(tmp_path):
    trial = RunDir.of(tmp_path, "lr/trial-007")
    assert trial.root == tmp_path / "runs/lr/trial-007"
    assert trial.name == RunDir(trial.root).name == "lr/trial-007"
    assert RunDir.of(tmp_path, "trial-007").name == "trial-007"


@pytest.mark.parametrize(
    "name",
    ["lr/other", "lr/trial-7", "lr/trial-007/x", "../trial-007", "runs/trial-007"],
)
def test_nothing_else_lies_in_the_folder_of_a_sweep(tmp_path, name):
    with pytest.raises(UserError):
        RunDir.of(tmp_path, name)


def test_trials_are_found_by_their_sweep_in_their_order(tmp_path, make_run):
    for number in (1000, 2, 10):
        make_run(f"lr/trial-{number:03d}")
    make_run("first")
    names = [run.name for run in trials_of(tmp_path, "lr")]
    assert names == ["lr/trial-002", "lr/trial-010", "lr/trial-1000"]
    assert [run.name for run in runs_of(tmp_path)] == ["first"]
    assert trials_of(tmp_path, "first") == ()


def test_a_trial_that_is_a_stray_link_is_passed_over(tmp_path, make_run):
    make_run("lr/trial-001")
    (tmp_path / "runs/lr/trial-000").symlink_to("/")
    (tmp_path / "runs/lr/trial-002").symlink_to("nowhere")
    told = []
    names = [run.name for run in trials_of(tmp_path, "lr", told.append)]
    assert names == ["lr/trial-001"]
    assert ["trial-000: leads out" in told[0], "leads nowhere" in told[1]] == [True] * 2


def test_a_run_that_is_a_link_to_nowhere_is_refused(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/q").symlink_to("nowhere")
    with pytest.raises(UserError, match="leads nowhere; remove it"):
        RunDir.of(tmp_path, "q")


def test_a_model_of_others_is_refused_before_anything_is_written(tmp_path, make_run):
    run = make_run("first")
    run.model.write_text("mine")
    with pytest.raises(UserError, match="model: was not made by slangmod"), run.lock():
        pytest.fail("the run was begun")
