import pytest

from slangmod.commands.clean import clean
from slangmod.commands.tokenize import tokenize
from slangmod.errors import DataError, SettingsError
from slangmod.settings.sections import Settings
from slangmod.text.provenance import record_path
from slangmod.text.tokenizer import END, Codec, tokenizer_path

TRAIN = "the cat sat on the mat and the dog sat on the log\n" * 30
HELD_OUT = "xylophone zebra xylophone zebra " * 100


@pytest.fixture
def settings(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "train.txt").write_text(TRAIN)
    (raw / "test.txt").write_text(HELD_OUT)
    (raw / "validation.txt").write_text(HELD_OUT)

    def make(tokenizer=None, **tokens):
        return Settings.model_validate(
            {
                "workdir": str(tmp_path / "work"),
                "files": {"raw": str(raw), "tokenizer": tokenizer},
                "tokens": {"vocab": 275, **tokens},
                "progress": False,
            }
        )

    clean(make())
    return make


def test_only_the_train_split_is_learnt_from(settings, caplog) -> None:
    caplog.set_level("INFO")
    tokenize(settings())
    codec = Codec.load(tokenizer_path(settings()))
    assert codec.vocab_size == 275
    assert len(codec.encode("the cat sat on the mat")) <= 7
    assert len(codec.encode("xylophone")) > 7
    assert "bpe with 275 tokens" in caplog.text


def test_the_same_again_does_nothing_and_says_so(settings, caplog) -> None:
    caplog.set_level("INFO")
    tokenize(settings())
    path = tokenizer_path(settings())
    before = path.stat().st_mtime_ns
    tokenize(settings())
    assert path.stat().st_mtime_ns == before
    assert "up to date" in caplog.text


def test_each_table_of_settings_has_its_own_file(settings) -> None:
    one, other = settings(), settings(vocab=270)
    tokenize(one)
    tokenize(other)
    assert tokenizer_path(one) != tokenizer_path(other)
    assert Codec.load(tokenizer_path(one)).vocab_size == 275
    assert Codec.load(tokenizer_path(other)).vocab_size == 270


@pytest.mark.parametrize("named", [False, True])
def test_another_corpus_makes_it_anew(settings, tmp_path, named) -> None:
    chosen = settings(tokenizer=str(tmp_path / "mine.json") if named else None)
    tokenize(chosen)
    before = tokenizer_path(chosen).read_bytes()
    (tmp_path / "raw" / "test.txt").write_text("not learnt from")
    clean(chosen)
    tokenize(chosen)
    assert tokenizer_path(chosen).read_bytes() == before
    (tmp_path / "raw" / "train.txt").write_text(HELD_OUT)
    clean(chosen)
    tokenize(chosen)
    assert tokenizer_path(chosen).read_bytes() != before


def test_a_named_file_follows_the_settings(settings, tmp_path) -> None:
    path = str(tmp_path / "mine.json")
    tokenize(settings(tokenizer=path))
    tokenize(settings(tokenizer=path, vocab=270))
    assert Codec.load(tmp_path / "mine.json").vocab_size == 270


def test_a_file_of_others_is_used_as_it_is(settings, tmp_path, caplog) -> None:
    caplog.set_level("INFO")
    tokenize(settings())
    path = tmp_path / "theirs.json"
    path.write_text(tokenizer_path(settings()).read_text())
    before = path.stat().st_mtime_ns
    tokenize(settings(tokenizer=str(path), vocab=999))
    assert path.stat().st_mtime_ns == before
    assert not record_path(path).exists()
    assert "was not made by slangmod, used as it is" in caplog.text


@pytest.mark.parametrize("content", ["", "{}", "notes", '{"a": "<|endoftext|>"}'])
def test_a_file_that_is_no_tokenizer_is_refused_and_kept(settings, tmp_path, content):
    path = tmp_path / "theirs.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"theirs\.json: not a sound tokenizer file"):
        tokenize(settings(tokenizer=str(path)))
    assert path.read_text() == content


def test_a_tokenizer_changed_by_hand_is_kept(settings) -> None:
    tokenize(settings())
    path = tokenizer_path(settings())
    changed = path.read_text().replace(END, "<eos>")
    path.write_text(changed)
    tokenize(settings())
    assert path.read_text() == changed


def test_a_small_text_is_told_of(settings, caplog) -> None:
    tokenize(settings(vocab=50_000))
    assert "fewer than tokens.vocab = 50 000" in caplog.text


def test_a_vocabulary_below_the_minimum_writes_nothing(settings, tmp_path) -> None:
    with pytest.raises(SettingsError, match="at least 513"):
        tokenize(settings(algo="wordpiece", vocab=300))
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["corpus"]


def test_without_a_corpus_clean_is_named(tmp_path) -> None:
    settings = Settings.model_validate({"workdir": str(tmp_path / "empty")})
    with pytest.raises(DataError, match="run `slangmod clean`"):
        tokenize(settings)
    assert not (tmp_path / "empty").exists()
