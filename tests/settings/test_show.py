"""What is shown can be loaded, and says where each value comes from."""

import json
from pathlib import Path

import pytest
import tomli
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from slangmod.errors import SettingsError
from slangmod.settings import Resolved, load_settings, resolve
from slangmod.settings.catalog import catalog
from slangmod.settings.show import changed_values, run_config, show
from slangmod.settings.totals import TOTALS
from slangmod.settings.values import plain

FIRST = "[train]\n\nlearning_rate = 0.0003\n"
SECOND = 'base = "first.toml"\n[train]\n\nlearning_rate = 0.001\n'


@pytest.fixture
def two(write):
    write({"first.toml": FIRST, "second.toml": SECOND})


def line_of(text, beginning):
    (found,) = [one for one in text.splitlines() if one.startswith(beginning)]
    return found


@pytest.mark.usefixtures("two")
def test_each_value_is_shown_with_its_origin():
    variables = {"SLM_TRAIN__WARMUP": "5"}
    flags = [("size", "tiny"), ("train.gamma", "0.5"), ("train.warmup", "6")]
    text = show(resolve("second.toml", flags, variables))
    lines = {
        "learning_rate": "learning_rate = 0.001   # second.toml:4, "
        "was 0.0003 in first.toml:3, was 0.002 in preset:tiny",
        "batch_size": "batch_size = 16         # preset:tiny",
        "warmup": "warmup = 6              # --train.warmup, "
        "was 5 in SLM_TRAIN__WARMUP, was 100 in preset:tiny",
        "gamma": "gamma = 0.5             # --train.gamma",
        "step_freq": "step_freq = 1           # default",
        "# effective_batch": "# effective_batch_size = 16   derived: "
        "batch_size * step_freq",
        "# tokens_per": "# tokens_per_step = 2048   derived: "
        "batch_size * step_freq * data.seq_len",
        "# base": '# base = "first.toml"   # second.toml:1; its values are written out',
        "size": 'size = "tiny"           # --size',
        "patience = ": 'patience = "none"       # default',
        "# head_width": "# head_width = 32   derived: dim / n_heads",
    }
    for beginning, line in lines.items():
        assert line_of(text, beginning) == line


@pytest.mark.usefixtures("two")
def test_what_is_shown_needs_no_base_and_shows_the_same_values(here):
    first = resolve("second.toml", [("train.patience", "3"), ("size", "tiny")])
    (here / "elsewhere").mkdir()
    (here / "elsewhere" / "shown.toml").write_text(show(first))
    (here / "first.toml").unlink()
    second = resolve("elsewhere/shown.toml")
    assert second.settings == first.settings
    (here / "again.toml").write_text(show(second))
    assert resolve("again.toml").settings == first.settings


def test_a_stronger_base_that_is_none_is_shown_as_none(write):
    write({"a.toml": 'base = "preset:tiny"'})
    text = show(resolve("a.toml", [("base", "none")]))
    assert line_of(text, "base") == (
        'base = "none"           # --base, was "preset:tiny" in a.toml:1'
    )


def test_only_changes_are_shown_if_asked_and_load_as_the_same_settings(here):
    flags = [("size", "tiny"), ("model.dim", "512"), ("train.gamma", "0.95")]
    resolved = resolve(None, flags)
    text = show(resolved, changed=True)
    assert "batch_size = 16" in text
    assert "dim = 512" in text  # the default, but not what the preset has
    assert "gamma" not in text
    assert "n_kv_heads" not in text
    (here / "changed.toml").write_text(text)
    assert load_settings("changed.toml") == resolved.settings
    assert tomli.loads(text) == json.loads(
        json.dumps(changed_values(resolved.settings))
    )


def test_nothing_changed_shows_nothing():
    assert show(resolve(), changed=True) == ""


