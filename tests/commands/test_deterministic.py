"""Under which rules of torch a run is trained and evaluated."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from slangmod.cli import main
from slangmod.commands import evaluate, resume, train
from slangmod.commands.choices import Choices
from slangmod.errors import RunError
from slangmod.training.evaluate import Evaluator
from slangmod.training.trainer import Trainer
from tests.reliability.small_work import make_work
from tests.reliability.small_work import train as train_as

THREADS = 2
CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
Rules = tuple[int, bool, int, str | None]

STRICT = (2, False, THREADS, ":4096:8")
"""What is not deterministic is an error; fresh memory is not filled; threads; what
cuBLAS is told."""
LAX = (0, True, THREADS, None)
WORDS = ("--threads", str(THREADS))


def rules() -> Rules:
    filled = torch.utils.deterministic.fill_uninitialized_memory
    mode, threads = torch.get_deterministic_debug_mode(), torch.get_num_threads()
    return mode, filled, threads, os.environ.get(CUBLAS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strict") / "work"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_work(folder)
        assert train_as("first", *WORDS, "--train.max_steps", "2") == 0
    return folder


@pytest.fixture
def work(made: Path, tmp_path: Path, monkeypatch) -> Iterator[None]:
    """A folder with a run, and torch as it begins, which it must be again after."""
    shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv(CUBLAS, raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    before = rules()[:3]
    assert before == (0, True, 1)
    yield
    after = rules()[:3]
    torch.set_num_threads(threads)
    assert after == before


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> set[Rules]:
    """The rules under which steps are taken and rows evaluated."""
    found: set[Rules] = set()
    for kind, name in ((Trainer, "take_step"), (Evaluator, "score")):
        monkeypatch.setattr(kind, name, seeing(getattr(kind, name), found))
    return found


def seeing(act: Callable[..., Any], found: set[Rules]) -> Callable[..., Any]:
    def see(*given: Any, **named: Any) -> Any:
        found.add(rules())
        return act(*given, **named)

    return see


MORE = ("--name", "first", "--train.max_steps", "3")
ACTIONS = {
    "train": ("train", "--toml", "config.toml", *WORDS, "--train.max_steps", "1"),
    "resume": ("resume", *MORE),
    "evaluate": ("evaluate", "--name", "first", *WORDS),
}
"""On the CPU each is deterministic, though the settings do not say so."""


@pytest.mark.parametrize("action", ACTIONS)
def test_on_a_cpu_every_bit_counts(work, seen, action):
    assert main([*ACTIONS[action]]) == 0
    assert seen == {STRICT}


@pytest.mark.parametrize("action", ["train", "resume"])
def test_a_step_without_a_deterministic_rule_is_an_error(
    work, capsys, monkeypatch, action
):
    def step(*_: Any) -> None:
        torch.zeros(2).put_(torch.tensor([0, 0]), torch.ones(2))
        raise RunError("nothing was refused")

    monkeypatch.setattr(Trainer, "take_step", step)
    assert main([*ACTIONS[action]]) == 1
    assert "put_ does not have a deterministic" in capsys.readouterr().err


FIRST = {
    "train": (train, "open_session"),
    "resume": (resume, "session_from"),
    "evaluate": (evaluate, "load_model"),
}
"""What each action calls first of all that computes."""


def ask(config: Path, asked: bool) -> None:
    lines = config.read_text().splitlines()
    rest = [line for line in lines if not line.startswith("deterministic")]
    config.write_text("\n".join([f"deterministic = {str(asked).lower()}", *rest]))


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("action", FIRST)
def test_elsewhere_it_is_what_the_settings_ask_for(
    work, monkeypatch, caplog, action, asked
):
    """On a GPU, which need not be there: the first that would compute breaks off."""
    found: list[Rules] = []

    def break_off(*_: Any, **__: Any) -> None:
        found.append(rules())
        raise RunError("seen")

    def chosen(choices: Choices, *_: Any) -> Choices:
        # Its settings say nothing of it, for it began on a CPU.
        return replace(choices, device="cuda", deterministic=asked)

    module, name = FIRST[action]
    monkeypatch.setattr(module, name, break_off)
    monkeypatch.setattr(module, "choose_device", lambda *_: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "a GPU")
    monkeypatch.setattr(resume, "choices_after", chosen)
    if action != "resume":
        ask(
            Path("config.toml" if action == "train" else "runs/first/config.toml"),
            asked,
        )
    assert main([*ACTIONS[action]]) == 1
    assert found == [STRICT if asked else LAX]
    if action != "evaluate":
        assert ("NOT bit-exact when resumed" in caplog.text) != asked
