import io
import sys
from typing import Any

import pytest
import torch

import slangmod
from slangmod.cli import main
from slangmod.errors import DataError
from slangmod.model import build_model, load_model, save_model
from slangmod.runs.directory import RunDir


def generated(capsys: Any, *words: str) -> str:
    assert main(["generate", *words]) == 0, capsys.readouterr().err
    captured = capsys.readouterr()
    return str(captured.out)


def test_the_prompt_and_its_continuation_are_printed(
    talker: RunDir, capsys: Any
) -> None:
    text = generated(capsys, "Once", "upon a time")
    assert text.startswith("Once upon a time")
    assert text.endswith("\n")
    assert len(text) == len("Once upon a time") + 12 + 1


def test_text_equals_the_model_without_a_cache(talker: RunDir, capsys: Any) -> None:
    model = load_model(talker.model)
    ids = list(b"Once")
    for _ in range(12):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    assert generated(capsys, "Once") == bytes(ids).decode() + "\n"


def test_a_prompt_comes_by_flag_word_or_pipe(
    talker: RunDir, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = generated(capsys, "Once upon")
    assert generated(capsys, "--prompt", "Once upon") == expected
    pipe = io.TextIOWrapper(io.BytesIO(b"Once upon\n"))
    monkeypatch.setattr(sys, "stdin", pipe)
    assert generated(capsys, "--prompt", "-") == expected


def test_words_beside_a_prompt_are_refused(talker: RunDir, capsys: Any) -> None:
    assert main(["generate", "Once", "--prompt", "upon"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "give one of them" in captured.err


def test_no_prompt_starts_a_document(talker: RunDir, capsys: Any) -> None:
    model = load_model(talker.model)
    first = int(model(torch.tensor([[256]]))[0, -1].argmax())
    assert generated(capsys)[0] == chr(first)


def test_stop_ends_the_text_before_itself(talker: RunDir, capsys: Any) -> None:
    whole = generated(capsys, "Once").rstrip("\n")
    stop = whole[9]
    assert stop not in "Once"
    part = generated(capsys, "Once", "--chat.stop", stop)
    assert part == "Once" + whole[4:].partition(stop)[0] + "\n"


@pytest.mark.parametrize("generator", ["greedy", "top_k", "top_p", "beamsearch"])
def test_equal_calls_print_equal_texts(
    talker: RunDir, capsys: Any, generator: str
) -> None:
    words = ("Once", "--chat.generator", generator, "--chat.max_tokens", "6")
    first = generated(capsys, *words)
    assert first == generated(capsys, *words)
    assert len(first) <= len("Once") + 6 + 1


def test_the_newest_run_is_taken_and_named(talker: RunDir, capsys: Any) -> None:
    assert main(["generate", "Once"]) == 0
    captured = capsys.readouterr()
    assert "first" in captured.err
    assert "first" not in captured.out


def test_a_run_without_a_model_is_one_line_and_exit_2(
    talker: RunDir, capsys: Any
) -> None:
    (talker.model / "config.json").unlink()
    assert main(["generate", "Once", "--name", "first"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "there is no model yet" in lines[0]


def test_a_tokenizer_of_another_model_is_refused(
    talker: RunDir, capsys: Any, tiny: Any
) -> None:
    tokenizer = talker.model / "tokenizer.json"
    save_model(talker.model, build_model(tiny(), 300), tokenizer.read_bytes())
    assert main(["generate", "Once"]) == 2
    assert "do not belong together" in capsys.readouterr().err


def test_other_settings_than_chat_are_refused(talker: RunDir, capsys: Any) -> None:
    assert main(["generate", "Once", "--model.dim", "32"]) == 2
    assert "model.dim" in capsys.readouterr().err


def test_controls_are_neither_echoed_nor_generated(talker: RunDir, capsys: Any) -> None:
    model = load_model(talker.model)
    assert model.output is not None
    model.output.weight.data[97:123] = 0
    model.output.weight.data[:32] = torch.randn(32, 16) * 5
    save_model(talker.model, model, (talker.model / "tokenizer.json").read_bytes())
    text = generated(capsys, "a\x1b[31mb", "--chat.generator", "top_k")
    assert text.startswith("ab")
    assert not set(text) & {chr(i) for i in range(32)} - {"\n", "\t"}


def test_a_missing_device_is_replaced_by_the_cpu(talker: RunDir, capsys: Any) -> None:
    before = generated(capsys, "Once")
    text = talker.config.read_text()
    lines = [line for line in text.splitlines() if not line.startswith("device")]
    lines.insert(lines.index("[data]") + 1, 'device = "cuda:77"')
    talker.config.write_text("\n".join(lines))
    assert main(["generate", "Once"]) == 0
    captured = capsys.readouterr()
    assert captured.out == before
    assert "cuda:77" in captured.err


def test_in_python_too_a_tokenizer_that_was_changed_is_refused(
    talker: RunDir, tiny: Any
) -> None:
    tokenizer = talker.model / "tokenizer.json"
    before = tokenizer.read_bytes()
    assert slangmod.open_run(talker.root).encode("ab") == [97, 98]
    tokenizer.write_bytes(before + b"\n")
    with pytest.raises(DataError, match=r"tokenizer\.json: has \d+ bytes"):
        slangmod.open_run(talker.root).encode("ab")
    save_model(talker.model, build_model(tiny(), 300), before)
    with pytest.raises(DataError, match="do not belong together"):
        slangmod.open_run(talker.root).encode("ab")