def test_a_runs_config_holds_a_name_and_absolute_paths(write, here, monkeypatch):
    write({"c.toml": 'workdir = "work"\n[files]\nraw = "../raw"\n'})
    text = run_config(resolve("c.toml"), "first")
    monkeypatch.chdir("/")
    (here / "config.toml").write_text(text)
    settings = load_settings(here / "config.toml")
    assert settings.workdir == str(here / "work")
    assert settings.files.raw == str(here / "../raw")
    assert settings.files.tokenizer is None
    assert settings.name == "first"
    assert "# c.toml:1" in line_of(text, "workdir")
    assert "# chosen when the run began" in line_of(text, "name")


def test_a_name_that_was_given_keeps_its_origin():
    text = run_config(resolve(None, [("name", "first")]), "first")
    assert line_of(text, "name").endswith("# --name")


def test_derived_values_that_take_time_are_shown_if_asked(write):
    groups = '[[optimizer.group]]\nmatch = "*norm*"\n'
    write({"c.toml": "train.max_steps = 9\n" + groups})
    resolved = resolve("c.toml")
    text = show(resolved, derived=True)
    assert line_of(text, "# lr_schedule").startswith(
        "# lr_schedule = [1.25e-07, 2.5e-07"
    )
    assert "(9 values)" in line_of(text, "# lr_schedule")
    assert "the data are not at hand" in line_of(text, "# steps_per_epoch")
    assert line_of(text, "# takes") == (
        "# takes 34 of 67 tensors: layers.{0-7}.attention_norm.weight, "
        "layers.{0-7}.attention_norm.bias, layers.{0-7}.feedforward_norm.weight, "
        "layers.{0-7}.feedforward_norm.bias, norm.weight, norm.bias"
    )
    assert "lr_schedule" not in show(resolved)
    write({"shown.toml": text})
    assert load_settings("shown.toml") == resolved.settings


def test_settings_made_in_python_say_so():
    settings = load_settings(None, {"train.gamma": 0.5})
    text = show(Resolved.of(settings))
    assert line_of(text, "gamma").endswith("# Python")
    assert line_of(text, "power").endswith("# default")


def test_origins_cannot_smuggle_lines_or_controls(here):
    name = "a\n[chat]\nuser = 'x' # \x1b[2J.toml"
    (here / name).write_text("seed = 5")
    text = show(resolve(name))
    assert "\x1b" not in text
    (here / "shown.toml").write_text(text)
    assert load_settings("shown.toml") == load_settings(name)


any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
words = any_text.filter(bool)
CLASHING = {
    "model.dim": st.sampled_from([48, 96, 480]),
    "model.n_heads": st.sampled_from([1, 2, 4, 8, 12]),
    "model.n_kv_heads": st.sampled_from([None, 1]),
    "model.context": st.integers(1000, 5000),
    "data.seq_len": st.integers(10, 1000),
    "data.overlap": st.integers(0, 9) | st.floats(0, 0.9),
    "train.step_freq": st.just(1),
    "train.optimizer": st.just("adamw"),
    "tokens.vocab": st.integers(513, 10**9),
    "tokens.eos_regex": st.none() | any_text,
    "files.encoding": st.sampled_from(["cp1252", "ascii", "utf-8"]),
    "chat.k": st.integers(1, 99) | st.floats(0.01, 0.99),
    "train.max_time": st.none() | st.sampled_from(["90s", "1.5h"]),
    "name": st.none() | st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
    "workdir": words,
    "files.raw": words,
    "files.tokenizer": st.none() | words,
    "size": st.sampled_from([None, "tiny", "small"]),
    "base": st.none(),
    "data.device": st.sampled_from([None, "cpu", "cuda:1"]),
}
"""For settings with rules of their own: values that keep them."""

free = st.dictionaries(
    any_text.filter(lambda key: len(key) < 256),
    st.recursive(
        st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.booleans()
        | any_text
        | st.datetimes()
        | st.dates()
        | st.times(),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                any_text.filter(lambda k: len(k) < 256), inner, max_size=2
            )
        ),
        max_leaves=5,
    ),
    max_size=3,
)


