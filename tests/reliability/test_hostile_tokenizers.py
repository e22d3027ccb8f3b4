"""Tokenizers put together at random: refused in a line, or used in bounded memory."""

import json
import os
import random
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Regex, decoders, normalizers, pre_tokenizers

from slangmod.cli import main
from slangmod.runs.directory import RunDir
from tests.text.conftest import learnt
from tests.text.foreign import bert_like, gpt2_like, sentencepiece_like

USE = """
import json, resource, sys
from pathlib import Path
from slangmod.errors import DataError
from slangmod.text.tokenizer import Codec

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
text = "the quick aaaa ((( \\u4e2d\\ufdfa\\u0130 " * 40
counts = {"used": 0, "refused": 0}
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        codec = Codec.load(path)
        ids = codec.encode(text)
        assert all(0 <= one < codec.vocab_size for one in ids)
        assert len(ids) <= 400 * len(text)
        codec.decode(ids)
        counts["used"] += 1
    except DataError as error:
        assert "\\n" not in str(error)
        counts["refused"] += 1
print(json.dumps(counts))
"""
"""What a process with little memory does with all tokenizers of a folder."""


def word(chance: random.Random) -> str:
    letter = chance.choice(["a", "q", " ", "▁", "中", "\ufdfa", "((", ""])
    return letter * chance.choice([1, 1, 1, 2, 9, 10**3, 10**6])


def pattern(chance: random.Random) -> str | Regex:
    patterns = ["(a+)+$", "x*", "", " {2,}", r"\s+", "(?=a)", "[^a]|a"]
    return Regex(chance.choice(patterns)) if chance.random() < 0.4 else word(chance)


def normalizer(chance: random.Random):
    one = chance.choice(
        [
            normalizers.NFKC,
            normalizers.NFD,
            normalizers.BertNormalizer,
            normalizers.ByteLevel,
            normalizers.Lowercase,
            lambda: normalizers.Replace(pattern(chance), word(chance)),
            lambda: normalizers.Prepend(word(chance)),
        ]
    )
    return one()


def pre_tokenizer(chance: random.Random):
    one = chance.choice(
        [
            pre_tokenizers.ByteLevel,
            pre_tokenizers.Metaspace,
            pre_tokenizers.Whitespace,
            pre_tokenizers.Digits,
            lambda: pre_tokenizers.Split(pattern(chance), "isolated"),
        ]
    )
    return one()


def decoder(chance: random.Random):
    one = chance.choice(
        [
            decoders.ByteLevel,
            decoders.Fuse,
            decoders.ByteFallback,
            lambda: decoders.Strip(" ", chance.choice([0, 9]), 9),
            lambda: decoders.Replace(pattern(chance), word(chance)),
            lambda: decoders.WordPiece(word(chance)),
            lambda: decoders.BPEDecoder(word(chance)),
            lambda: decoders.CTC(word(chance), word(chance)),
        ]
    )
    return one()


def several(chance: random.Random, sequence, one):
    return sequence([one(chance) for _ in range(chance.choice([1, 1, 2, 4, 30]))])


def at_random(chance: random.Random) -> str:
    """The file of a tokenizer whose parts are drawn."""
    tokenizer = chance.choice([bert_like, sentencepiece_like, gpt2_like])()
    if chance.random() < 0.5:
        tokenizer.normalizer = several(chance, normalizers.Sequence, normalizer)
    if chance.random() < 0.3:
        tokenizer.pre_tokenizer = several(
            chance, pre_tokenizers.Sequence, pre_tokenizer
        )
    if chance.random() < 0.5:
        tokenizer.decoder = several(chance, decoders.Sequence, decoder)
    if chance.random() < 0.2:
        tokenizer.enable_padding(length=chance.choice([9, 10**9]))
    spec = json.loads(tokenizer.to_str())
    if chance.random() < 0.2:
        names = ["continuing_subword_prefix", "end_of_word_suffix", "unk_token"]
        spec["model"][chance.choice(names)] = word(chance)
    if chance.random() < 0.1:
        spec["added_tokens"][0]["content"] = word(chance)
    return json.dumps(spec)


@pytest.mark.parametrize("trials", [5, pytest.param(150, marks=pytest.mark.slow)])
def test_no_tokenizer_can_blow_up_text(tmp_path, trials, promise) -> None:
    chance = random.Random(trials)
    for number in range(trials):
        (tmp_path / f"{number:04d}.json").write_text(at_random(chance))
    process = subprocess.run(
        [sys.executable, "-c", USE, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    counts = json.loads(process.stdout)
    assert sum(counts.values()) == trials
    assert min(counts.values()) > trials // 20
    promise("R17", trials)


def growing() -> str:
    tokenizer = sentencepiece_like()
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace("q", "q" * 1000) for _ in range(4)]
    )
    return tokenizer.to_str()


