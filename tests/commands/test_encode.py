import json
import re
import subprocess
import sys

import numpy as np
import pytest

from slangmod.commands import encode as module
from slangmod.commands import file_ids
from slangmod.commands.clean import clean
from slangmod.commands.encode import encode
from slangmod.commands.tokenize import tokenize
from slangmod.data.shards import check_fresh, encodings_folder
from slangmod.errors import DataError
from slangmod.settings.sections import Settings
from slangmod.text import corpus
from slangmod.text.corpus import corpus_documents
from slangmod.text.tokenizer import open_codec, tokenizer_path
from tests.text.foreign import bert_like, gpt2_like

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "the",
    "mat,",
    "and",
    "über-dogs",
    "don't",
    "1234",
    "中文\n",
]
DOCUMENTS = [" ".join(WORDS[i % 7 :] * (1 + i % 4)) + str(i) for i in range(60)]


def raw_files(folder):
    folder.mkdir()
    for split, texts in (("train", DOCUMENTS), ("test", DOCUMENTS[:3])):
        lines = [json.dumps({"text": text}) for text in texts]
        (folder / f"{split}.jsonl").write_text("\n".join(lines))
    (folder / "validation.txt").write_text("One <|endoftext|> document.")


@pytest.fixture
def settings(tmp_path):
    raw_files(tmp_path / "raw")

    def make(seed=1, tokenizer=None, **tokens):
        return Settings.model_validate(
            {
                "workdir": str(tmp_path / "work"),
                "seed": seed,
                "files": {"raw": str(tmp_path / "raw"), "tokenizer": tokenizer},
                "tokens": {"vocab": 530, **tokens},
                "progress": False,
            }
        )

    return make


def made(settings):
    """Encodings after all three actions."""
    clean(settings)
    tokenize(settings)
    encode(settings)
    return check_fresh(settings)


def ids_of(encodings, split):
    paths = encodings.shard_paths(split)
    parts = [np.fromfile(path, encodings.manifest.dtype) for path in paths]
    return np.concatenate(parts).tolist()


@pytest.mark.parametrize("algo", ["bpe", "wordpiece", "unigram", "byte"])
def test_shards_hold_each_document_and_the_end_symbol(settings, algo) -> None:
    encodings = made(settings(algo=algo))
    codec = open_codec(settings(algo=algo))
    expected = [i for text in DOCUMENTS for i in (*codec.encode(text), codec.end)]
    assert ids_of(encodings, "train") == expected
    split = encodings.manifest.splits["train"]
    assert split.documents == len(DOCUMENTS)
    assert split.tokens == len(expected)
    assert split.bytes == sum(len(text.encode()) for text in DOCUMENTS)
    assert encodings.token_bytes()[expected].sum() == split.bytes
    assert encodings.manifest.vocab == codec.vocab_size
    assert ids_of(encodings, "validation").count(codec.end) == 1


def test_decoding_a_shard_gives_the_corpus(settings) -> None:
    encodings = made(settings(eos_string="|"))
    text = open_codec(settings(eos_string="|")).decode(ids_of(encodings, "train"))
    assert text == "".join(f"{document}|" for document in DOCUMENTS)


def test_it_says_how_much_there_is(settings, caplog) -> None:
    caplog.set_level("INFO")
    made(settings())
    assert re.search(
        r"train: 60 documents, [0-9 ]+ tokens, \d\.\d\d bytes", caplog.text
    )


@pytest.mark.parametrize("dropout", [0.0, 0.2])
@pytest.mark.parametrize("name", ["BATCH_CHARACTERS", "CHUNK_CHARACTERS"])
def test_ids_do_not_depend_on_batches(settings, monkeypatch, dropout, name) -> None:
    first = ids_of(made(settings(dropout=dropout)), "train")
    (folder,) = (encodings_folder(settings(dropout=dropout)),)
    (folder / "manifest.json").unlink()
    monkeypatch.setattr(file_ids, name, 20)
    encode(settings(dropout=dropout))
    assert ids_of(check_fresh(settings(dropout=dropout)), "train") == first


