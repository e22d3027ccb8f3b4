"""What is not as it was written is noticed, named, and passed over."""

import json
import logging
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from slangmod.errors import RunError, UserError
from slangmod.training.checkpoint import newest_sound, problems_of, save_checkpoint
from slangmod.training.manifest import FORMAT, OWN, own_hash
from tests.reliability.states import NEW, OLD, bits, loaded, state_at

FILES = (
    "model.safetensors",
    "optimizer.safetensors",
    "state.json",
    "manifest.json",
)


def flip(file: Path, chance: random.Random) -> None:
    content = bytearray(file.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    file.write_bytes(content)


def truncate(file: Path, chance: random.Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: chance.randrange(len(content))])


def extend(file: Path, chance: random.Random) -> None:
    more = chance.choice([b" ", b"\n", b"\0", chance.randbytes(9)])
    file.write_bytes(file.read_bytes() + more)


def delete(file: Path, chance: random.Random) -> None:
    file.unlink()


def blank(file: Path, chance: random.Random) -> None:
    """As many zeros: what some file systems leave of a file after a crash."""
    file.write_bytes(bytes(len(file.read_bytes())))


def swap_steps(file: Path, chance: random.Random) -> None:
    """The file of the other checkpoint."""
    shutil.copy(file.parent.with_name(f"step-{OLD:09d}") / file.name, file)


def swap_files(file: Path, chance: random.Random) -> None:
    """Another file of the same checkpoint."""
    others = [name for name in FILES if name != file.name]
    shutil.copy(file.with_name(chance.choice(others)), file)


def make_folder(file: Path, chance: random.Random) -> None:
    file.unlink()
    file.mkdir()


DAMAGES: dict[str, Callable[[Path, random.Random], None]] = {
    damage.__name__: damage
    for damage in (
        *(flip, truncate, extend, delete),
        *(blank, swap_steps, swap_files, make_folder),
    )
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """Two checkpoints."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    for step in (OLD, NEW):
        save_checkpoint(tmp_path / "whole", state_at(step), {})
    return tmp_path / "whole"


def damaged(folder: Path, caplog, seed: int) -> None:
    """Damage the newer checkpoint by one of all ways; the older one must be taken."""
    chance = random.Random(seed)
    name = FILES[seed % len(FILES)]
    damage = DAMAGES[list(DAMAGES)[seed // len(FILES) % len(DAMAGES)]]
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    newer = copy / f"step-{NEW:09d}"
    damage(newer / name, chance)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert newest_sound(copy, own=True).name == f"step-{OLD:09d}", (name, damage)
    (record,) = caplog.records
    assert str(newer / name) in record.getMessage()
    assert f"going back to step-{OLD:09d}" in record.getMessage()
    assert loaded(copy) == bits(state_at(OLD))
    assert (copy / f".bad-step-{NEW:09d}").is_dir()
    assert not newer.exists()
    shutil.rmtree(copy)


def test_damage_is_noticed(folder, promise, caplog) -> None:
    for seed in range(64):
        damaged(folder, caplog, seed)
    promise("R7", 64)


@pytest.mark.slow
def test_damage_is_noticed_three_hundred_times(folder, promise, caplog) -> None:
    for seed in range(1000, 1300):
        damaged(folder, caplog, seed)
    promise("R7", 300)


@pytest.mark.slow
def test_every_flipped_bit_of_a_manifest_is_noticed(folder, promise) -> None:
    newer = folder / f"step-{NEW:09d}"
    content = (newer / "manifest.json").read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            broken = bytearray(content)
            broken[place] ^= 1 << bit
            (newer / "manifest.json").write_bytes(broken)
            assert problems_of(newer), (place, bit)
    promise("R7", 8 * len(content))


def test_the_checkpoint_of_another_step_is_noticed(folder, promise) -> None:
    (folder / f"step-{NEW:09d}").rename(folder / "other")
    (folder / f"step-{OLD:09d}").rename(folder / f"step-{NEW:09d}")
    with pytest.raises(RunError, match=r"manifest\.json: is that of step 10"):
        newest_sound(folder, own=True)
    promise("R7", 1)


def test_with_none_left_all_are_named_and_none_renamed(folder, promise) -> None:
    for step in (OLD, NEW):
        flip(folder / f"step-{step:09d}" / "state.json", random.Random(step))
    before = sorted(folder.iterdir())
    with pytest.raises(RunError) as caught:
        newest_sound(folder, own=True)
    for step in (OLD, NEW):
        assert str(folder / f"step-{step:09d}" / "state.json") in str(caught.value)
    assert sorted(folder.iterdir()) == before
    promise("R7", 1)


def test_one_who_only_looks_renames_nothing(folder, promise) -> None:
    flip(folder / f"step-{NEW:09d}" / "state.json", random.Random(1))
    assert newest_sound(folder).name == f"step-{OLD:09d}"
    assert (folder / f"step-{NEW:09d}").is_dir()
    promise("R7", 1)


def rewrite(checkpoint: Path, **change: object) -> None:
    """A manifest with other values, as another slangmod might have written it."""
    file = checkpoint / "manifest.json"
    content = {**json.loads(file.read_text("utf-8")), **change}
    content[OWN] = own_hash(content)
    file.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def test_a_newer_format_is_no_damage_and_stops(folder, promise) -> None:
    newer = folder / f"step-{NEW:09d}"
    rewrite(newer, format=FORMAT + 1, versions={"slangmod": "9.8"})
    with pytest.raises(UserError, match=rf"slangmod 9\.8 in format {FORMAT + 1}"):
        newest_sound(folder, own=True)
    assert newer.is_dir()
    promise("R7", 1)


def test_the_first_format_is_still_read(folder, promise) -> None:
    file = folder / f"step-{NEW:09d}" / "manifest.json"
    content = json.loads(file.read_text("utf-8"))
    first = {key: content[key] for key in ("step", "files", "versions")}
    file.write_text(json.dumps({"format": 1, **first}, indent=2), "utf-8")
    assert loaded(folder) == bits(state_at(NEW))
    flip(file.with_name("model.safetensors"), random.Random(3))
    assert loaded(folder) == bits(state_at(OLD))
    promise("R7", 2)


def test_what_cannot_be_read_now_is_not_taken_for_damaged(
    folder, promise, monkeypatch
) -> None:
    newer = folder / f"step-{NEW:09d}"

    def fails(path: Path) -> str:
        raise OSError(5, "Input/output error", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("slangmod.training.manifest.sha256_of", fails)
        assert problems_of(newer) == [f"{newer / FILES[0]}: Input/output error"]
        with pytest.raises(RunError, match="Input/output error"):
            newest_sound(folder, own=True)
    assert loaded(folder) == bits(state_at(NEW))
    promise("R7", 1)
