import pytest

from slangmod.errors import SettingsError
from slangmod.search.dimensions import Choice, Interval
from slangmod.search.grammar import parsed, stand_in
from slangmod.search.space import described, open_space, settings_with
from slangmod.settings.course import nothing_at_hand
from slangmod.settings.load import resolve


def resolved(text="", *flags, tmp_path=None):
    file = None
    if text:
        file = tmp_path / "c.toml"
        file.write_text(text)
    return resolve(file, flags, searching=stand_in)


def space(found):
    return open_space(found, nothing_at_hand)


def test_flags_tables_and_quoted_names_make_one_space(tmp_path):
    text = """
        [train]
        batch_size = "choice(32, 64)"
        [sweep.space]
        "train.learning_rate" = "interval(1e-4, 1e-2, log=true)"
        [sweep.space.model]
        norm_cls = "choice(layer, rms)"
    """
    found = space(
        resolved(text, ("data.seq_len", "interval(8, 32)"), tmp_path=tmp_path)
    )
    assert found == {
        "train.batch_size": Choice((32, 64)),
        "train.learning_rate": Interval(1e-4, 1e-2, log=True),
        "model.norm_cls": Choice(("layer", "rms")),
        "data.seq_len": Interval(8, 32, whole=True),
    }


def test_a_setting_of_a_stage_is_searched(tmp_path):
    text = """
        [[stage]]
        epochs = 1
        [[stage]]
        epochs = 1
        train.learning_rate = "interval(1e-4, 1e-2)"
    """
    found = resolved(text, tmp_path=tmp_path)
    assert space(found) == {"stage.2.train.learning_rate": Interval(1e-4, 1e-2)}
    chosen = settings_with(
        found, {"stage.2.train.learning_rate": 0.005}, "trial 1", nothing_at_hand
    )
    assert dict(chosen.settings.stage[1].changes) == {"train.learning_rate": 0.005}


def test_what_is_computed_is_computed_anew_for_each_trial(tmp_path):
    text = """
        [train]
        max_steps = "choice(100, 200)"
        warmup = "= train.max_steps // 10"
    """
    found = resolved(text, tmp_path=tmp_path)
    for steps in (100, 200):
        values = {"train.max_steps": steps}
        chosen = settings_with(found, values, "trial 1", nothing_at_hand)
        assert chosen.settings.train.warmup == steps // 10
        assert chosen.settings.train.max_steps == steps


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("train.batch_size", "choice(32, -1)", "-1: must be at least 1"),
        ("train.batch_size", "choice(-1, 32)", "-1: must be at least 1"),
        ("train.batch_size", "interval(0, 8)", "0: must be at least 1"),
        ("train.batch_size", "interval(1.5, 8)", "1.5: must be a whole number"),
        ("train.power", "interval(0.5, 2)", "2: must be at least 0.5 and at most 1"),
        ("train.scaling", "choice(cosine, cosin)", "did you mean 'cosine'"),
        (
            "model.norm_first",
            "interval(0, 1)",
            "is of numbers; model.norm_first: must be true",
        ),
        ("train.learning_rate", "interval(1, 2, base=3)", "no option 'base'"),
        ("name", "choice(a, b)", "makes no difference"),
        ("tokens.eos_regex", "choice(a, b)", "makes no difference"),
        ("model.n_heads", "choice(8, 7)", "7: model.n_heads = 7: model.dim must be"),
    ],
)
def test_a_candidate_that_is_impossible_is_named_with_its_place(name, text, expected):
    with pytest.raises(SettingsError) as told:
        space(resolve(flags=[(name, text)], searching=stand_in))
    (problem,) = told.value.problems
    assert problem.startswith(f'--{name} = "{text}": ')
    assert expected in problem


def test_the_line_of_a_file_is_named(tmp_path):
    text = '[sweep.space]\n"train.batch_size" = "choice(32, -1)"\n'
    with pytest.raises(SettingsError, match=r"c\.toml:2: train\.batch_size = .*: -1: "):
        space(resolved(text, tmp_path=tmp_path))


def test_candidates_that_go_together_with_some_others_are_fine():
    flags = [("model.dim", "choice(60, 64)"), ("model.n_heads", "choice(10, 16)")]
    found = space(resolve(flags=flags, searching=stand_in))
    assert set(found) == {"model.dim", "model.n_heads"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[sweep.space]\n"train.batch" = "choice(1)"', "unknown setting"),
        ('[sweep.space]\n"train.batch_size" = 32', "say what to try in a text"),
        ("", "there is nothing to search"),
        (
            '[sweep.space]\n"model.dim" = "choice(8)"\nmodel.dim = "choice(16)"',
            "stands in the space twice",
        ),
    ],
)
def test_what_is_no_space_is_refused(tmp_path, text, expected):
    with pytest.raises(SettingsError, match=expected):
        space(resolved(text, tmp_path=tmp_path))


def test_what_is_described_can_be_read_again():
    found = {
        "a": Choice((2, 2.5, True, "x y", "it's", (0.9, 0.99))),
        "b": Interval(1e-5, 1.0, log=True),
        "c": Interval(1, 9, step=2, whole=True),
        "d": Interval(0.1, 0.3, step=0.1),
    }
    again = {name: parsed(text) for name, text in described(found).items()}
    assert again == found
