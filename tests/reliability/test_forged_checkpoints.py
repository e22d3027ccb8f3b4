"""Checkpoints with right hashes and wrong content are refused, each in one line."""

import copy
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from safetensors.torch import save_file

from slangmod.commands.changes import begun_with, differing
from slangmod.commands.choices import choices_of
from slangmod.errors import RunError, SlangmodError
from slangmod.optim.light import light
from slangmod.settings.literals import printable
from slangmod.settings.sections import Settings
from slangmod.training.checkpoint import load_checkpoint, problems_of, save_checkpoint
from slangmod.training.device import reproducible
from slangmod.training.manifest import MANIFEST, OWN, own_hash, text_of, torch_of
from slangmod.training.stored import best_step, read_about, read_counters
from tests.reliability.states import NEW, state_at

GONE: Final = object()
"""In place of a value: its key is deleted."""


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


WRONG: Final = (
    *(None, True, -1, 0, 2.5, float("inf"), float("nan"), 10**30, 10**400),
    *("", "\u001b[2J", "\u0000", "\ud800", "../x", [], {}, [[]], {"\ud800": 1}),
    *(nested(1000), 9_999_999, GONE),
)
ABOUT: Final = {
    "choices": {
        **{"device": "cpu", "threads": 1, "compiled": False},
        **{"deterministic": True, "rows": None, "onednn": False},
    },
    "processor": "one of ours",
    "tokenizer_sha256": "5e7",
    "data_sha256": "da7a",
    "settings": {
        "seed": 1,
        "train": {"batch_size": 4},
        "stage": [{"name": "a", "changes": [["train.batch_size", 8]]}],
    },
    "settings_sha256": "5e7",
}


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr("os.fsync", lambda _: None)
    state = state_at(NEW)
    state.course.losses = [1.0, 2.0]
    return save_checkpoint(tmp_path, state, ABOUT)


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there is a value in ``value``, by the keys that lead to it."""
    yield above
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*above, key))
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*above, index))


def replaced(whole: Any, place: tuple[Any, ...], new: Any) -> Any:
    """A copy of ``whole`` with another value at ``place``."""
    if not place:
        return None if new is GONE else new
    result = copy.deepcopy(whole)
    table = result
    for key in place[:-1]:
        table = table[key]
    if new is GONE:
        del table[place[-1]]
    else:
        table[place[-1]] = new
    return result


def added(whole: Any) -> Iterator[Any]:
    """Copies of ``whole`` with one more key in each table."""
    for place in places(whole):
        table = whole
        for key in place:
            table = table[key]
        if isinstance(table, dict):
            yield replaced(whole, place, {**table, "\u001b[2J\ud800": 1})
            yield replaced(whole, place, {**table, "wishes": 3})


def sign(checkpoint: Path, name: str) -> None:
    """Have the manifest say of the file ``name`` what it is."""
    content = (checkpoint / name).read_bytes()
    manifest = json.loads((checkpoint / MANIFEST).read_text("utf-8"))
    digest = hashlib.sha256(content).hexdigest()
    manifest["files"][name] = {"size": len(content), "sha256": digest}
    put_manifest(checkpoint, manifest)


def put_manifest(checkpoint: Path, manifest: Any) -> None:
    """Write a manifest with its own hash, if it can have one."""
    try:
        if isinstance(manifest, dict) and OWN in manifest:
            manifest[OWN] = own_hash(manifest)
        text = text_of(manifest)
    except RecursionError:
        text = json.dumps(manifest)
    (checkpoint / MANIFEST).write_text(text, "utf-8")


def refused(checkpoint: Path) -> bool:
    """Whether what commands make of a checkpoint is refused, in a line or some."""
    try:
        problems = problems_of(checkpoint)
        if not problems:
            torch_of(checkpoint)
            best_step(checkpoint)
            read_counters(checkpoint)
            about = read_about(checkpoint)
            choices_of(about)
            differing(begun_with(about), Settings())
            load_checkpoint(checkpoint, state_at(1))
    except SlangmodError as error:
        problems = [str(error)]
    for problem in problems:
        assert "\n" not in printable(problem)
        assert len(problem) < 2000
    return bool(problems)


def spoil(checkpoint: Path, name: str, every: int) -> int:
    """Refuse, or load, each ``every``-th spoilt content of a JSON file; -> trials."""
    path = checkpoint / name
    whole = json.loads(path.read_text("utf-8"))
    spoilt = [
        replaced(whole, place, wrong)
        for place in places(whole)
        for wrong in WRONG
        if place or wrong is not GONE
    ]
    spoilt += added(whole)
    for content in spoilt[::every]:
        if name == MANIFEST:
            put_manifest(checkpoint, content)
        else:
            path.write_text(json.dumps(content), "utf-8")
            sign(checkpoint, name)
        refused(checkpoint)
    return len(spoilt[::every])


@pytest.mark.parametrize(
    "every", [pytest.param(17), pytest.param(1, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", ["state.json", MANIFEST])
def test_spoilt_values_end_in_lines(checkpoint, promise, name, every) -> None:
    with reproducible(True, 1):
        assert not refused(checkpoint)
        promise("R17", spoil(checkpoint, name, every))


def with_files(*names: str) -> dict[str, Any]:
    return {name: {"size": 0, "sha256": "x"} for name in names}


MANIFESTS: Final = {
    "a size that is infinite": {"files": {"state.json": {"size": 1e999, "sha256": ""}}},
    "a size that is no number": {"files": {"state.json": {"size": True, "sha256": ""}}},
    "a name that ends early": {"files": with_files("a\0b")},
    "a name that no disk has": {"files": with_files("\ud800")},
    "the folder above": {"files": with_files("..")},
    "no name": {"files": with_files("")},
    "a name that leads away": {"files": with_files("../../x")},
    "truth for a format": {"format": True},
    "a format beyond all": {"format": 1e999},
    "truth for a step": {"step": True},
    "files that are none": {"files": ["state.json"]},
    "more files than there are": {"files": with_files(*map(str, range(5000)))},
}


@pytest.mark.parametrize("change", MANIFESTS.values(), ids=MANIFESTS)
@pytest.mark.parametrize("oldest", [False, True])
def test_a_forged_manifest_is_refused(checkpoint, promise, change, oldest) -> None:
    manifest = json.loads((checkpoint / MANIFEST).read_text("utf-8"))
    if "files" in change and isinstance(change["files"], dict):
        change = {"files": {**manifest["files"], **change["files"]}}
    put_manifest(checkpoint, manifest | ({"format": 1} if oldest else {}) | change)
    problems = problems_of(checkpoint)
    assert 0 < len(problems) < 10
    assert all(len(problem) < 500 for problem in problems)
    promise("R17", 1)


def test_the_last_of_two_equal_keys_does_not_count(checkpoint, promise) -> None:
    text = (checkpoint / MANIFEST).read_text("utf-8")
    twice = text.replace('"step"', '"step": 7,\n  "step"', 1)
    (checkpoint / MANIFEST).write_text(twice, "utf-8")
    assert problems_of(checkpoint) == [
        f"{checkpoint / MANIFEST}: differs from what was written"
    ]
    promise("R17", 1)


def header(content: Any, length: int | None = None, data: bytes = b"") -> bytes:
    """A file of tensors with that header, which is said to have ``length`` bytes."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    size = len(text) if length is None else length
    return size.to_bytes(8, "little") + text + data


