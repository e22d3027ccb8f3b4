"""Checkpoints of several processes: one format for every number of them."""

import errno
import json
import os
import shutil
from contextlib import nullcontext

import pytest
import torch
from safetensors import safe_open

from slangmod.errors import RunError
from slangmod.files import ASIDE, REPLACED
from slangmod.training.checkpoint import (
    checkpoint_path,
    list_checkpoints,
    load_checkpoint,
    newest_sound,
    problems_of,
    step_of,
    write_checkpoint,
)
from slangmod.training.manifest import MANIFEST, OWN, own_hash, text_of
from slangmod.training.parts import open_tensors
from slangmod.training.sharded import write_together
from slangmod.training.shared_saver import SharedSaver
from slangmod.training.snapshot import take
from tests.parallel.spread import share_at, tensors_of
from tests.parallel.threads import Table, Threads, together
from tests.reliability.faulty_disk import Disk, Strike, installed
from tests.reliability.states import NEW, OLD, all_good, bits, loaded, state_at

SIZES = (2, 3, 4)
"""Of teams; the weights have 2 rows, so that some have nothing to write."""


@pytest.fixture(autouse=True)
def _no_syncs(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)


def saved_by(size, folder, step=NEW):
    """The checkpoint of ``step`` that a team of ``size`` has written."""

    def save(team):
        return write_together(folder, take(share_at(step, team), {}), team)

    found = together(size, save)
    assert found == [checkpoint_path(folder, step)] * size
    return found[0]


@pytest.mark.parametrize("size", SIZES)
def test_what_several_write_one_reads(tmp_path, size):
    path = saved_by(size, tmp_path)
    assert loaded(tmp_path) == bits(state_at(NEW))
    names = {one.name for one in path.iterdir()}
    wanted = {f"model-{n:05d}-of-{size:05d}.safetensors" for n in range(1, size + 1)}
    assert wanted < names and "model.safetensors" not in names


