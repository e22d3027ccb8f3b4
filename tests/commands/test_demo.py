"""The demo's own rules: its settings, and the two figures it is judged by."""

import pytest

from slangmod.commands.demo import PROMPTS, demo_settings, known_share, words_of
from slangmod.settings.load import resolve


def test_words_are_long_runs_of_letters_whatever_their_case() -> None:
    assert words_of("The Quick brown fox's x2 jumps_over") == [
        "quick",
        "brown",
        "jumps",
        "over",
    ]


def test_the_share_of_known_words_counts_each_time_a_word_is_written() -> None:
    texts = ["house house castle", "blorp, a house"]
    assert known_share(texts, ["The house.", "my Castle"]) == 4 / 5
    assert known_share(texts, ["nothing of it"]) == 0.0
    assert known_share(["a b c"], ["abcd"]) == 0.0


def test_the_demo_works_in_a_folder_of_its_own() -> None:
    settings = demo_settings(resolve()).settings
    assert settings.workdir == "demo"
    assert settings.files.raw == "demo/sample"
    assert settings.train.max_time is not None


def test_what_is_given_is_stronger_than_the_preset() -> None:
    given = resolve(
        flags=[("workdir", "there"), ("seed", "5"), ("train.max_steps", "7")]
    )
    settings = demo_settings(given).settings
    assert (settings.workdir, settings.files.raw) == ("there", "there/sample")
    assert (settings.seed, settings.train.max_steps) == (5, 7)
    assert settings.model == demo_settings(resolve()).settings.model


@pytest.mark.parametrize("prompt", PROMPTS)
def test_prompts_are_beginnings(prompt: str) -> None:
    assert prompt[0].isupper()
    assert not prompt.endswith((".", " "))
