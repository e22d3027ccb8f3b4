"""Where settings come from, and which source has the last word."""

import pytest

from slangmod.errors import SettingsError
from slangmod.settings import load, load_settings, resolve
from slangmod.settings.clash import Clash

RATE = "train.learning_rate"

SOURCES = [
    ("default", 0.001),
    ("preset", 0.002),
    ("far base", 0.003),
    ("base", 0.004),
    ("file", 0.005),
    ("environment", 0.006),
    ("flag", 0.007),
]


@pytest.mark.parametrize("strongest", range(len(SOURCES)))
def test_the_strongest_source_wins(write, strongest):
    there = dict(SOURCES[: strongest + 1])

    def line(source):
        return f"[train]\nlearning_rate = {there[source]}\n" if source in there else ""

    write(
        {
            "far.toml": line("far base"),
            "base.toml": 'base = "far.toml"\n' + line("base"),
            "file.toml": 'base = "base.toml"\n' + line("file"),
        }
    )
    flags = [("size", "tiny")] if "preset" in there else []
    if "flag" in there:
        flags.append((RATE, str(there["flag"])))
    variables = {}
    if "environment" in there:
        variables["SLM_TRAIN__LEARNING_RATE"] = str(there["environment"])
    settings = resolve("file.toml", flags, variables).settings
    assert settings.train.learning_rate == SOURCES[strongest][1]


@pytest.mark.parametrize(
    ("file", "variables", "flags", "dim"),
    [
        ("", {}, [], 512),
        ('size = "tiny"', {}, [], 128),
        ('size = "tiny"', {}, [("size", "small")], 256),
        ('size = "tiny"', {"SLM_SIZE": "small"}, [], 256),
        ('size = "tiny"', {"SLM_SIZE": "small"}, [("size", "tiny")], 128),
        ('size = "tiny"', {}, [("size", "none")], 512),
        ('size = "tiny"\nmodel.dim = 64', {}, [("size", "small")], 64),
        ('base = "sized.toml"', {}, [], 256),
        ('base = "sized.toml"\nsize = "tiny"', {}, [], 128),
        ('base = "preset:small"', {}, [], 256),
        ('base = "preset:small"\nsize = "tiny"', {}, [], 256),
        ("", {}, [("base", "sized.toml")], 256),
        ('base = "preset:tiny"', {}, [("base", "sized.toml")], 256),
        ('base = "preset:tiny"', {}, [("base", "none")], 512),
        ("", {"SLM_BASE": "preset:tiny"}, [], 128),
    ],
)
def test_the_preset_is_the_one_that_the_strongest_source_asks_for(
    write, file, variables, flags, dim
):
    write({"sized.toml": 'size = "small"', "file.toml": file})
    assert resolve("file.toml", flags, variables).settings.model.dim == dim


def test_size_is_kept_and_base_is_used_up(write):
    write({"a.toml": "seed = 5", "b.toml": 'base = "a.toml"\nsize = "tiny"'})
    settings = load_settings("b.toml")
    assert (settings.size, settings.base, settings.seed) == ("tiny", None, 5)


def test_a_base_is_relative_to_the_file_that_names_it(write):
    write(
        {
            "deep/er/a.toml": 'base = "../b.toml"',
            "deep/b.toml": 'base = "../c.toml"',
            "c.toml": "seed = 5",
        }
    )
    assert load_settings("deep/er/a.toml").seed == 5
    assert load_settings(None, {"base": "deep/b.toml"}).seed == 5


def test_a_base_on_the_command_line_is_relative_to_the_current_folder(write):
    write({"deep/a.toml": "", "b.toml": "seed = 5"})
    assert resolve("deep/a.toml", [("base", "b.toml")]).settings.seed == 5


def test_tables_merge_and_lists_replace(write):
    write(
        {
            "first.toml": """
                files.cleaners = ["quotes", "unicode"]
                extra = {list = [1, 2], table = {a = 1, b = 2}}
                [train]
                warmup = 5
                """,
            "second.toml": """
                base = "first.toml"
                files.cleaners = ["encoding"]
                extra = {list = [3], table = {b = 3}}
                [train]
                batch_size = 7
                """,
        }
    )
    settings = load_settings("second.toml")
    assert settings.files.cleaners == ("encoding",)
    assert settings.extra == {"list": (3,), "table": {"a": 1, "b": 3}}
    assert (settings.train.warmup, settings.train.batch_size) == (5, 7)