def test_a_document_in_several_rows_is_one_document(settings, monkeypatch) -> None:
    whole = ids_of(made(settings()), "train")
    monkeypatch.setattr(corpus, "ROW_CHARACTERS", 15)
    (folder,) = [encodings_folder(settings()).with_name("corpus")]
    for path in folder.glob("*.parquet"):
        path.unlink()
    clean(settings())
    assert list(corpus_documents(folder, "train")) == DOCUMENTS
    assert ids_of(made(settings()), "train") == whole


# -- dropout ---------------------------------------------------------------------------


def test_dropout_concerns_the_train_split_alone(settings) -> None:
    plain, dropped = made(settings()), made(settings(dropout=0.3))
    for split in ("test", "validation"):
        assert ids_of(plain, split) == ids_of(dropped, split)
    codec = open_codec(settings())
    assert len(ids_of(dropped, "train")) > len(ids_of(plain, "train"))
    texts = [codec.decode(ids_of(each, "train")) for each in (plain, dropped)]
    assert texts[0] == texts[1]


def test_dropout_is_not_in_the_tokenizer(settings) -> None:
    made(settings(dropout=0.3))
    model = json.loads(tokenizer_path(settings(dropout=0.3)).read_text())["model"]
    assert model["dropout"] is None


def test_dropout_hangs_on_seed_and_document_alone(settings, tmp_path) -> None:
    def documents(ids, end):
        text = ",".join(map(str, ids))
        return text.split(f",{end},")

    first = made(settings(dropout=0.3))
    end = first.manifest.end
    before = documents(ids_of(first, "train"), end)
    assert ids_of(made(settings(seed=2, dropout=0.3)), "train") != ids_of(
        first, "train"
    )
    raw = tmp_path / "raw" / "train.jsonl"
    lines = raw.read_text().splitlines()
    tokenizer = tmp_path / "fixed.json"
    tokenizer.write_bytes(tokenizer_path(settings(dropout=0.3)).read_bytes())
    raw.write_text("\n".join([json.dumps({"text": "new at first"}), *lines[1:]]))
    fixed = settings(dropout=0.3, tokenizer=str(tokenizer))
    after = documents(ids_of(made(fixed), "train"), end)
    assert after[0] != before[0]
    assert after[1:-1] == before[1:-1]


# -- only when something has changed ---------------------------------------------------


def test_the_same_again_does_nothing_and_says_so(settings, caplog) -> None:
    caplog.set_level("INFO")
    folder = made(settings()).folder
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    encode(settings(seed=99))
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert "up to date" in caplog.text


def test_another_corpus_makes_them_anew(settings, tmp_path) -> None:
    made(settings())
    (tmp_path / "raw" / "test.jsonl").write_text('{"text": "other"}')
    clean(settings())
    with pytest.raises(DataError, match=r"slangmod tokenize encode"):
        check_fresh(settings())
    tokenize(settings())
    encode(settings())
    assert check_fresh(settings()).manifest.splits["test"].documents == 1


@pytest.mark.parametrize("damage", ["change", "remove"])
def test_damaged_encodings_are_made_anew(settings, damage) -> None:
    encodings = made(settings())
    before = ids_of(encodings, "train")
    (path,) = encodings.shard_paths("train")
    path.write_bytes(b"12") if damage == "change" else path.unlink()
    with pytest.raises(DataError, match="run `slangmod encode`"):
        check_fresh(settings())
    encode(settings())
    assert ids_of(check_fresh(settings()), "train") == before


def test_an_old_tokenizer_is_told_of(settings, tmp_path, caplog) -> None:
    made(settings())
    (tmp_path / "raw" / "train.jsonl").write_text('{"text": "other"}')
    clean(settings())
    encode(settings())
    assert "was learnt from another text" in caplog.text


# -- nothing is lost, nothing half done ------------------------------------------------


def test_a_file_of_the_user_among_ours_is_left_alone(settings, tmp_path) -> None:
    folder = made(settings()).folder
    (folder / "notes.txt").write_text("precious")
    (tmp_path / "raw" / "test.jsonl").write_text('{"text": "other"}')
    clean(settings())
    with pytest.raises(DataError, match=r"notes\.txt: was not made by slangmod"):
        encode(settings())
    assert (folder / "notes.txt").read_text() == "precious"