@pytest.mark.parametrize("size", SIZES)
def test_no_file_holds_more_than_the_rows_of_one(tmp_path, size):
    path = saved_by(size, tmp_path)
    for file in path.glob("model-*"):
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118
                assert tensors.get_slice(name).get_shape()[0] <= -(-2 // size)


def test_a_run_goes_from_two_to_one_to_four_to_two(tmp_path):
    kept = tmp_path / "kept"

    def passed_on(size, folder, to):
        def act(team):
            state = share_at(1, team)
            load_checkpoint(newest_sound(folder), state)
            write_together(to, take(state, {}), team)
            return tensors_of(state) == tensors_of(share_at(NEW, team))

        assert together(size, act) == [True] * size

    saved_by(2, tmp_path / "two")
    state = state_at(1)
    load_checkpoint(newest_sound(tmp_path / "two"), state)
    write_checkpoint(tmp_path / "one", take(state, {}))
    passed_on(4, tmp_path / "one", tmp_path / "four")
    passed_on(2, tmp_path / "four", kept)
    assert loaded(kept) == bits(state_at(NEW))
    first, last = saved_by(2, tmp_path / "again"), newest_sound(kept)
    for file in first.glob("*.safetensors"):
        assert file.read_bytes() == (last / file.name).read_bytes()


def test_no_weights_travel_while_a_checkpoint_is_written(tmp_path, monkeypatch):
    said = []

    def refused(*_):
        raise AssertionError("a tensor travels")

    def exchanged(table, rank, what, real=Table.exchanged):
        said.append(what)
        return real(table, rank, what)

    for name in ("sum", "gather", "scatter"):
        monkeypatch.setattr(Threads, name, refused)
    monkeypatch.setattr(Table, "exchanged", exchanged)
    saved_by(4, tmp_path)
    assert {type(what) for what in said} == {str}
    weight = state_at(NEW).model.weight
    assert not any(
        str(number.item()) in what for number in weight.flatten() for what in said
    )


def test_only_the_rows_that_are_asked_for_are_read(tmp_path):
    path = saved_by(2, tmp_path)
    (path / "model-00002-of-00002.safetensors").unlink()
    with open_tensors(path, "model.safetensors") as tensors:
        row = tensors.read("weight", range(1))
    assert row.tolist() == state_at(NEW).model.weight[:1].tolist()


def test_one_process_writes_the_files_it_always_wrote(tmp_path):
    path = write_checkpoint(tmp_path, take(state_at(NEW), {}))
    manifest = json.loads((path / MANIFEST).read_text())
    assert manifest["format"] == 2
    assert list(manifest["files"]) == [
        "model.safetensors",
        "optimizer.safetensors",
        "state.json",
    ]
    assert "tensors" not in manifest


def damage(path, kind):
    """Spoil one of the files of a checkpoint."""
    first, second = sorted(path.glob("optimizer-*"))[:2]
    content = second.read_bytes()
    if kind == "missing":
        second.unlink()
    elif kind == "cut":
        second.write_bytes(content[:-1])
    elif kind == "flipped":
        second.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        second.write_bytes(first.read_bytes())
        first.write_bytes(content)


@pytest.mark.parametrize("kind", ["missing", "cut", "flipped", "swapped"])
def test_a_damaged_part_is_found_and_the_older_checkpoint_taken(tmp_path, kind):
    saved_by(2, tmp_path, OLD)
    damage(saved_by(2, tmp_path, NEW), kind)
    assert step_of(newest_sound(tmp_path, own=True)) == OLD
    assert loaded(tmp_path) == bits(state_at(OLD))
    assert (tmp_path / f".bad-step-{NEW:09d}").is_dir()


def forge(path, change):
    """Rewrite the manifest, with its hash, so that only its meaning is wrong."""
    content = json.loads((path / MANIFEST).read_text())
    change(content["tensors"])
    content[OWN] = own_hash(content)
    (path / MANIFEST).write_text(text_of(content))


MODEL = "model.safetensors"


def weight(index):
    return index[MODEL]["tensors"]["weight"]


def moment(index):
    return index["optimizer.safetensors"]["tensors"]["weight/exp_avg"]


FORGERIES = {
    "rows missing": lambda index: weight(index).update(shape=[9, 3]),
    "negative": lambda index: weight(index).update(rows=-1),
    "no number": lambda index: weight(index).update(rows=True),
    "numbers": lambda index: weight(index).update(rows=[1]),
    "huge": lambda index: weight(index).update(shape=[2, 2**60]),
    "no table": lambda index: index.update({MODEL: []}),
    "no files": lambda index: index[MODEL].update(files=[]),
    "elsewhere": lambda index: index[MODEL].update(files=["../a", "../b"]),
    "a file twice": lambda index: index[MODEL]["files"].__setitem__(
        1, index[MODEL]["files"][0]
    ),
    "another type": lambda index: weight(index).update(dtype="X9"),
    "no tensors": lambda index: index[MODEL].update(tensors=3),
    "no shape": lambda index: weight(index).update(shape=[]),
    "a shape of words": lambda index: weight(index).update(shape=["2", 3]),
}
"""What a manifest must not say of its parts."""


@pytest.mark.parametrize("kind", FORGERIES)
def test_an_index_that_makes_no_sense_is_a_fault(tmp_path, kind):
    path = saved_by(2, tmp_path)
    forge(path, FORGERIES[kind])
    assert len(problems_of(path)) == 1
    with pytest.raises(RunError, match="no usable checkpoint"):
        newest_sound(tmp_path)
    with pytest.raises(RunError):
        load_checkpoint(path, state_at(1))


MISMATCHES = {
    "taller": lambda index: weight(index).update(shape=[9, 3], rows=5),
    "wider": lambda index: weight(index).update(shape=[2, 2**40]),
    "wider moments": lambda index: moment(index).update(shape=[2, 2**47]),
    "shifted": lambda index: weight(index).update(rows=2),
    "shifted moments": lambda index: moment(index).update(rows=2),
    "another type": lambda index: weight(index).update(dtype="F64"),
    "one less": lambda index: index[MODEL]["tensors"].pop("bias"),
    "one more": lambda index: index[MODEL]["tensors"].update(more=weight(index)),
    "whole": lambda index: moment(index).pop("rows"),
}
"""What makes sense but is not so."""


@pytest.mark.parametrize("kind", MISMATCHES)
def test_an_index_that_does_not_fit_is_refused_before_memory_is_taken(tmp_path, kind):
    path = saved_by(2, tmp_path)
    forge(path, MISMATCHES[kind])
    with pytest.raises(RunError, match=r"step-000000020"):
        load_checkpoint(path, state_at(1))


def test_a_part_that_is_a_link_is_refused(tmp_path):
    path = saved_by(2, tmp_path / "run")
    part = path / "model-00002-of-00002.safetensors"
    part.rename(tmp_path / "elsewhere")
    part.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="is a link"):
        load_checkpoint(path, state_at(1))


def savers(folder, team, now=lambda: 0.0, **options):
    there = list_checkpoints(folder)
    known = {"keep": 1, "spared": -1 if there else None, "clock": now, **options}
    about = {"settings_sha256": "5e7"}
    return SharedSaver(folder, about, sync=all_good, team=team, **known)