WORDS = {
    "generate": ("generate", "a quick fox", "--name", "first"),
    "evaluate": ("evaluate", "--name", "first"),
    "encode": ("encode",),
}


@pytest.fixture(scope="module")
def once(tmp_path_factory) -> Path:
    """A folder with a run of one step, trained with a tokenizer of somebody else."""
    from tests.reliability.tiny import tiny, write_raw

    folder = tmp_path_factory.mktemp("foreign")
    write_raw(folder / "raw", 300, 60)
    (folder / "foreign.json").write_text(learnt("byte").to_json())
    settings = tiny(files={"raw": "raw", "tokenizer": "foreign.json"})
    (folder / "slangmod.toml").write_text(settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = ["clean", "encode", "train", "--name", "first"]
        assert main([*words, "--train.max_steps", "1"]) == 0
    return folder


@pytest.mark.parametrize("action", WORDS)
def test_each_command_refuses_it_in_a_line(
    once, tmp_path, action, monkeypatch, capsys, promise
) -> None:
    folder = tmp_path / "work"
    shutil.copytree(once, folder)
    monkeypatch.chdir(folder)
    (folder / "foreign.json").write_text(growing())
    model = RunDir(folder / "runs/first").model
    (model / "tokenizer.json").write_text(growing())
    (model / ".slangmod.json").write_text("{}")  # says nothing of what was written
    if action != "encode":
        (folder / "slangmod.toml").unlink()  # names places of the other folder
    before = sorted(path for path in folder.rglob("*") if path.name != ".lock")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    capsys.readouterr()
    assert main([*WORDS[action]]) == 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 500_000
    last, *others = capsys.readouterr().err.splitlines()[::-1]
    assert last.startswith("slangmod: error: ")
    assert "error" not in "".join(others)
    assert "could make text grow" in last
    after = sorted(path for path in folder.rglob("*") if path.name != ".lock")
    assert after == before
    promise("R17", 1)


BREAKING = "ZQ" * 60 + "!"
"""What a pattern takes for ever on that nothing but this text shows."""


def panicking() -> str:
    spec = json.loads(learnt("byte").to_json())
    spec["pre_tokenizer"] = {
        "type": "Split",
        "pattern": {"Regex": "\x1b\\[31m|((\u202e?(ZQ)+)+)+Y$"},
        "behavior": "Isolated",
        "invert": False,
    }
    return json.dumps(spec)


@pytest.fixture
def breaking(once, tmp_path) -> Path:
    """A folder whose tokenizers break down on that text, with text that holds it."""
    folder = tmp_path / "work"
    shutil.copytree(once, folder)
    (folder / "foreign.json").write_text(panicking())
    model = RunDir(folder / "runs/first").model
    (model / "tokenizer.json").write_text(panicking())
    (model / ".slangmod.json").write_text("{}")
    return folder


def told(folder: Path, *words: str) -> tuple[int, list[str]]:
    """Exit code of the real command in ``folder``, and the lines of its errors."""
    process = subprocess.run(
        [sys.executable, "-m", "slangmod", *words],
        input=f"{BREAKING}\n",
        cwd=folder,
        env={**os.environ, "RUST_BACKTRACE": "full"},
        capture_output=True,
        text=True,
        check=False,
    )
    return process.returncode, process.stderr.splitlines()


@pytest.mark.parametrize(
    ("words", "others"),
    [
        pytest.param(
            ("generate", BREAKING, "--name", "first"), 0, marks=pytest.mark.slow
        ),
        pytest.param(("chat", "--name", "first"), 1, marks=pytest.mark.slow),
        (("clean", "encode"), 1),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else "",
)
def test_one_that_breaks_down_in_use_is_told_in_a_line(
    breaking, words, others, promise
) -> None:
    for split in ("train", "test", "validation"):
        with next((breaking / "raw").glob(f"{split}*")).open("a") as stream:
            stream.write(BREAKING)
    if "encode" not in words:
        (breaking / "slangmod.toml").unlink()  # names places of the other folder
    code, lines = told(breaking, *words)
    assert code == 2
    assert ".json: breaks down on a text" in lines[-1]
    assert len(lines) == 1 + others, lines
    promise("R17", 1)


def test_one_that_breaks_down_on_a_prompt_does_not_stop_training(
    breaking, promise
) -> None:
    prompts = json.dumps([BREAKING])
    samples = ("--samples.every", "1", "--samples.prompts", prompts)
    words = ("encode", "train", "--name", "more", "--train.max_steps", "2", *samples)
    code, lines = told(breaking, *words)
    assert code == 0
    assert any("no sample this time" in line for line in lines)
    assert not any("panicked" in line for line in lines), lines
    promise("R17", 1)
