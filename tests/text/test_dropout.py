from random import Random

import pytest

from slangmod.errors import DataError
from slangmod.text.bytelevel import spelled
from slangmod.text.dropout import Merges
from tests.text.conftest import HARD, PROSE, learnt

MERGES = Merges({"a": 0, "b": 1, "ab": 2, "abab": 3}, [("a", "b"), ("ab", "ab")])


def spell(text, share, seed=1):
    codec, chance = learnt("bpe"), Random(seed)
    merges = codec.merges()
    return [i for word in codec.words(text) for i in merges.spell(word, share, chance)]


@pytest.mark.parametrize("text", [PROSE, *HARD])
def test_without_dropout_words_are_spelled_as_always(text) -> None:
    assert spell(text, 0.0) == learnt("bpe").encode(text)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_with_dropout_the_text_is_the_same_in_more_tokens(share) -> None:
    ids = spell(PROSE, share)
    assert learnt("bpe").decode(ids) == PROSE
    assert len(ids) > len(spell(PROSE, 0.0))


def test_more_dropout_makes_more_tokens() -> None:
    lengths = [len(spell(PROSE, share)) for share in (0.0, 0.1, 0.3, 0.6, 0.9)]
    assert lengths == sorted(lengths)


def test_the_same_chance_spells_the_same() -> None:
    assert spell(PROSE, 0.3) == spell(PROSE, 0.3)
    assert spell(PROSE, 0.3) != spell(PROSE, 0.3, seed=2)


class Given(Random):
    """Chance that was decided before."""

    def __init__(self, *draws):
        super().__init__()
        self.draws = list(draws)

    def random(self):
        return self.draws.pop(0)


@pytest.mark.parametrize(
    ("draws", "ids"),
    [
        ((0.9, 0.9, 0.9, 0.9), [3]),
        ((0.1, 0.1), [0, 1, 0, 1]),
        ((0.9, 0.1, 0.1), [2, 0, 1]),
        ((0.1, 0.9, 0.1), [0, 1, 2]),
        ((0.9, 0.9, 0.9, 0.1), [2, 2]),
    ],
)
def test_each_possible_merge_of_each_step_is_drawn_for(draws, ids) -> None:
    chance = Given(*draws)
    assert MERGES.spell("abab", 0.5, chance) == ids
    assert chance.draws == []


def test_only_byte_pair_encoding_of_ours_can_drop() -> None:
    for algo in ("wordpiece", "unigram"):
        with pytest.raises(DataError, match=r"tokens\.dropout needs a bpe"):
            learnt(algo).merges()


def test_words_are_in_byte_letters() -> None:
    assert learnt("bpe").words("é x") == [spelled("é".encode()), "Ġx"]
