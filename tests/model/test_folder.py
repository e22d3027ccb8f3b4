import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from slangmod.errors import DataError
from slangmod.model import build_model, load_model, save_model
from slangmod.model.positions import POSITIONS

VOCAB = 23


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    path = tmp_path / "tokenizer-12345678.json"
    path.write_text("{}")
    return path


@pytest.fixture
def folder(tmp_path: Path, tiny: Any, tokenizer: Path) -> Path:
    save_model(tmp_path / "model", build_model(tiny(), VOCAB), tokenizer.read_bytes())
    return tmp_path / "model"


@pytest.mark.parametrize("kind", POSITIONS)
@pytest.mark.parametrize("tied", [True, False])
def test_what_is_loaded_is_what_was_saved(
    tmp_path: Path, tiny: Any, tokenizer: Path, kind: str, tied: bool
) -> None:
    shape = {
        "positions": kind,
        "tie_embeddings": tied,
        "n_kv_heads": 1,
        "logit_softcap": 4.0,
        "feedforward": {"flavor": "glu", "factor": 2.5},
    }
    model = build_model(tiny(model=shape), VOCAB)
    save_model(tmp_path / "model", model, tokenizer.read_bytes())
    loaded = load_model(tmp_path / "model")
    ids = torch.randint(VOCAB, (2, 9))
    assert not loaded.training
    assert torch.equal(loaded(ids), model.eval()(ids))
    assert loaded.config == model.config


def test_the_folder_holds_weights_description_and_tokenizer(folder: Path) -> None:
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert names == {"model.safetensors", "config.json", "tokenizer.json"}
    description = json.loads((folder / "config.json").read_text())
    assert description["format"] == 1
    assert description["vocab"] == VOCAB
    assert description["model"]["dim"] == 16


def test_a_model_that_keeps_documents_apart_says_so(
    tmp_path: Path, tiny: Any, tokenizer: Path
) -> None:
    settings = tiny(data={"packing": "mask"}, model={"attention_window": 4})
    model = build_model(settings, VOCAB, end=7)
    save_model(tmp_path / "model", model, tokenizer.read_bytes())
    description = json.loads((tmp_path / "model" / "config.json").read_text())
    assert description["document_end"] == 7
    assert description["model"]["attention_window"] == 4
    loaded = load_model(tmp_path / "model")
    ids = torch.tensor([[3, 5, 7, 9, 11]])
    assert loaded.document_end == 7
    assert torch.equal(loaded(ids), model.eval()(ids))


def test_a_model_without_windows_and_masks_is_described_as_before(folder: Path) -> None:
    description = json.loads((folder / "config.json").read_text())
    assert "document_end" not in description
    assert "attention_window" not in description["model"]


def test_loading_leaves_chance_alone(folder: Path) -> None:
    before = torch.get_rng_state()
    load_model(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_equal_weights_are_equal_bytes(
    folder: Path, tmp_path: Path, tokenizer: Path
) -> None:
    save_model(tmp_path / "again", load_model(folder), tokenizer.read_bytes())
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_tied_weights_are_stored_once(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    assert [n for n, w in weights.items() if VOCAB in w.shape] == ["embedding.weight"]


def test_saving_again_replaces_and_a_foreign_folder_stays(
    folder: Path, tmp_path: Path, tiny: Any, tokenizer: Path
) -> None:
    other = build_model(tiny(model={"dim": 8}), VOCAB)
    save_model(folder, other, tokenizer.read_bytes())
    assert load_model(folder).config["model"]["dim"] == 8
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("precious")
    with pytest.raises(DataError, match="not made by slangmod"):
        save_model(foreign, other, tokenizer.read_bytes())
    assert [path.name for path in foreign.iterdir()] == ["thesis.txt"]


def spoil(folder: Path, change: Any) -> None:
    """Change the stored weights, as if there were no sums of them."""
    (folder / ".slangmod.json").unlink()
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda w: w.pop("norm.weight"), "norm.weight is missing"),
        (lambda w: w.update(more=torch.ones(1)), "more is not part of this model"),
        (
            lambda w: w.update({"norm.weight": torch.ones(17)}),
            r"norm.weight is F32 \[17\], but config.json asks for F32 \[16\]",
        ),
        (
            lambda w: w.update({"norm.weight": torch.ones(16).bfloat16()}),
            r"norm.weight is BF16 \[16\], but config.json asks for F32 \[16\]",
        ),
    ],
)
def test_weights_of_another_model_are_refused(
    folder: Path, change: Any, fault: str
) -> None:
    spoil(folder, change)
    with pytest.raises(DataError, match=fault) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)
    assert str(folder / "model.safetensors") in str(caught.value)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda c: c.update(format=2), "format 2, but this slangmod reads 1"),
        (lambda c: c.pop("format"), "not the description of a model"),
        (lambda c: c.update(vocab=-1), "vocab = -1"),
        (lambda c: c.update(vocab=True), "vocab = True"),
        (lambda c: c["model"].update(dim=0), r"model\.dim"),
        (lambda c: c["model"].update(new=1), r"model\.new"),
        (lambda c: c["model"].update(n_heads=3), "n_heads"),
        (lambda c: c["model"].update(n_layers=3), r"layers\.2.* is missing"),
        (lambda c: c.update(model=[]), "model"),
        (lambda c: c.update(document_end=VOCAB), "document_end = 23"),
        (lambda c: c.update(document_end=-1), "document_end = -1"),
        (lambda c: c.update(document_end=True), "document_end = True"),
    ],
)
def test_a_wrong_description_is_refused(folder: Path, change: Any, fault: str) -> None:
    description = json.loads((folder / "config.json").read_text())
    change(description)
    (folder / "config.json").write_text(json.dumps(description))
    (folder / ".slangmod.json").unlink()
    with pytest.raises(DataError, match=fault) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff"])
