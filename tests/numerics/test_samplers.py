"""Ways to choose tokens against exact probabilities, computed without them.

The model is a chain: what comes next depends on the last token alone, by a table of
probabilities. So the probability of every text is a product that can be written down,
and the texts are so few that all of them can be tried.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any

import pytest
import torch

from slangmod.generation import GENERATORS
from slangmod.settings.sections import Chat
from tests.cases import mostly_slow

END = 3
CHAIN = (
    (0.36, 0.38, 0.16, 0.10),
    (0.24, 0.20, 0.26, 0.30),
    (0.09, 0.49, 0.28, 0.14),
    (0.10, 0.15, 0.32, 0.43),
)
"""What is likely after each token; the last one is the end symbol."""

Text = tuple[int, ...]
Shares = dict[int, float]
Texts = dict[Text, float]
"""The probability of each text, the end symbol included where it is reached."""


class Chain:
    """Reads like a model, and knows what CHAIN says: [batch, new] -> [batch, vocab]."""

    def read(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.tensor(CHAIN).log()[ids[:, -1]]

    def select(self, rows: torch.Tensor) -> None:
        """Nothing is remembered that would have to be put in order."""


def tempered(shares: Shares, temperature: float) -> Shares:
    """Probabilities to the power of 1 / temperature, over their sum."""
    powers = {token: share ** (1 / temperature) for token, share in shares.items()}
    return {token: power / sum(powers.values()) for token, power in powers.items()}


def after(token: int) -> Shares:
    return dict(enumerate(CHAIN[token]))


def greedy(_: Chat, shares: Shares) -> Shares:
    """All for the likeliest."""
    return {max(shares, key=lambda token: shares[token]): 1.0}


def top_k(chat: Chat, shares: Shares) -> Shares:
    """The k likeliest, renormalised; below 1 k is a share of the vocabulary."""
    count = int(chat.k if chat.k >= 1 else round(chat.k * len(shares)))
    best = sorted(shares, key=lambda token: -shares[token])[: max(count, 1)]
    return tempered({token: shares[token] for token in best}, chat.temperature)


def top_p(chat: Chat, shares: Shares) -> Shares:
    """The smallest of all sets with mass p, the heaviest of those, renormalised."""
    shares = tempered(shares, chat.temperature)
    sets = (s for n in range(1, 5) for s in combinations(shares, n))
    masses = {s: sum(shares[token] for token in s) for s in sets}
    enough = [s for s, mass in masses.items() if mass >= chat.p or len(s) == 4]
    best = min(enough, key=lambda s: (len(s), -masses[s]))
    return tempered({token: shares[token] for token in best}, 1.0)


def token_by_token(choice: Callable[[Chat, Shares], Shares]) -> Any:
    """The reference of a generator that chooses each token by ``choice``."""

    def texts(chat: Chat, first: int) -> Texts:
        found: Texts = {}
        growing: Texts = {(): 1.0}
        while growing:
            text, likely = growing.popitem()
            for token, share in choice(chat, after((first, *text)[-1])).items():
                longer = (*text, token)
                is_done = token == END or len(longer) == chat.max_tokens
                (found if is_done else growing)[longer] = likely * share
        return found

    return texts


def every_text(first: int, most: int) -> Texts:
    """All texts there are, and their probabilities."""
    everything = token_by_token(lambda _, shares: shares)
    texts: Texts = everything(Chat(max_tokens=most), first)
    assert sum(texts.values()) == pytest.approx(1)
    return texts


def worth(text: Text, likely: float, boost: float) -> float:
    """The score of a beam: log-probability over length to the power of ``boost``."""
    return math.log(likely) / len(text) ** boost


def beamsearch(chat: Chat, first: int) -> Texts:
    """All for the text of the best score, found by trying all texts."""
    texts = every_text(first, chat.max_tokens)
    return {max(texts, key=lambda text: worth(text, texts[text], chat.boost)): 1.0}


REFERENCES: Mapping[str, Callable[[Chat, int], Texts]] = {
    "greedy": token_by_token(greedy),
    "top_k": token_by_token(top_k),
    "top_p": token_by_token(top_p),
    "beamsearch": beamsearch,
}
"""For each generator: settings and prompt -> exact probability of each text."""

OPTIONS: Mapping[str, tuple[dict[str, Any], ...]] = {
    "greedy": ({},),
    "top_k": ({"k": 2}, {"k": 0.75, "temperature": 0.5}),
    "top_p": ({"p": 0.6}, {"p": 0.9, "temperature": 2.0}),
    "beamsearch": tuple({"boost": boost} for boost in (0.0, 0.7, 1.0, 3.0)),
}
CASES = [(name, options) for name, many in OPTIONS.items() for options in many]
IDS = [f"{name}-{'-'.join(map(str, options.values()))}" for name, options in CASES]


def critical(degrees: int) -> float:
    """What chi-square exceeds once in 1000 times (Wilson and Hilferty, 1931)."""
    part = 2 / (9 * degrees)
    return degrees * (1 - part + 3.0902 * math.sqrt(part)) ** 3


def settings(generator: str, most: int, **options: Any) -> Chat:
    # With as many beams as there are texts, no beam is ever dropped.
    table = {"generator": generator, "max_tokens": most, "width": 4**most, **options}
    return Chat.model_validate(table)


def writer(chat: Chat, seed: int = 0) -> Callable[[int], Text]:
    """Writes a text after a first token, the end symbol put back where it was."""
    strategy = GENERATORS[chat.generator](chat, torch.Generator().manual_seed(seed))

    def write(first: int) -> Text:
        ids: Iterator[int] = strategy(Chain(), [first], end=END, most=chat.max_tokens)
        text = tuple(ids)
        return text if len(text) == chat.max_tokens else (*text, END)

    return write


def fits(counts: Mapping[Text, int], expected: Texts) -> bool:
    """Whether Pearson's test lets ``counts`` pass; rare texts are put together."""
    if not set(counts) <= set(expected):
        return False
    drawn = sum(counts.values())
    common = {t: p for t, p in expected.items() if p * drawn >= 5}
    pairs = [(counts[text], likely * drawn) for text, likely in common.items()]
    rest = drawn - sum(number for _, number in pairs)
    if rest >= 5:
        pairs.append((drawn - sum(count for count, _ in pairs), rest))
    statistic = sum((count - number) ** 2 / number for count, number in pairs)
    return len(pairs) == 1 or statistic < critical(len(pairs) - 1)


