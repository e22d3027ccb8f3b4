"""Values computed from settings."""

import pytest

from slangmod.settings import load_settings
from slangmod.settings.catalog import arrays, catalog, tables
from slangmod.settings.course import nothing_at_hand
from slangmod.settings.derived import DERIVED, overlap_tokens, seconds_of
from slangmod.settings.hashes import section_hash, tokens_hash
from slangmod.settings.levels import LEVELS, level_of


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("1.5d", 129600), ("0.5s", 0.5)],
)
def test_durations_in_seconds(duration, seconds):
    assert seconds_of(duration) == seconds


@pytest.mark.parametrize(
    ("seq_len", "overlap", "tokens"),
    [(512, 0, 0), (512, 0.25, 128), (512, 1, 1), (512, 511, 511), (10, 0.99, 10)],
)
def test_overlap_is_a_share_or_a_number_of_tokens(seq_len, overlap, tokens):
    assert overlap_tokens(seq_len, overlap) == tokens


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("train.effective_batch_size", 24),
        ("train.tokens_per_step", 24 * 16),
        ("model.head_width", 64),
        ("files.tokenizer_file", "work/tok.json"),
    ],
)
def test_derived_values_follow_their_inputs(name, value):
    settings = load_settings(
        None,
        {
            "train": {"batch_size": 8, "step_freq": 3},
            "data.seq_len": 16,
            "files.tokenizer": "work/tok.json",
        },
    )
    assert DERIVED[name].compute(settings, nothing_at_hand) == value


def test_derived_values_stand_in_sections_and_name_settings_as_inputs():
    for name, derived in DERIVED.items():
        assert name not in catalog()
        assert tuple(name.split(".")[:-1]) in tables()
        sections = {".".join(path) for path in (*tables(), *arrays())}
        assert set(derived.inputs) <= {*catalog(), *sections}


def test_the_tokens_hash_is_of_the_tokens_section_alone():
    # sha256 of {"algo":"bpe","dropout":0.0,"eos_regex":null,"eos_string":"\n\n",
    # "max_len":16,"min_freq":0,"n_iter":2,"shrink_factor":0.75,"vocab":16384}
    assert tokens_hash(load_settings()) == "8e7a1c95"
    for name, value in {"seed": 1, "train.gamma": 0.5, "files.raw": "x"}.items():
        assert tokens_hash(load_settings(None, {name: value})) == "8e7a1c95"
    for name, value in {"tokens.vocab": 1000, "tokens.eos_string": ""}.items():
        assert tokens_hash(load_settings(None, {name: value})) != "8e7a1c95"


def test_equal_numbers_have_equal_hashes_however_they_are_written():
    one = load_settings(None, {"tokens.dropout": "0"})
    two = load_settings(None, {"tokens.dropout": "0.0"})
    assert tokens_hash(one) == tokens_hash(two)


def test_the_hash_does_not_depend_on_the_order_of_keys():
    assert section_hash({"b": [1], "a": None}) == section_hash({"a": None, "b": [1]})
    assert section_hash({"a": 1}) != section_hash({"a": 2})


def test_log_levels_are_those_of_logging():
    import logging

    for word, number in LEVELS.items():
        assert level_of(word) == getattr(logging, word.upper()) == number
    assert level_of(15) == 15