def test_a_broken_description_is_refused(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(DataError, match=r"config\.json"):
        load_model(folder)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_cut_off_weights_are_refused(folder: Path, keep: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"model\.safetensors") as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_huge_claims_take_no_memory(folder: Path) -> None:
    description = json.loads((folder / "config.json").read_text())
    description["model"].update(dim=1 << 20, n_heads=1)
    (folder / "config.json").write_text(json.dumps(description))
    (folder / ".slangmod.json").unlink()
    with pytest.raises(DataError, match="asks for F32"):
        load_model(folder)


def test_a_run_without_a_model_says_when_there_will_be_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no model yet; .*resume"):
        load_model(tmp_path)


def test_weights_alone_missing_are_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"model\.safetensors"):
        load_model(folder)


FILES = ("model.safetensors", "config.json", "tokenizer.json")


def flip(path: Path) -> None:
    """One bit of the last byte, or of one near, so that JSON is JSON still."""
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_what_was_written_is_refused(
    folder: Path, name: str
) -> None:
    if name == "tokenizer.json":
        (folder / name).write_text("[]")
    else:
        flip(folder / name)
    with pytest.raises(DataError) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)
    assert str(folder / name) in str(caught.value)


def test_the_mark_has_size_and_hash_of_each_file(folder: Path) -> None:
    mark = json.loads((folder / ".slangmod.json").read_text())
    assert mark.pop("written") == {
        name: {
            "size": (folder / name).stat().st_size,
            "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
        }
        for name in FILES
    }
    assert mark == json.loads((folder / "config.json").read_text())


@pytest.mark.parametrize(
    "written", [None, [], {}, {"model.safetensors": 3}, {"model.safetensors": {}}]
)
def test_a_mark_with_odd_sums_is_one_line(folder: Path, written: Any) -> None:
    mark = json.loads((folder / ".slangmod.json").read_text())
    (folder / ".slangmod.json").write_text(json.dumps({**mark, "written": written}))
    with pytest.raises(DataError, match="differs from what was written"):
        load_model(folder)
    (folder / ".slangmod.json").write_text("{")
    with pytest.raises(DataError, match=r"slangmod\.json: is broken or not readable"):
        load_model(folder)


def test_a_model_from_before_there_were_sums_is_loaded(folder: Path) -> None:
    mark = json.loads((folder / ".slangmod.json").read_text())
    mark.pop("written")
    (folder / ".slangmod.json").write_text(json.dumps(mark))
    flip(folder / "model.safetensors")  # of which nobody can know
    assert load_model(folder).config["vocab"] == VOCAB
    (folder / ".slangmod.json").unlink()
    (folder / "tokenizer.json").unlink()
    assert load_model(folder).config["vocab"] == VOCAB
