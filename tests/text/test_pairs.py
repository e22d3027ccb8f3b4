import json
import random
from pathlib import Path

import pytest

from slangmod.text.bytelevel import SPELLING, spelled
from slangmod.text.pairs import learn_merges
from slangmod.text.segments import PATTERN, splitting
from slangmod.text.words import count_words
from tests.text.conftest import HARD, PROSE


def by_the_library(texts, vocab, min_freq=0):
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = splitting(PATTERN)
    trainer = BpeTrainer(
        vocab_size=vocab,
        min_frequency=min_freq,
        initial_alphabet=list(SPELLING),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return json.loads(tokenizer.to_str())["model"]["merges"]


def ours(texts, vocab, min_freq=0):
    merges = learn_merges(count_words(texts, PATTERN), vocab=vocab, min_freq=min_freq)
    return [[spelled(left), spelled(right)] for left, right in merges]


def of_few_letters(seed):
    """Words full of repeated and overlapping pairs, many of them equally frequent."""
    chance = random.Random(seed)
    words = ("".join(chance.choices("aab", k=chance.randint(1, 9))) for _ in range(300))
    return " ".join(words)


@pytest.mark.parametrize("min_freq", [0, 7])
@pytest.mark.parametrize(
    "text", [PROSE, "".join(HARD), *map(of_few_letters, range(4))], ids=range(6)
)
def test_merges_are_those_of_the_library(text, min_freq):
    for vocab in (270, 2000):
        assert ours([text], vocab, min_freq) == by_the_library([text], vocab, min_freq)


def test_merges_of_a_real_text_are_those_of_the_library():
    text = Path(random.__file__).read_text("utf-8")
    found = ours([text], 2500)
    assert len(found) > 2000
    assert found == by_the_library([text], 2500)


def test_the_most_frequent_pair_comes_first():
    merges = learn_merges({b"abc": 3, b"ab": 1}, vocab=300, min_freq=0)
    assert merges == [(b"a", b"b"), (b"ab", b"c")]


def test_of_equally_frequent_pairs_the_first_letters_win():
    counts = {b"xy": 2, b"bc": 2, b"ab": 2}
    merges = learn_merges(counts, vocab=300, min_freq=0)
    assert merges == [(b"a", b"b"), (b"b", b"c"), (b"x", b"y")]


@pytest.mark.parametrize(
    ("word", "merges"),
    [
        (b"aa", [(b"a", b"a")]),
        (b"aaa", [(b"a", b"a"), (b"aa", b"a")]),
        (b"aaaaa", [(b"a", b"a"), (b"aa", b"a"), (b"aa", b"aaa")]),
        (b"abab", [(b"a", b"b"), (b"ab", b"ab")]),
    ],
)
def test_overlapping_pairs_are_merged_from_the_left(word, merges):
    assert learn_merges({word: 1}, vocab=300, min_freq=0) == merges


def test_no_words_give_no_merges():
    assert learn_merges({}, vocab=300, min_freq=0) == []
    assert learn_merges({b"": 5, b"a": 5}, vocab=300, min_freq=0) == []


def test_there_are_no_more_pieces_than_asked_for():
    assert len(learn_merges({b"abcdef": 1}, vocab=258, min_freq=0)) == 2
    assert learn_merges({b"abcdef": 1}, vocab=256, min_freq=0) == []
