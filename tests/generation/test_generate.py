from collections.abc import Iterator
from typing import Any

import pytest
import torch

from slangmod.generation import GENERATORS, build_generator, stream_text
from slangmod.generation.generate import overhang
from slangmod.generation.reader import window_start
from slangmod.model.positions import POSITIONS
from slangmod.settings.sections import Chat

END = 256


def uncached(model: Any, prompt: list[int], most: int) -> list[int]:
    """Greedy, every token from scratch, by the window rule."""
    ids = list(prompt)
    for _ in range(most):
        start = window_start(len(ids), model.context)
        ids.append(int(model(torch.tensor([ids[start:]]))[0, -1].argmax()))
    return ids[len(prompt) :]


def test_settings_name_what_the_table_holds() -> None:
    words = Chat.model_json_schema()["properties"]["generator"]["enum"]
    assert set(words) == GENERATORS.keys()


@torch.no_grad()
@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("prompt", [[1, 2, 3], list(range(20))])
def test_cached_text_equals_uncached_text_across_the_context(
    lively: Any, tiny: Any, positions: str, prompt: list[int]
) -> None:
    model = lively(33, positions=positions, context=12, tie_embeddings=False)
    settings = tiny(chat={"max_tokens": 40})
    found = list(build_generator(settings, model, -1)(prompt))
    assert found == uncached(model, prompt, 40)
    assert len(set(found)) >= 3


@pytest.mark.parametrize("generator", GENERATORS)
def test_every_generator_stays_within_max_tokens(
    lively: Any, tiny: Any, generator: str
) -> None:
    settings = tiny(chat={"generator": generator, "max_tokens": 7, "width": 3})
    generate = build_generator(settings, lively(11), -1)
    found = list(generate([1, 2]))
    assert len(found) == 7
    assert set(found) <= set(range(11))


@pytest.mark.parametrize("generator", GENERATORS)
def test_equal_seeds_write_equally(lively: Any, tiny: Any, generator: str) -> None:
    chat = {"generator": generator, "max_tokens": 20, "k": 0.9, "p": 0.99}

    def text(seed: int) -> list[int]:
        settings = tiny(seed=seed, chat=chat)
        return list(build_generator(settings, lively(300), END)([1]))

    assert text(1) == text(1)
    if generator in {"top_k", "top_p"}:
        assert text(1) != text(2)


@pytest.mark.parametrize("generator", GENERATORS)
def test_the_end_symbol_ends_and_is_not_given_out(
    lively: Any, tiny: Any, generator: str
) -> None:
    model = lively(11)
    with torch.no_grad():
        model.norm.bias.copy_(model.embedding.weight[3] * 50)
    settings = tiny(chat={"generator": generator, "k": 1, "p": 0.01})
    assert list(build_generator(settings, model, 3)([1, 2])) == []


def test_an_empty_prompt_starts_from_the_end_symbol(lively: Any, tiny: Any) -> None:
    model = lively(11)
    settings = tiny(chat={"max_tokens": 5})
    generate = build_generator(settings, model, 3)
    assert list(generate([])) == list(generate([3]))


def test_generation_is_without_dropout(lively: Any, tiny: Any) -> None:
    model = lively(11, dropout=0.5).train()
    generate = build_generator(tiny(chat={"max_tokens": 9}), model, -1)
    assert not model.training
    assert list(generate([1])) == list(generate([1]))


def test_generating_leaves_gradients_possible(lively: Any, tiny: Any) -> None:
    model = lively(11)
    generate = build_generator(tiny(), model, -1)
    next(iter(generate([1])))
    assert not torch.is_inference_mode_enabled()
    model(torch.tensor([[1, 2]])).sum().backward()


def text_of(codec: Any, text: str, stop: str) -> list[str]:
    return list(stream_text(iter(codec.encode(text)), codec, stop))


@pytest.mark.parametrize(
    ("text", "stop", "shown"),
    [
        ("one two", "", "one two"),
        ("one two", "three", "one two"),
        ("one two three", "two", "one "),
        ("two", "two", ""),
        ("ends with tw", "two", "ends with tw"),
        ("totwo more", "two", "to"),
        ("aaab", "aab", "a"),
        ("größe", "ß", "grö"),
    ],
)
def test_text_goes_until_stop(codec: Any, text: str, stop: str, shown: str) -> None:
    assert "".join(text_of(codec, text, stop)) == shown


def test_text_comes_as_soon_as_it_is_clear(codec: Any) -> None:
    def ids() -> Iterator[int]:
        for number, byte in enumerate("abcSt€".encode()):
            consumed.append(number)
            yield byte

    consumed: list[int] = []
    seen = [(piece, len(consumed)) for piece in stream_text(ids(), codec, "Stop!")]
    assert [piece for piece in seen if piece[0]] == [
        ("a", 1),
        ("b", 2),
        ("c", 3),
        ("St€", 8),
    ]


def test_nothing_is_read_beyond_stop(codec: Any) -> None:
    ids = iter(codec.encode("one stop two"))
    assert "".join(stream_text(ids, codec, "stop")) == "one "
    assert codec.decode(ids) == " two"


def test_half_a_character_at_the_end_is_not_lost(codec: Any) -> None:
    ids = codec.encode("a€")[:-1]
    assert "".join(stream_text(iter(ids), codec, "")) == "a\ufffd"


@pytest.mark.parametrize(
    ("text", "stop", "length"),
    [("xab", "abc", 2), ("abc", "abc", 3), ("x", "abc", 0), ("", "a", 0), ("a", "", 0)],
)
def test_overhang_is_the_longest_beginning(text: str, stop: str, length: int) -> None:
    assert overhang(text, stop) == length
