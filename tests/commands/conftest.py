"""A run that can write: random, over bytes, and for letters only."""

from pathlib import Path
from typing import Any

import pytest
import torch

from slangmod.model import build_model, save_model
from slangmod.runs.directory import RunDir
from slangmod.settings.resolved import Resolved
from slangmod.settings.show import run_config
from slangmod.text.learning import train_codec


@pytest.fixture
def talker(tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A run in the current folder whose model writes letters."""
    monkeypatch.chdir(tmp_path)
    settings = tiny(chat={"max_tokens": 12}, model={"tie_embeddings": False})
    run = RunDir.of(tmp_path, "first")
    run.root.mkdir(parents=True)
    run.config.write_text(run_config(Resolved.of(settings), "first"))
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text(train_codec(settings, ["text"]).to_json())
    torch.manual_seed(0)
    model = build_model(settings, 257)
    assert model.output is not None
    # Letters alone, so that what is written can be read.
    model.output.weight.data[:97] = 0
    model.output.weight.data[123:] = 0
    model.output.weight.data[97:123] *= 20
    save_model(run.model, model, tokenizer.read_bytes())
    return run