@pytest.mark.parametrize(
    ("weaker", "stronger", "extra"),
    [
        ("extra.a = 1", "extra.a.b = 2", {"a": {"b": 2}}),
        ("extra.a.b = 2", "extra.a = 1", {"a": 1}),
        ("extra.a.b.c = 2", "extra.a.b = 1", {"a": {"b": 1}}),
        ("extra.a = {}", "extra.a.b = 2", {"a": {"b": 2}}),
        ("extra.a.b = 2", "extra.a = {}", {"a": {"b": 2}}),
    ],
)
def test_in_the_free_table_values_and_tables_take_each_others_place(
    write, weaker, stronger, extra
):
    write({"a.toml": weaker, "b.toml": f'base = "a.toml"\n{stronger}'})
    if stronger != "extra.a = {}":  # an empty table says nothing about what is in it
        assert load_settings("b.toml").extra == extra


def test_of_flags_that_contradict_each_other_the_last_wins():
    flags = [("extra.a", "1"), ("extra.a.b", "2"), ("seed", "x"), ("seed", "7")]
    settings = resolve(None, flags).settings
    assert settings.extra == {"a": {"b": 2}}
    assert settings.seed == 7


@pytest.mark.parametrize(
    ("chain", "place"),
    [
        ({"a": "a"}, "a.toml:1: base = \"a.toml\": base files go in a circle: "
         "a.toml -> a.toml"),
        ({"a": "b", "b": "c", "c": "a"},
         'c.toml:1: base = "a.toml": base files go in a circle: '
         "a.toml -> b.toml -> c.toml -> a.toml"),
    ],
)  # fmt: skip
def test_a_circle_of_bases_is_refused_with_the_chain(write, problems_of, chain, place):
    write({f"{one}.toml": f'base = "{next_}.toml"' for one, next_ in chain.items()})
    assert problems_of(load_settings, "a.toml") == (place,)


@pytest.mark.parametrize(
    ("base", "problem"),
    [
        ("b.toml", "no such file; base is relative to the file that names it"),
        ("preset:tyni", "preset:medium, preset:pycmtensor, preset:small, preset:tiny; "
         "did you mean 'preset:tiny'?"),
        ("preset:", ": choose one of preset:"),
        ("x" * 5000, "no such file"),
        ("\\u0000", "no such file"),
    ],
)  # fmt: skip
def test_a_base_that_is_not_there_is_named_with_its_place(
    write, problems_of, base, problem
):
    write({"a.toml": f'\nbase = "{base}"'})
    (found,) = problems_of(load_settings, "a.toml")
    assert found.startswith("a.toml:2: base = ")
    assert problem in found


def test_problems_of_all_sources_are_told_at_once_each_with_its_place(
    write, problems_of
):
    write(
        {
            "first.toml": "[train]\nwarmup = -1\n\nlearning_rat = 3\n",
            "second.toml": 'base = "first.toml"\n[trian]\nx = 1\n',
        }
    )
    variables = {"SLM_TRAIN__POWER": "7", "SLM_SEEED": "1", "PATH": "/bin"}
    flags = [("train.gamma", "1"), ("train.gama", "1"), ("model.dim", "x")]
    assert problems_of(resolve, "second.toml", flags, variables) == (
        "first.toml:2: train.warmup = -1: must be at least 0",
        "first.toml:4: unknown setting 'train.learning_rat'; "
        "did you mean 'train.learning_rate'?",
        "second.toml:2: unknown section 'trian'; did you mean 'train'?",
        "SLM_SEEED: unknown setting 'seeed'; did you mean 'seed'?",
        "SLM_TRAIN__POWER = 7: must be at least 0.5 and at most 1",
        "--train.gamma = 1: must be above 0 and below 1",
        "--train.gama: unknown setting 'train.gama'; did you mean 'train.gamma'?",
        '--model.dim = "x": must be a whole number, at least 1',
    )