def tensor(begin: int = 0, end: int = 8, kind: Any = "F32", shape: Any = (2,)) -> Any:
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


HEADERS: Final = {
    "nothing": b"",
    "less than a length": b"\1\2",
    "a length beyond all": header({}, 2**63),
    "a length without an end": header({}, 2**64 - 1),
    "no JSON": header(b"{"),
    "a list": header([]),
    "no text": header(b'{"\xff": 1}'),
    "tensors in one place": header(
        {"weight": tensor(), "bias": tensor()}, data=bytes(8)
    ),
    "tensors beyond the end": header({"weight": tensor(0, 2**60)}),
    "more than all memory": header({"weight": tensor(0, 8, shape=[2**62, 2**62])}),
    "a type that is unknown": header({"weight": tensor(kind="F7")}, data=bytes(8)),
    "a type that is not ours": header(
        {"weight": tensor(0, 4, "F8_E8M0", [4])}, data=bytes(4)
    ),
    "half a byte for a number": header(
        {"weight": tensor(0, 4, "F4", [8])}, data=bytes(4)
    ),
    "a type that is no text": header({"weight": tensor(kind=[])}, data=bytes(8)),
    "a shape below nothing": header({"weight": tensor(shape=[-2])}, data=bytes(8)),
    "a name that ends early": header({"a\0b/exp_avg": tensor()}, data=bytes(8)),
    "a name that no disk has": header(b'{"\\ud800": 1}'),
    "a name with an escape": header({"\u001b[2J\n": tensor()}, data=bytes(8)),
    "a name twice": header(b'{"a":' + json.dumps(tensor()).encode() + b',"a":1}'),
    "more about it than text": header({"__metadata__": {"a": 1}}),
    "a great depth": header(b"[" * 100_000),
}


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors"])
@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
def test_a_forged_header_is_refused(checkpoint, promise, name, content) -> None:
    (checkpoint / name).write_bytes(content)
    sign(checkpoint, name)
    assert refused(checkpoint)
    promise("R17", 1)


