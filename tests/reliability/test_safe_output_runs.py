"""What the files of a real run say reaches neither terminal nor log raw."""

import fcntl
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from slangmod.cli import main
from slangmod.commands import generate
from slangmod.files import MARKER
from slangmod.locks import holder_file
from slangmod.settings.literals import quoted
from slangmod.training.manifest import MANIFEST, OWN, own_hash, text_of
from tests.reliability.test_safe_output import RAW, evil, path
from tests.reliability.workplace import CONFIG, Here

RUN = Path("runs/first")


def put(place: Path, text: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, "utf-8")


def in_json(place: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(place.read_text("utf-8"))
    change(content)
    place.write_text(json.dumps(content), "utf-8")


def encodings() -> Path:
    (place,) = Path().glob("encodings-*/manifest.json")
    return place


def without_sums() -> None:
    """As a model from elsewhere, of which nobody knows what was written."""
    (RUN / "model" / MARKER).unlink()


def of_tensors() -> None:
    without_sums()
    place = RUN / "model" / "model.safetensors"
    tensors = load_file(place)
    save_file({**tensors, evil("tensor-"): np.zeros(1)}, place)


def of_model() -> None:
    without_sums()
    place = RUN / "model" / "config.json"
    in_json(place, lambda one: one["model"].update({evil("field-"): 1}))


def of_shard(content: dict) -> None:
    content["splits"]["train"]["shards"][0]["name"] = path("shard-")


def of_split(content: dict) -> None:
    content["splits"][evil("split-")] = content["splits"]["train"]


def of_checkpoint() -> None:
    for one in (RUN / "checkpoints").glob("step-*"):
        content = json.loads((one / MANIFEST).read_text("utf-8"))
        content["files"][path("listed-")] = {"size": 1, "sha256": "0" * 64}
        content[OWN] = own_hash(content)
        put(one / MANIFEST, text_of(content))


GENERATE, EVALUATE, CHAT, RESUME, REPLAY = (
    (action, "--name", "first", *more)
    for action, *more in (
        ("generate",),
        ("evaluate",),
        ("chat",),
        ("resume", "--train.max_steps", "8"),
        ("replay", "--step", "3"),
    )
)
VERIFY = (("verify", "first"), ("verify", "first", "--json"))
STRAY = Path("corpus") / f"{path('stray-')}.parquet"
CHANGES = json.dumps({"changes": [{evil("changed-"): 1}]})
CONTENTS = {
    "unknown-": (RUN / "config.toml", f"{quoted(evil('unknown-'))} = 1\n"),
    "stray-": (STRAY, "no parquet"),
    "changed-": (RUN / "changes.json", CHANGES),
    "steps-": (RUN / "summary.toml", f"[outcome]\nsteps = {quoted(evil('steps-'))}\n"),
}
"""Files that are written anew."""

CHANGED: dict[str, Callable[[], None]] = {
    "shard-": lambda: in_json(encodings(), of_shard),
    "split-": lambda: in_json(encodings(), of_split),
    "listed-": of_checkpoint,
    "tensor-": of_tensors,
    "field-": of_model,
}
"""Files that say something else, too."""

WHO: dict[str, tuple[tuple[str, ...], ...]] = {
    "unknown-": (*VERIFY, GENERATE, REPLAY, RESUME, EVALUATE, CHAT),
    "stray-": (*VERIFY, ("clean", "--toml", "config.toml")),
    "changed-": (*VERIFY, RESUME),
    "steps-": (*VERIFY, ("summarize", "first")),
    "shard-": (*VERIFY, RESUME, REPLAY),
    "split-": VERIFY,
    "listed-": (*VERIFY, RESUME),
    "tensor-": (GENERATE, EVALUATE),
    "field-": (GENERATE, CHAT),
}
"""By the mark of what is hostile, those who must speak of it."""


@pytest.mark.parametrize("mark", WHO)
def test_no_command_shows_what_a_run_says_raw(
    here: Here, capsys, promise, mark: str
) -> None:
    if mark in CONTENTS:
        put(*CONTENTS[mark])
    else:
        CHANGED[mark]()
    for words in WHO[mark]:
        main(list(words))
        said = capsys.readouterr()
        assert mark in said.out + said.err, words
        assert sum("error:" in line for line in said.err.splitlines()) <= 1, said.err
        assert not RAW.search(said.out), words
        assert not RAW.search(said.err), words
        log = (RUN / "train.log").read_text("utf-8")
        assert not RAW.search(log), words
    promise("R19", len(WHO[mark]))


@pytest.mark.parametrize("words", [RESUME, ("verify", "first")])
def test_who_holds_a_lock_is_not_shown_raw(here: Here, capsys, promise, words) -> None:
    with (RUN / "run.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        put(holder_file(RUN / "run.lock"), evil("holder-"))
        main(list(words))
    said = capsys.readouterr()
    (line,) = [one for one in (said.out + said.err).splitlines() if "in use by" in one]
    assert "holder-" in line
    assert not RAW.search(said.out + said.err)
    promise("R19", 1)


def test_text_that_a_run_learnt_from_and_writes_is_not_shown_raw(
    nowhere: Here, capsys, promise, monkeypatch
) -> None:
    put(Path("raw/train.txt"), "".join(evil(f"so it says {n} ") for n in range(9)))
    samples = '[samples]\nevery = 2\nprompts = ["so it"]\n'
    put(Path("config.toml"), f"{CONFIG}\n{samples}")
    first = ("--toml", "config.toml", "--name", "first")
    assert main(["clean", "tokenize", "encode", "train", *first]) == 0
    written: list[str] = []

    def printable(text: str) -> str:
        written.append(text)
        return clean(text)

    clean = generate.printable
    monkeypatch.setattr(generate, "printable", printable)
    loud = ("--chat.generator", "top_k", "--chat.k", "1.0", "--chat.temperature", "9.0")
    assert main([*GENERATE, evil("so it says").replace("\x00", ""), *loud]) == 0
    assert RAW.search("".join(written[1:]))  # so that there is something to hide
    said = capsys.readouterr()
    assert "so it says" in said.out
    assert main([*REPLAY]) == 0
    told = capsys.readouterr()
    assert len(re.findall("red|link|writ|back|esrev|feed|bell", told.out)) > 2
    text = re.sub(
        "[\u2028\u2029]", "", said.out + told.out
    )  # lines of a text, to a terminal
    assert not RAW.search(text + said.err + told.err)
    assert not RAW.search((RUN / "train.log").read_text("utf-8"))
    promise("R19", 3)