def test_a_mistake_is_told_even_where_a_stronger_source_hides_it(write, problems_of):
    write({"a.toml": "seed = -1"})
    (problem,) = problems_of(resolve, "a.toml", [("seed", "3")])
    assert problem == "a.toml:1: seed = -1: must be at least 0"


def test_more_problems_than_anybody_reads_are_counted(write, problems_of):
    write({"a.toml": "".join(f"key{number} = 1\n" for number in range(1000))})
    problems = problems_of(load_settings, "a.toml")
    assert len(problems) == 51
    assert problems[-1] == "... and 950 more problems"


def test_the_library_reads_neither_environment_nor_current_folder(write, monkeypatch):
    write({"slangmod.toml": "seed = 5"})
    monkeypatch.setenv("SLM_SEED", "6")
    assert load_settings().seed == 100


@pytest.mark.parametrize(
    ("overrides", "name", "value"),
    [
        ({"train.learning_rate": "3e-4"}, "train.learning_rate", 3e-4),
        ({"train.learning_rate": 1}, "train.learning_rate", 1.0),
        ({"train": {"batch_size": 3}}, "train.batch_size", 3),
        ({"model": {"feedforward": {"factor": "2"}}}, "model.feedforward.factor", 2),
        ({"train.batch-size": 3}, "train.batch_size", 3),
        ({"train.patience": None}, "train.patience", None),
        ({"train.patience": "none"}, "train.patience", None),
        ({"chat.user": '"Bob"'}, "chat.user", '"Bob"'),
        ({"chat.user": "5"}, "chat.user", "5"),
        ({"files.cleaners": '["quotes"]'}, "files.cleaners", ("quotes",)),
        ({"model.compile": "false"}, "model.compile", False),
    ],
)
def test_overrides_from_python_are_values_or_text(overrides, name, value):
    settings = load_settings(None, overrides)
    for part in name.split("."):
        settings = getattr(settings, part)
    assert settings == value
    assert type(settings) is type(value)


def test_paths_from_python_become_text(here):
    assert load_settings(None, {"workdir": here}).workdir == str(here)


def test_free_keys_from_python_may_hold_dots():
    settings = load_settings(None, {"extra": {"a.b": {"c d": 1}}})
    assert settings.extra == {"a.b": {"c d": 1}}


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ({"a": object()}, "must be text, a number, true or false, a date, a list"),
        ({"a": None}, "must be text, a number"),
        ({"a": float("nan")}, "must be a finite number"),
        ({"a": [1, [float("inf")]]}, "must be a finite number"),
        ({"a": 2**63}, "must be a whole number of at most 64 bits"),
        ({"a": "\ud800"}, "must be text that UTF-8 can hold"),
        ({"a": [[[[[[[[[1]]]]]]]]]}, "is nested deeper than 8 tables and lists"),
        ({"k" * 257: 1}, "has a key of more than 256 characters"),
    ],
)
def test_the_free_table_holds_what_toml_can_hold(problems_of, extra, problem):
    (found,) = problems_of(load_settings, None, {"extra": extra})
    assert problem in found


def test_a_table_that_holds_itself_is_refused(problems_of):
    circle = {}
    circle["a"] = circle
    (found,) = problems_of(load_settings, None, {"extra": circle})
    assert "nested deeper than 8" in found


def test_a_name_with_a_dot_in_a_free_table_is_told_where_it_is_refused():
    with pytest.raises(SettingsError, match=r"optimizer\.options\..*adamw takes none"):
        load_settings(None, {"optimizer.options": {".": False}})


def test_defaults_that_clash_are_told_like_others(monkeypatch):
    clash = Clash((RATE, "train.batch_size"), "do not go together here")
    monkeypatch.setattr(load, "clashes", lambda _: [clash])
    with pytest.raises(SettingsError) as told:
        resolve()
    (problem,) = told.value.problems
    assert problem.startswith(f"{RATE} = 0.001: do not go together here; ")
    assert "train.batch_size = " in problem
