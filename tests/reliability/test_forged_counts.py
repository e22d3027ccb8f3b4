"""A state that was forged together with its hashes is refused in one line."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slangmod.training.manifest import MANIFEST, own_hash, text_of

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
    promise("R17", 1)
