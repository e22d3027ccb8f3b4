"""Which group a weight belongs to: the first whose pattern matches its name."""

from slangmod.settings.groups import assign, idle

NAMES = [
    "embedding.weight",
    "layers.0.attention.qkv.weight",
    "layers.0.attention_norm.weight",
    "layers.1.feedforward.up.weight",
    "layers.10.feedforward.up.weight",
    "norm.weight",
]


def taken(*patterns: str) -> list[int | None]:
    return list(assign(NAMES, patterns).values())


def test_the_first_match_wins():
    assert taken("layers.0.*", "layers.*", "*") == [2, 0, 0, 1, 1, 2]
    assert taken("*", "layers.*") == [0] * 6


def test_without_a_match_there_is_no_group():
    assert taken() == [None] * 6
    assert taken("layers.1.*") == [None, None, None, 0, None, None]


def test_patterns_are_globs_of_the_whole_name_in_its_own_case():
    assert taken("*norm*") == [None, None, 0, None, None, 0]
    assert taken("norm") == [None] * 6
    assert taken("Norm*") == [None] * 6
    assert taken("layers.[01].*") == [None, 0, 0, 0, None, None]
    assert taken("layers.?.*") == [None, 0, 0, 0, None, None]
    assert taken("layers.1?.*") == [None, None, None, None, 0, None]


def test_every_name_is_assigned_once_in_order():
    assert list(assign(NAMES, ["*norm*"])) == NAMES


def test_a_pattern_without_weights_says_why():
    found = idle(NAMES, ["layers.*", "layer.*", "layers.0.*", "norm*"])
    assert list(found) == [1, 2]
    assert found[1].startswith("matches no weight; their names are such as embedding")
    assert found[2].startswith("matches only weights that earlier groups take")
    assert idle(NAMES, ["*"]) == {}
    assert idle(NAMES, []) == {}