def of_shape(shape):
    """Values that a form may take."""
    if shape.words:
        return st.sampled_from(shape.words)
    if shape.items:
        least, most = (shape.length, shape.length) if shape.length else (0, 3)
        return st.lists(of_shape(shape.items[0]), min_size=least, max_size=most)
    if shape.kind is bool:
        return st.booleans()
    if shape.kind is int:
        least = 0 if shape.least is None else int(shape.least)
        return st.integers(least, 2**63 - 1 if shape.most is None else int(shape.most))
    if shape.kind is float:
        return st.floats(
            shape.least if shape.above is None else shape.above,
            shape.most if shape.below is None else shape.below,
            exclude_min=shape.above is not None,
            exclude_max=shape.below is not None,
            allow_nan=False,
            allow_infinity=False,
        )
    return any_text


@st.composite
def overrides(draw):
    """Values for some of the settings, all of them sound."""
    chosen = {}
    names = draw(st.sets(st.sampled_from(sorted(catalog())), max_size=12))
    for name in sorted(names - {"extra"}):
        known = catalog()[name]
        if name in CLASHING:
            chosen[name] = draw(CLASHING[name])
        else:
            unset = [st.none()] if known.optional else []
            chosen[name] = draw(st.one_of(*unset, *map(of_shape, known.shapes)))
    tables = {name: draw(strategy) for name, strategy in ARRAYS.items()}
    for total, array in TOTALS.items():
        if tables[".".join(array)]:
            chosen.pop(total, None)
    return chosen | {"extra": draw(free)} | tables


def some(**strategies):
    """Tables with some of the keys; a key's __ stands for a dot."""
    named = {key.replace("__", "."): one for key, one in strategies.items()}
    return st.lists(st.fixed_dictionaries({}, optional=named), max_size=3)


ARRAYS = {
    "stage": st.lists(
        st.fixed_dictionaries(
            {"epochs": st.integers(1, 9)},
            optional={
                "reset_optimizer": st.booleans(),
                "schedule": st.sampled_from(["restart", "continue"]),
                "train.eval_freq": st.none() | st.integers(1, 99),
                "train.warmup": st.sampled_from([3, "5%", "2 epochs"]),
                "optimizer.betas": st.just([0.5, 0.75]),
                "model.dropout": st.floats(0, 0.5),
            },
        ),
        max_size=3,
    ),
    "model.layer": some(
        repeat=st.integers(1, 5),
        n_heads=st.sampled_from([1, 2, 4]),
        qk_norm=st.booleans(),
        feedforward__flavor=st.sampled_from(["glu", "grn"]),
        feedforward__factor=st.integers(1, 4) | st.floats(0.5, 4),
    ),
    "optimizer.group": st.lists(
        st.fixed_dictionaries(
            {"match": st.just("*")}, optional={"weight_decay": st.floats(0, 1)}
        ),
        max_size=1,
    ),
}
"""Arrays of tables, sound ones."""


@given(overrides(), st.booleans())
@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
    max_examples=30,
)
def test_what_is_shown_loads_as_the_same_settings(tmp_path, given_values, changed):
    try:
        resolved = Resolved.of(load_settings(None, given_values))
    except SettingsError as error:
        # Nesting is counted as in a file, and a regular expression may be none.
        assume("nested deeper" in str(error) or "eos_regex" in str(error))
        return
    for name, value in given_values.items():
        if name not in ("extra", *ARRAYS):
            assert plain_at(resolved.settings, name) == value
    path = Path(tmp_path) / "shown.toml"
    path.write_text(show(resolved, changed=changed), "utf-8")
    again = resolve(path)
    assert again.settings == resolved.settings
    path.write_text(show(again), "utf-8")
    assert resolve(path).settings == resolved.settings
    assert tomli.loads(path.read_text("utf-8"))


def plain_at(settings, name):
    value = plain(settings)
    for part in name.split("."):
        value = value[part]
    return value
