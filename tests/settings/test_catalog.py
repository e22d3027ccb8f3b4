"""What is said of each setting agrees with what is checked."""

# ruff: noqa: E501  (one case per line, however long: tables)

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from slangmod.generation.conversation import STYLES
from slangmod.generation.generate import GENERATORS
from slangmod.model.feedforward import ACTIVATIONS, FLAVORS, GATES
from slangmod.model.norms import NORMS
from slangmod.model.positions import POSITIONS
from slangmod.optim.optimizers import OPTIMIZERS
from slangmod.settings import Settings
from slangmod.settings.catalog import arrays, catalog, tables
from slangmod.settings.check import tree_of
from slangmod.settings.entries import Entry
from slangmod.settings.explain import about, settings_named
from slangmod.settings.resolved import Resolved
from slangmod.settings.rules import LEAST_VOCAB
from slangmod.settings.schedules import SCHEDULES
from slangmod.settings.schema import EXPRESSION, json_schema
from slangmod.settings.stages import refusal
from slangmod.text.cleaning import CLEANERS

TABLES = {
    "train.optimizer": OPTIMIZERS,
    "train.scaling": SCHEDULES,
    "model.positions": POSITIONS,
    "model.norm_cls": NORMS,
    "model.feedforward.flavor": FLAVORS,
    "model.feedforward.activation": ACTIVATIONS,
    "model.feedforward.gate": GATES,
    "chat.generator": GENERATORS,
    "chat.style": STYLES,
    "tokens.algo": LEAST_VOCAB,
}
"""The tables of functions that words choose from."""


@pytest.mark.parametrize("name", TABLES)
def test_the_words_of_a_setting_are_those_of_its_table(name):
    assert sorted(catalog()[name].words) == sorted(TABLES[name])


def test_the_cleaners_that_can_be_named_are_those_there_are():
    assert sorted(catalog()["files.cleaners"].item_words) == sorted(CLEANERS)


def takes(known, value):
    try:
        Settings.model_validate(tree_of([Entry(known.path, value, "")]))
    except ValidationError:
        return False
    return True


SAMPLES = (
    *(-1, 0, 1, 2, 5, 9, 10, 50, 51, -0.5, 0.0, 0.1, 0.5, 0.99, 1.0, 1.5),
    *(True, False, "", "text", "90s", "cuda:0", "a b", (), (0.5, 0.5), (0.5, 1.0)),
    *("adamw", "rotary", "none", ("quotes",), ("quots",), None),
)


def fits(shape, value):
    """Whether a form takes a value, by what it says of itself."""
    import re

    if isinstance(value, bool) or shape.kind is bool:
        return isinstance(value, bool) and shape.kind is bool
    if shape.words:
        return value in shape.words
    if shape.items:
        right = (
            shape.length in (None, len(value)) if isinstance(value, tuple) else False
        )
        return right and all(fits(shape.items[0], one) for one in value)
    if shape.kind is str:
        return isinstance(value, str) and bool(re.search(shape.pattern, value))
    kinds = (int, float) if shape.kind is float else int
    return (
        isinstance(value, kinds)
        and (shape.least is None or value >= shape.least)
        and (shape.above is None or value > shape.above)
        and (shape.most is None or value <= shape.most)
        and (shape.below is None or value < shape.below)
    )


@pytest.mark.parametrize(
    "name", [name for name, known in catalog().items() if not known.free]
)
def test_what_a_setting_says_it_takes_is_what_it_takes(name):
    known = catalog()[name]
    for value in SAMPLES:
        said = any(fits(shape, value) for shape in known.shapes)
        assert takes(known, value) == (said or (value is None and known.optional))


def test_the_default_of_every_setting_is_one_it_takes():
    for known in catalog().values():
        if not known.free:
            assert takes(known, known.default), known.name


@pytest.mark.parametrize("name", catalog())
def test_everything_is_said_of_a_setting(name):
    (topic,) = settings_named(name)
    facts = about(topic, Resolved(Settings()), lambda _: "")
    assert facts["origin"] == "default"
    assert facts["flag"] == f"--{name}"
    assert facts["variable"].startswith("SLM_")
    assert facts["type"]


def test_a_section_stands_for_all_that_is_in_it():
    names = [topic.name for topic in settings_named("model")]
    assert names[0] == "model.dim"
    assert names[-1] == "model.feedforward.factor"
    assert settings_named("--train.batch-size") == settings_named("train.batch_size")


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("stage.epochs", "stage.N.epochs"),
        ("stage.2.train.gamma", "stage.2.train.gamma"),
        ("model.layer.n_heads", "model.layer.N.n_heads"),
        ("--model.layer.1.feedforward.gate", "model.layer.1.feedforward.gate"),
        ("[[optimizer.group]]", "optimizer.group.N.match"),
        ("stage", "stage.N.name"),
    ],
)
def test_settings_in_arrays_of_tables_are_explained_too(name, first):
    topic = settings_named(name)[0]
    assert topic.name == first
    assert about(topic, Resolved(Settings()), lambda _: "")["meaning"]


def properties(schema):
    """All tables in a schema with their dotted names."""
    stack = [("", schema)]
    while stack:
        above, table = stack.pop()
        yield above, table
        inside = table.get("properties") or table.get("items", {}).get("properties", {})
        for name, inner in inside.items():
            stack.append((f"{above}.{name}".strip("."), inner))


def test_the_schema_names_every_setting_and_is_closed():
    found = dict(properties(json_schema()))
    names = {name for name in found if not name.startswith(IN_ARRAYS)}
    closed = {name for name in names if "properties" in found[name]}
    assert closed == {".".join(path) for path in tables()}
    assert all(found[name]["additionalProperties"] is False for name in closed)
    assert names - closed == set(catalog())


IN_ARRAYS = tuple(".".join(array) for array in arrays())


@pytest.mark.parametrize("array", arrays())
def test_the_schema_describes_the_tables_of_each_array_and_closes_them(array):
    found = dict(properties(json_schema()))
    name = ".".join(array)
    assert found[name]["type"] == "array"
    assert found[name]["items"]["additionalProperties"] is False
    own = {f"{name}.{one}" for one in catalog(arrays()[array])}
    assert own <= found.keys()
    others = {
        one.removeprefix(f"{name}.")
        for one in found.keys() - own - {name}
        if one.startswith(f"{name}.") and "properties" not in found[one]
    }
    changes = {one for one in catalog() if not refusal(one)}
    assert others == (changes if name == "stage" else set())


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("train.batch_size", {"anyOf": [{"type": "integer", "minimum": 1}, EXPRESSION, {"enum": ["auto"]}], "default": 64}),
        ("train.gamma", {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, EXPRESSION]}),
        ("train.schedule_unit", {"enum": ["batch", "epoch"]}),
        ("train.patience", {"anyOf": [{"type": "integer", "minimum": 2}, {"enum": ["none"]}, EXPRESSION]}),
        ("data.shuffle", {"anyOf": [{"type": "boolean"}, EXPRESSION]}),
        ("extra", {"type": "object"}),
    ],
)  # fmt: skip
def test_the_schema_has_types_ranges_and_defaults(name, form):
    found = dict(properties(json_schema()))[name]
    assert form.items() <= found.items()
    assert found["description"]


def test_the_schema_is_json_that_old_readers_know():
    text = json.dumps(json_schema())
    assert not any(
        f'"{word}"' in text for word in ("const", "if", "prefixItems", "$defs")
    )


def test_settings_import_nothing_slow():
    slow = "torch swak polars pandas pyarrow tokenizers numpy tqdm"
    code = f"import sys, slangmod.settings; print(set('{slow}'.split()) & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
