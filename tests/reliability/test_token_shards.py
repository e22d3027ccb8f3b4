"""Token shards that are not as they were written are noticed before training."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from slangmod.cli import main
from slangmod.data.shards import check_fresh, open_encodings
from slangmod.errors import DataError
from slangmod.settings import load_settings
from tests.reliability.small_work import make_work


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with encodings, made once."""
    folder = tmp_path_factory.mktemp("shards") / "work"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_work(folder)
    return folder


def flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)])


def extend(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes() + bytes(chance.randrange(1, 9)))


def swap(path: Path, chance: random.Random) -> None:
    other = chance.choice(
        [
            one
            for one in sorted(path.parent.iterdir())
            if one.read_bytes() != path.read_bytes()
        ]
    )
    mine, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(mine)


def delete(path: Path, chance: random.Random) -> None:
    del chance
    path.unlink()


HARM: tuple[Callable[[Path, random.Random], None], ...] = (
    flip,
    truncate,
    extend,
    swap,
    delete,
)


def test_whatever_happens_to_a_file_is_noticed_at_the_start(
    encoded, tmp_path, monkeypatch, capsys, promise
) -> None:
    monkeypatch.chdir(encoded)
    settings = load_settings("config.toml")
    folder = next(encoded.glob("encodings-*"))
    sound = tmp_path / "sound"
    shutil.copytree(folder, sound)
    names = [p.name for p in sorted(sound.iterdir()) if not p.name.startswith(".")]
    chance = random.Random(0)
    known = check_fresh(settings).fingerprint()
    for trial in range(150):
        shutil.rmtree(folder)
        shutil.copytree(sound, folder)
        name = names[trial % len(names)]
        HARM[trial // len(names) % len(HARM)](folder / name, chance)
        try:
            # A manifest may change without a word of it changing: a blank.
            assert check_fresh(settings).fingerprint() != known
            assert name == "manifest.json"
        except DataError as error:
            assert "run `slangmod encode`" in str(error)
            assert "\n" not in str(error)
    assert main(["train", "--toml", "config.toml", "--name", "first"]) == 2
    assert not (encoded / "runs").exists()
    assert main(["encode", "--toml", "config.toml"]) == 0
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {
        p.name: p.read_bytes() for p in sound.iterdir()
    }
    promise("R14", 150)


def lies(key: str, value: object, where: tuple = ()) -> Callable[[dict], None]:
    def tell(manifest: dict) -> None:
        table = manifest
        for part in where:
            table = table[part]
        table[key] = value

    return tell


SHARD = ("splits", "train", "shards", 0)
LIES = {
    "ids beyond the vocabulary": lies("vocab", 100),
    "a type that there is not": lies("dtype", "float64"),
    "no list of splits": lies("splits", []),
    "a huge vocabulary": lies("vocab", 1 << 40),
    "a vocabulary in words": lies("vocab", "257"),
    "an end beyond it": lies("end", 257),
    "less than nothing": lies("tokens", -1, SHARD),
    "true tokens": lies("tokens", True, SHARD),
    "other sums": lies("tokens", 7, ("splits", "train")),
    "a path out": lies("name", "../../../../etc/passwd", SHARD),
    "an absolute path": lies("name", "/etc/passwd", SHARD),
    "a path down": lies("ends", "sub/train-00000.ends", SHARD),
    "a name of nothing": lies("name", "", SHARD),
    "a name with nul": lies("name", "train\x00.bin", SHARD),
    "more than is known": lies("more", 1),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_lies_is_refused(encoded, tmp_path, lie, promise) -> None:
    folder = tmp_path / "encodings"
    shutil.copytree(next(encoded.glob("encodings-*")), folder)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    LIES[lie](manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"run `slangmod encode`"):
        open_encodings(folder).verify()
    promise("R14", 1)


def test_ends_that_are_none_are_refused(encoded, tmp_path, promise) -> None:
    import hashlib

    import numpy as np

    trials = 0
    sound = next(encoded.glob("encodings-*"))
    for wrong in ([0], [3], [5, 5], [2**63], []):
        folder = tmp_path / str(trials)
        shutil.copytree(sound, folder)
        path = folder / "manifest.json"
        manifest = json.loads(path.read_text())
        train = manifest["splits"]["train"]
        shard = train["shards"][0]
        content = np.array(wrong, "<u8").tobytes()
        (folder / shard["ends"]).write_bytes(content)
        shard["documents"] = train["documents"] = len(wrong)
        shard["ends_sha256"] = hashlib.sha256(content).hexdigest()
        path.write_text(json.dumps(manifest))
        with pytest.raises(DataError, match=shard["ends"]):
            open_encodings(folder).verify()
        trials += 1
    promise("R14", trials)


VALUES = [None, True, -1, 1 << 70, 0.5, "", "a\x00b", "../../x", [], [1], {}, {"a": 1}]


def places_in(content: object) -> list[tuple[dict | list, object]]:
    """All values of a JSON file: what each is in, and its key or place there."""
    found: list[tuple[dict | list, object]] = []
    if isinstance(content, dict | list):
        keys = [*content] if isinstance(content, dict) else [*range(len(content))]
        for key in keys:
            found += [(content, key), *places_in(content[key])]
    return found


def changed_somewhere(content: dict, chance: random.Random) -> dict:
    """A copy with one value taken away, or made another, anywhere in it."""
    changed = json.loads(json.dumps(content))
    table, key = chance.choice(places_in(changed))
    if chance.random() < 0.3:
        del table[key]
    else:
        table[key] = chance.choice(VALUES)
    return changed


@pytest.mark.parametrize("name", ["manifest.json", ".slangmod.json"])
@pytest.mark.parametrize(
    "trials", [pytest.param(150), pytest.param(5000, marks=pytest.mark.slow)]
)
def test_json_with_anything_in_it_is_refused_or_taken(
    encoded, tmp_path, monkeypatch, name, trials, promise
) -> None:
    from slangmod.data.dataset import open_dataset
    from slangmod.settings import load_settings

    chance = random.Random(trials)
    folder = tmp_path / "work"
    shutil.copytree(encoded, folder)
    monkeypatch.chdir(folder)
    settings = load_settings("config.toml")
    path = next(folder.glob("encodings-*")) / name
    sound = json.loads(path.read_text())
    refused = 0
    for _ in range(trials):
        path.write_text(json.dumps(changed_somewhere(sound, chance)))
        for split in ("train", "validation"):
            try:
                open_dataset(settings, split).batch(0)
            except DataError as error:
                assert "\n" not in str(error)
                assert path.parent.name in str(error)
                refused += 1
    assert refused > trials // 4
    promise("R14", trials)


@pytest.mark.parametrize("split", ["train", "test", "validation"])
def test_encodings_that_lack_a_split_are_refused(
    encoded, tmp_path, split, monkeypatch, capsys, promise
) -> None:
    folder = tmp_path / "work"
    shutil.copytree(encoded, folder)
    monkeypatch.chdir(folder)
    path = next(folder.glob("encodings-*")) / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["splits"][split]
    path.write_text(json.dumps(manifest))
    assert main(["train", "--toml", "config.toml", "--name", "first"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"manifest.json: no split '{split}'; run `slangmod encode`" in line
    assert not (folder / "runs").exists()
    promise("R14", 1)