def test_an_interrupted_run_leaves_nothing(settings, monkeypatch, tmp_path) -> None:
    clean(settings())
    tokenize(settings())
    before = {path.name for path in (tmp_path / "work").iterdir()}

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_bytes", stop)
    with pytest.raises(KeyboardInterrupt):
        encode(settings())
    assert {path.name for path in (tmp_path / "work").iterdir()} == before


@pytest.mark.parametrize(
    ("algo", "dropout", "words"),
    [("unigram", 0.1, "tokens.dropout needs a bpe"), ("bpe", 0.0, "test split")],
)
def test_what_cannot_be_encoded_writes_nothing(settings, algo, dropout, words) -> None:
    chosen = settings(algo=algo, dropout=dropout)
    clean(chosen)
    tokenize(chosen)
    if not dropout:
        (encodings_folder(chosen).with_name("corpus") / "test-00000.parquet").unlink()
    with pytest.raises(DataError, match=words):
        encode(chosen)
    assert not encodings_folder(chosen).exists()


def test_without_tokenizer_or_corpus_the_actions_are_named(settings, tmp_path) -> None:
    with pytest.raises(DataError, match="run `slangmod tokenize encode`"):
        encode(settings())
    clean(settings())
    tokenize(settings())
    for path in (tmp_path / "work" / "corpus").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="run `slangmod clean`"):
        encode(settings())


def test_a_tokenizer_of_others_is_used(settings, tmp_path) -> None:
    for make in (bert_like, gpt2_like):
        path = tmp_path / f"{make.__name__}.json"
        make().save(str(path))
        chosen = settings(tokenizer=str(path))
        encodings = made(chosen)
        codec = open_codec(chosen)
        expected = [i for text in DOCUMENTS for i in (*codec.encode(text), codec.end)]
        assert ids_of(encodings, "train") == expected
        assert encodings.manifest.end == codec.end


def test_neither_torch_nor_swak_is_imported(settings, tmp_path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from slangmod.settings.sections import Settings\n"
        "from slangmod.commands.clean import clean\n"
        "from slangmod.commands.tokenize import tokenize\n"
        "from slangmod.commands.encode import encode\n"
        "s = Settings.model_validate_json(sys.stdin.read())\n"
        "clean(s); tokenize(s); encode(s)\n"
        "print(*(m for m in ('torch', 'swak', 'polars') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=settings().model_dump_json(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""


PEAK = """
import sys
from slangmod.commands.clean import clean
from slangmod.commands.encode import encode
from slangmod.commands.tokenize import tokenize
from slangmod.settings.sections import Settings

settings = Settings.model_validate_json(sys.stdin.read())
{"clean": clean, "tokenize": tokenize, "encode": encode}[sys.argv[1]](settings)
status = open("/proc/self/status").read()
print(status.split("VmHWM:")[1].split()[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("one_document", [False, True])
def test_more_text_takes_no_more_memory(tmp_path, one_document) -> None:
    chance = np.random.default_rng(0)
    vocabulary = ["".join(chance.choice(list("etaoinshrdlu"), n)) for n in
                  chance.integers(1, 9, 20_000)]  # fmt: skip
    peaks = []
    for megabytes in (12, 36):  # both enough for several processes
        folder = tmp_path / str(megabytes)
        (folder / "raw").mkdir(parents=True)
        ranks = chance.zipf(1.3, megabytes * 160_000) % len(vocabulary)
        lines = [
            " ".join(vocabulary[i] for i in ranks[at : at + 12])
            for at in range(0, len(ranks), 12)
        ]
        if one_document:
            (folder / "raw" / "a.txt").write_text("\n".join(lines))
        else:
            content = "\n".join(json.dumps({"text": line}) for line in lines)
            (folder / "raw" / "a.jsonl").write_text(content)
        settings = Settings.model_validate(
            {
                "workdir": str(folder),
                "files": {"raw": str(folder / "raw")},
                "tokens": {"vocab": 2000},
            }
        )
        for action in ("clean", "tokenize", "encode"):
            done = subprocess.run(
                [sys.executable, "-c", PEAK, action],
                input=settings.model_dump_json(),
                capture_output=True,
                text=True,
                check=True,
            )
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.1 * peaks[0]