def test_a_header_of_countless_names_is_refused(checkpoint, promise) -> None:
    name = "optimizer.safetensors"
    empty = tensor(0, 0, shape=[0])
    countless = {f"weight/{number:040d}": empty for number in range(200_000)}
    (checkpoint / name).write_bytes(header(countless))
    sign(checkpoint, name)
    (problem,) = problems_of(checkpoint)
    assert "its header has" in problem
    promise("R17", 1)


def test_moments_of_other_shapes_never_reach_a_fused_step(checkpoint, promise) -> None:
    fused = light(torch.optim.AdamW)
    state = state_at(1)
    state.optimizer = fused(state.model.parameters(), lr=0.1, fused=True)
    load_checkpoint(checkpoint, state)  # such as they were
    name = "optimizer.safetensors"
    for key, shape in (("exp_avg", ()), ("exp_avg_sq", (2,)), ("step", (4,))):
        moments = {
            f"weight/{one}": torch.zeros(2, 3) for one in ("exp_avg", "exp_avg_sq")
        }
        moments |= {"weight/step": torch.zeros(()), f"weight/{key}": torch.zeros(shape)}
        save_file(moments, checkpoint / name)
        sign(checkpoint, name)
        with pytest.raises(RunError, match=f"weight/{key} is not of shape"):
            load_checkpoint(checkpoint, state)
    promise("R17", 3)


def test_moments_of_another_optimizer_end_in_a_line(bench, promise) -> None:
    path = Path("step-000000009")
    for untried, error, told in (
        (path, RunError, path.name),
        (None, KeyError, "step|exp_avg_sq"),
    ):
        run = bench(train={"optimizer": "nadam", "max_epochs": 1})
        for weight in run.state.model.parameters():
            run.state.optimizer.state[weight] = {"exp_avg": torch.zeros(3)}
        run.state.untried = untried
        with pytest.raises(error, match=told):
            run.fit()
    promise("R17", 1)


COMMANDS: Final = (
    ("resume", "--train.max_steps", "7"),
    ("verify",),
    ("evaluate",),
    ("generate", "the", "--chat.max_tokens", "2"),
    ("replay", "--step", "7"),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["state.json", MANIFEST])
def test_commands_end_in_lines_whatever_is_forged(here, promise, name) -> None:
    checkpoints = here.folder / "runs" / "first" / "checkpoints"
    newest = max(checkpoints.iterdir())
    whole = json.loads((newest / name).read_text("utf-8"))
    spots = [(place, wrong) for place in places(whole) if place for wrong in WRONG]
    trials = spots[::199] if name == "state.json" else spots[::29]
    shutil.copytree(here.folder / "runs", here.folder / "kept")
    for place, wrong in trials:
        shutil.rmtree(here.folder / "runs")
        shutil.copytree(here.folder / "kept", here.folder / "runs")
        content = replaced(whole, place, wrong)
        if name == MANIFEST:
            put_manifest(newest, content)
        else:
            (newest / name).write_text(json.dumps(content), "utf-8")
            sign(newest, name)
        for command, *words in COMMANDS:
            told = here.run(command, "--name", "first", *words)
            assert told.code in {0, 1, 2, 3}, (place, wrong)
            assert "unexpected" not in "".join(told.errors), (place, wrong, told)
            lines = [*told.errors, *told.rest.splitlines()]
            assert all(line == printable(line) for line in lines), (place, wrong)
    promise("R17", len(trials) * len(COMMANDS))
