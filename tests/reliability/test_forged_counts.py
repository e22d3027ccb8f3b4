"""A state that was forged together with its hashes is refused in one line."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slangmod.cli import main
from slangmod.training.checkpoint import find_sound
from slangmod.training.manifest import MANIFEST, own_hash, text_of
from slangmod.training.stored import read_counters

State = dict[str, Any]


def counts(**values: Any) -> Callable[[State], None]:
    return lambda state: state["counters"].update(values)


def chosen(**values: Any) -> Callable[[State], None]:
    return lambda state: state["about"]["choices"].update(values)


def without(*path: str) -> Callable[[State], None]:
    def change(state: State) -> None:
        for name in path[:-1]:
            state = state[name]
        del state[path[-1]]

    return change


def with_(**values: Any) -> Callable[[State], None]:
    return lambda state: state.update(values)


def patient(**values: Any) -> Callable[[State], None]:
    return lambda state: state["patience"].update(values)


def settled(**values: Any) -> Callable[[State], None]:
    return lambda state: state["about"]["settings"].update(values)


def nested(depth: int) -> State:
    table: State = {}
    for _ in range(depth):
        table = {"a": table}
    return table


FORGED = {
    "more mini-batches than there are": counts(batch=10**12),
    "fewer than none": counts(batch=-9),
    "more epochs than can be": counts(epoch=10**9),
    "a stage that is not there": counts(stage=5),
    "no stage": counts(stage=0),
    "words for numbers": counts(tokens="x"),
    "truth for numbers": counts(step=True),
    "seconds that are no number": counts(seconds=float("nan")),
    "a count that is unknown": counts(wishes=3),
    "no counts": without("counters"),
    "nothing about the run": without("about"),
    "a list about the run": with_(about=[1]),
    "no choices": without("about", "choices"),
    "a choice of the wrong kind": chosen(compiled="maybe"),
    "too many threads": chosen(threads=10**9),
    "no settings": without("about", "settings"),
    "sums of words": with_(sums=["a"]),
    "too many sums": with_(sums=[0.0] * 99),
    "patience that is a list": with_(patience=[]),
    "losses that are words": lambda state: state["course"].update(losses=["x"]),
    "a course without refuges": with_(course={"losses": "abc"}),
    "no table for the optimizer": with_(optimizer=7),
    "a list for all": lambda state: state.clear(),
    "epochs that so few mini-batches are not in": counts(epoch=9_999_999),
    "epochs as long as none is": counts(epoch=9_999_999, batch=10**8),
    "a step of another checkpoint": counts(step=5),
    "a text that no file holds": with_(about={"processor": "\ud800"}),
    "a best loss that is no number": patient(best_loss="x"),
    "a best loss that is not finite": patient(best_loss=float("nan")),
    "a best step of words": patient(best_step="x"),
    "weights of another kind": patient(best_weights="worst"),
    "steps of patience that are none": patient(steps={"reference": 1}),
    "a refuge that is no pair": lambda state: state["course"].update(refuges=[[1]]),
    "a stage that changes a number": settled(stage=[{"changes": [1]}]),
    "a stage that is a number": settled(stage=[1]),
    "settings within each other": settled(train=nested(99)),
    "moments of no weight": with_(optimizer={"x/step": 1}),
}


def forge(checkpoint: Path, change: Callable[[State], None]) -> None:
    file = checkpoint / "state.json"
    state = json.loads(file.read_text("utf-8"))
    change(state)
    text = json.dumps(state).encode()
    file.write_bytes(text)
    manifest = json.loads((checkpoint / MANIFEST).read_text("utf-8"))
    manifest["files"][file.name] = {
        "size": len(text),
        "sha256": hashlib.sha256(text).hexdigest(),
    }
    manifest["sha256"] = own_hash(manifest)
    (checkpoint / MANIFEST).write_text(text_of(manifest), "utf-8")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
def test_a_forged_state_is_refused_in_one_line(here, change, promise) -> None:
    for checkpoint in (here.folder / "runs" / "first" / "checkpoints").iterdir():
        forge(checkpoint, change)
    told = here.run("resume", "--name", "first", "--train.max_epochs", "99")
    assert told.code == 1
    assert len(told.errors) == 1
    assert not told.errors[0].startswith("unexpected ")
    assert len(told.errors[0]) < 3000
    promise("R17", 1)


def test_a_forged_state_is_gone_back_from(here, promise) -> None:
    checkpoints = here.folder / "runs" / "first" / "checkpoints"
    newest, before = sorted(checkpoints.iterdir())[:-3:-1]
    forge(newest, patient(best_loss="\x1b[2J"))
    told = here.run("verify", "--name", "first")
    assert told.code == 1
    told = here.run("resume", "--name", "first", "--train.max_steps", "7")
    assert (told.code, told.errors) == (0, [])
    (warning,) = [line for line in told.rest.splitlines() if "warning" in line]
    assert str(newest.relative_to(here.folder) / "state.json") in warning
    assert "patience.best_loss" in warning
    assert f"going back to {before.name}" in warning
    assert "\x1b" not in warning
    assert (checkpoints / f".bad-{newest.name}").is_dir()
    promise("R7", 1)


def test_verify_says_what_is_forged_in_a_line(here, capsys, promise) -> None:
    for checkpoint in (here.folder / "runs" / "first" / "checkpoints").iterdir():
        forge(checkpoint, counts(evaluated_step=float("inf")))
    capsys.readouterr()
    assert main(["verify", "--name", "first"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert sum("counters.evaluated_step = inf: cannot be" in one for one in lines) == 4
    promise("R17", 1)


def test_a_setting_that_nobody_knows_is_named(here, promise) -> None:
    for checkpoint in (here.folder / "runs" / "first" / "checkpoints").iterdir():
        forge(checkpoint, settled(magic={"wand": 1}))
    told = here.run("resume", "--name", "first", "--train.max_steps", "7")
    assert told.code == 2
    (line,) = told.errors
    assert "magic.wand = 1, which this slangmod does not know" in line
    promise("R17", 1)


@pytest.mark.parametrize(
    ("optimizer", "rate"), [("adamw", "1e30"), ("sgd", "3e18"), ("adafactor", "1e30")]
)
def test_what_a_huge_rate_has_saved_is_loaded_again(
    here, promise, optimizer, rate
) -> None:
    words = ("--train.optimizer", optimizer, "--train.learning_rate", rate)
    more = ("--train.warmup", "0", "--train.max_steps", "1", "--name", "huge")
    here.run("train", "--toml", "config.toml", *words, *more, "--checkpoint.every", "1")
    newest, _ = find_sound(here.folder / "runs" / "huge" / "checkpoints")
    assert newest.name == "step-000000001"
    assert read_counters(newest).learning_rate == float(rate)
    told = here.run("resume", "--name", "huge", "--train.max_steps", "3")
    assert all("diverged" in one or "is not finite" in one for one in told.errors)
    promise("R17", 1)