def refused(folder, rank, at, background):
    """Let call ``at`` about the files of one fail, and save; -> whether there was one.

    Nothing is left of what failed, all know of it, and the next attempt is whole.
    """
    saved_by(2, folder, OLD)
    strike = Strike(at, errno.ENOSPC)
    suffix = f"-{rank + 1:05d}-of-00002.safetensors"

    def strike_there(name, path):
        if path.name.endswith(suffix):
            strike(name, path)

    def act(team):
        now = [0.0]
        saver = savers(folder, team, lambda: now[0], background=background)
        state = share_at(NEW, team)
        with installed(Disk(folder, strike_there)) if team.leads else nullcontext():
            team.meet()
            saver.save(state)
            saver.wait()
            team.meet()
        debt, newest = saver.in_debt, step_of(newest_sound(folder))
        now[0] = 60.0
        assert saver.due_again() is debt
        saver.save(state)
        saver.wait()
        return debt, newest, saver.due_again()

    found = together(2, act)
    debt = found[0][0]
    assert found == [(debt, OLD if debt else NEW, False)] * 2
    assert loaded(folder) == bits(state_at(NEW))
    assert [one.name for one in folder.iterdir()] == [f"step-{NEW:09d}"]
    return strike.count >= at


def until_the_end(tmp_path, every, rank, background):
    """How many calls have failed, each ``every`` of them, until there are no more."""
    at, folder = every, tmp_path.resolve() / "run"
    while refused(folder, rank, at, background):
        shutil.rmtree(folder)
        at += every
    return at // every - 1


def test_writes_of_one_process_may_fail(tmp_path):
    assert until_the_end(tmp_path, 6, rank=1, background=False) > 2


@pytest.mark.slow
@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("rank", [0, 1])
def test_each_write_of_each_process_may_fail(tmp_path, rank, background):
    assert until_the_end(tmp_path, 1, rank, background) > 15


def test_what_will_be_needed_is_held_by_all_until_one_has_room(tmp_path):
    folder = tmp_path.resolve() / "run"
    saved_by(2, folder, 0)
    full = [True]

    def refuses(name, path):
        if full and name == "write" and "-00002-of-00002" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def act(team):
        saver = savers(folder, team, needed=lambda _: {0, OLD})
        with installed(Disk(folder, refuses)) if team.leads else nullcontext():
            team.meet()
            for step in (OLD, NEW):
                saver.save(share_at(step, team))
            with pytest.raises(OSError, match="No space"):
                saver.settle()
            team.meet()
        full.clear()
        team.meet()
        saver.settle()
        saver.settle()
        return [step_of(path) for path in list_checkpoints(folder)]

    assert together(2, act) == [[NEW, OLD, 0]] * 2


def test_one_that_is_there_and_the_same_is_kept(tmp_path):
    path = saved_by(2, tmp_path)
    before = path.stat().st_mtime_ns
    assert saved_by(2, tmp_path).stat().st_mtime_ns == before
    saved_by(4, tmp_path)
    assert path.stat().st_mtime_ns != before
    assert loaded(tmp_path) == bits(state_at(NEW))


def test_what_ends_one_ends_all_and_leaves_nothing(tmp_path):
    def act(team):
        state = share_at(NEW, team)
        snapshot = take(state, {})
        if team.rank == 1:
            snapshot.tensors[next(iter(snapshot.tensors))]["odd"] = torch.zeros(1).to(
                torch.complex128
            )
        write_together(tmp_path, snapshot, team)

    first, second = together(2, act)
    assert type(first) is type(second) is RuntimeError
    assert str(first) == str(second)
    assert not [*tmp_path.glob(f"{ASIDE}*")]


def test_what_others_have_saved_stays_until_the_new_one_is_sound(tmp_path, monkeypatch):
    path = saved_by(2, tmp_path)
    before = {one.name for one in path.iterdir()}

    def full(*_):
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("slangmod.training.checkpoint.refuse_without_room", full)
        with pytest.raises(OSError, match="no space"):
            write_checkpoint(tmp_path, take(state_at(NEW), {}))
    assert {one.name for one in path.iterdir()} == before
    assert loaded(tmp_path) == bits(state_at(NEW))
    write_checkpoint(tmp_path, take(state_at(NEW), {}))
    assert (path / "model.safetensors").is_file()
    assert loaded(tmp_path) == bits(state_at(NEW))
    saved_by(2, tmp_path)
    assert {one.name for one in path.iterdir()} == before
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_one_that_is_there_already_is_made_durable_by_the_leader(tmp_path):
    folder = tmp_path.resolve() / "run"
    saved_by(2, folder)

    def again(team):
        disk = Disk(folder)
        with installed(disk) if team.leads else nullcontext():
            team.meet()
            write_together(folder, take(share_at(NEW, team), {}), team)
            team.meet()
        return disk.calls

    calls, _ = together(2, again)
    assert "fsync run" in calls
    assert not [call for call in calls if call.startswith(("mkdir", "write"))]


def test_what_a_disk_refused_to_replace_has_its_name_again(tmp_path):
    """Before any of them looks for it; nothing is owed."""
    path = saved_by(2, tmp_path)
    path.rename(path.with_name(REPLACED + path.name))
    together(2, lambda team: savers(tmp_path, team).settle())
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