def test_each_generator_has_an_independent_reference() -> None:
    words = Chat.model_json_schema()["properties"]["generator"]["enum"]
    assert set(GENERATORS) == set(REFERENCES) == set(OPTIONS) == set(words)


@pytest.mark.parametrize("name", mostly_slow(GENERATORS, ["greedy", "top_p"]))
def test_tokens_are_chosen_as_often_as_the_reference_says(name: str) -> None:
    chat = settings(name, 1, **OPTIONS[name][-1])
    expected = REFERENCES[name](chat, 2)
    draws = 20_000 if len(expected) > 1 else 10
    write = writer(chat)
    counts = Counter(write(2) for _ in range(draws))
    assert set(counts) == set(expected)
    assert fits(counts, expected)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
@pytest.mark.parametrize("first", range(4))
def test_texts_are_written_as_often_as_the_reference_says(
    name: str, options: dict[str, Any], first: int
) -> None:
    chat = settings(name, 3, **options)
    expected = REFERENCES[name](chat, first)
    draws = 500 if len(expected) > 1 else 10
    write = writer(chat, seed=first)
    counts = Counter(write(first) for _ in range(draws))
    assert fits(counts, expected)


@pytest.mark.parametrize(
    ("name", "options", "others"),
    [
        ("top_k", {"k": 2}, {"k": 2, "temperature": 1.1}),
        ("top_k", {"k": 3}, {"k": 3, "temperature": 0.9}),
        ("top_p", {"p": 0.6}, {"p": 0.6, "temperature": 0.9}),
        ("top_p", {"p": 0.9}, {"p": 0.95}),
    ],
)
def test_so_many_draws_tell_close_options_apart(
    name: str, options: dict[str, Any], others: dict[str, Any]
) -> None:
    """What passes above would not pass with other numbers."""
    expected = REFERENCES[name](settings(name, 1, **options), 2)
    close = REFERENCES[name](settings(name, 1, **others), 2)
    counts = Counter({text: round(20_000 * likely) for text, likely in close.items()})
    assert not fits(counts, expected)
    assert fits(counts, close)


@pytest.mark.parametrize("boost", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("first", range(4))
def test_beams_find_the_best_score_of_all_texts(first: int, boost: float) -> None:
    texts = every_text(first, 4)
    scores = {text: worth(text, likely, boost) for text, likely in texts.items()}
    found = writer(settings("beamsearch", 4, boost=boost))(first)
    assert scores[found] == max(scores.values())
    ranks = sorted(scores.values(), reverse=True)
    assert ranks[0] - ranks[1] > 1e-6  # there is one best text


def test_the_length_exponent_decides_between_short_and_long() -> None:
    lengths = [
        len(writer(settings("beamsearch", 4, boost=boost))(0))
        for boost in (0.0, 1.0, 5.0)
    ]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1] == 4


def test_two_beams_find_what_the_greedy_path_misses() -> None:
    by_beams = writer(settings("beamsearch", 2, boost=0.0, width=2))(0)
    by_steps = writer(settings("greedy", 2))(0)
    texts = every_text(0, 2)
    assert texts[by_beams] > texts[by_steps]
    assert by_beams == max(texts, key=lambda text: texts[text])
    assert writer(settings("beamsearch", 2, boost=0.0, width=1))(0) == by_steps
