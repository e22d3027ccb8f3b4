import json
import os
import subprocess
import sys

import pytest

from slangmod.errors import SettingsError
from slangmod.text.bytelevel import SPELLING
from slangmod.text.learning import LEARNERS, train_codec
from slangmod.text.tokenizer import END
from tests.text.conftest import ALGORITHMS, PROSE, learnt

REPEAT = """
import hashlib, sys
from slangmod.settings.sections import Settings
from slangmod.text.learning import train_codec
texts = sys.stdin.read().split("|")
for algo in sys.argv[1:]:
    settings = Settings.model_validate({"tokens": {"algo": algo, "vocab": 700}})
    content = train_codec(settings, texts).to_json()
    print(hashlib.sha256(content.encode()).hexdigest())
"""

# Many words of equal frequency: which comes first must not be a matter of chance.
TIES = "|".join(
    " ".join(f"{a}{b}{c}" for a in "abcdef" for c in "uvwxyz") for b in "ghijklmnop"
)


def test_every_word_that_may_be_chosen_has_a_learner() -> None:
    assert set(LEARNERS) == set(ALGORITHMS)


def test_files_are_equal_whatever_the_hash_order_and_threads() -> None:
    outputs = set()
    for seed, threads in (("0", "1"), ("1", "2"), ("77", "2")):
        environment = os.environ | {
            "PYTHONHASHSEED": seed,
            "RAYON_NUM_THREADS": threads,
            "TOKENIZERS_PARALLELISM": "false" if threads == "1" else "true",
        }
        done = subprocess.run(
            [sys.executable, "-c", REPEAT, *ALGORITHMS],
            input=TIES + PROSE,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert len(set(outputs.pop().split())) == len(ALGORITHMS)


def test_bytes_come_first_then_the_end_symbol(codec) -> None:
    ids = codec._tokenizer.get_vocab()
    assert [ids[letter] for letter in SPELLING] == list(range(256))
    assert codec.end == ids[END] == 256
    assert sorted(ids.values()) == list(range(codec.vocab_size))


def test_bytes_have_257_tokens_whatever_is_asked_for(with_tokens) -> None:
    for vocab in (2, 257, 50_000):
        codec = train_codec(with_tokens(algo="byte", vocab=vocab), [])
        assert codec.vocab_size == 257
        assert codec.encode("aé") == [97, 0xC3, 0xA9]


@pytest.mark.parametrize(
    ("algo", "vocab"), [("bpe", 300), ("wordpiece", 550), ("unigram", 300)]
)
def test_the_vocabulary_is_as_large_as_asked_for(algo, vocab) -> None:
    assert learnt(algo, vocab=vocab).vocab_size == vocab


@pytest.mark.parametrize("algo", ["bpe", "wordpiece", "unigram"])
def test_a_small_text_gives_fewer_tokens_than_asked_for(algo) -> None:
    assert 300 < learnt(algo, vocab=50_000).vocab_size < 900


def test_wordpiece_has_all_512_forms_of_bytes() -> None:
    codec = learnt("wordpiece", vocab=513)
    ids = codec._tokenizer.get_vocab()
    assert codec.vocab_size == 513
    assert {*SPELLING, *(f"##{letter}" for letter in SPELLING)} | {END} == set(ids)
    text = PROSE + "x" * 1000 + "\U0001f937" * 300
    assert codec.decode(codec.encode(text)) == text


@pytest.mark.parametrize(
    ("algo", "least"), [("bpe", 257), ("wordpiece", 513), ("unigram", 257)]
)
def test_a_vocabulary_below_the_minimum_names_it(algo, least, with_tokens) -> None:
    assert train_codec(with_tokens(algo=algo, vocab=least), [PROSE]).vocab_size == least
    with pytest.raises(SettingsError, match=rf"vocab = {least - 1}: .*least {least} "):
        train_codec(with_tokens(algo=algo, vocab=least - 1), [PROSE])


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_no_text_at_all_still_gives_a_tokenizer(algo, with_tokens) -> None:
    codec = train_codec(with_tokens(algo=algo, vocab=600), [])
    assert codec.decode(codec.encode("anything: é")) == "anything: é"


@pytest.mark.parametrize("algo", ["bpe", "wordpiece", "unigram"])
def test_what_was_learnt_makes_texts_shorter(algo) -> None:
    assert len(learnt(algo).encode(PROSE)) < len(PROSE) / 2.5


@pytest.mark.parametrize("algo", ["bpe", "wordpiece", "unigram"])
def test_rare_pieces_are_not_learnt(algo) -> None:
    text = "often " * 50 + "rarely"
    names = learnt(algo, text, min_freq=9)._tokenizer.get_vocab()
    assert any("ften" in name for name in names)
    assert not any(part in name for name in names for part in ("ra", "re", "ly"))


def test_pieces_of_unigram_are_no_longer_than_asked_for() -> None:
    names = learnt("unigram", max_len=3)._tokenizer.get_vocab()
    assert max(len(name) for name in names if name != END) == 3


def test_a_text_may_come_in_parts(with_tokens) -> None:
    settings = with_tokens(vocab=600)
    cut = PROSE.index(" fox")
    parts = [PROSE[:cut], PROSE[cut:]]
    assert train_codec(settings, parts).to_json() == learnt("bpe").to_json()


def test_merges_come_in_the_order_of_their_ids() -> None:
    model = json.loads(learnt("bpe").to_json())["model"]
    made = [model["vocab"][a + b] for a, b in model["merges"]]
    assert made == sorted(made)
    assert model["dropout"] is None


def test_the_most_frequent_pair_is_merged_first(with_tokens) -> None:
    codec = train_codec(with_tokens(vocab=259), ["abc\nabc\nabc ab"])
    merges = json.loads(codec.to_json())["model"]["merges"]
    assert merges == [["a", "b"], ["ab", "c"]]
