"""Arrays of tables: loaded with places, changed one by one, shown, checked."""

# ruff: noqa: E501  (one case per line or two: a table)

import json

import pytest
import tomli

from slangmod.errors import SettingsError
from slangmod.settings import Settings, load_settings, resolve
from slangmod.settings.per_layer import layers_of
from slangmod.settings.resolved import Resolved
from slangmod.settings.show import changed_values, show
from slangmod.settings.stages import stages_of
from slangmod.settings.values import plain

STAGES = """\
[train]
batch_size = 8
[[stage]]
name = "short"
epochs = 1
train.learning_rate = 0.01
[[stage]]
epochs = 5
train = { batch_size = 32, scaling = "cosine", patience = 3 }
model.dropout = 0.2
data.seq_len = 64
reset_optimizer = true
schedule = "continue"
"""
SOUND = STAGES.replace(", patience = 3", "")


def lines_with(text, word):
    return [" ".join(one.split()) for one in text.splitlines() if word in one]


def test_each_stage_has_its_own_settings_and_the_others_of_the_run(write):
    write({"c.toml": SOUND})
    settings = load_settings("c.toml")
    first, second = stages_of(settings)
    assert (first.name, first.epochs, first.settings.train.batch_size) == (
        "short",
        1,
        8,
    )
    assert first.settings.train.learning_rate == 0.01
    assert (second.name, second.number, second.epochs) == ("2", 2, 5)
    assert second.settings.train.batch_size == 32
    assert second.settings.train.learning_rate == 0.001
    assert second.settings.model.dropout == 0.2
    assert second.settings.data.seq_len == 64
    assert second.reset_optimizer
    assert second.continues
    assert not first.continues
    assert settings.train.batch_size == 8
    assert second.settings.stage == ()


def test_without_stages_the_whole_training_is_one():
    (only,) = stages_of(load_settings(None, {"train.max_epochs": 7}))
    assert (only.epochs, only.steps, only.number) == (7, None, 1)


def test_a_stage_wins_over_whatever_sets_the_setting_of_the_run(write):
    write({"c.toml": SOUND})
    flags = [("train.learning_rate", "0.5"), ("train.batch_size", "2")]
    settings = resolve("c.toml", flags).settings
    rates = [plan.settings.train.learning_rate for plan in stages_of(settings)]
    sizes = [plan.settings.train.batch_size for plan in stages_of(settings)]
    assert (rates, sizes) == ([0.01, 0.5], [2, 32])


@pytest.mark.parametrize("name", ["1", "short"])
def test_a_flag_changes_a_stage_called_by_number_or_name(write, name):
    write({"c.toml": SOUND})
    resolved = resolve("c.toml", [(f"stage.{name}.train.learning-rate", "3e-4")])
    assert resolved.settings.stage[0].changes == (("train.learning_rate", 3e-4),)
    assert lines_with(show(resolved), "0.0003") == [
        f"train.learning_rate = 0.0003 # --stage.{name}.train.learning-rate, "
        "was 0.01 in c.toml:6"
    ]


def test_variables_and_derived_files_change_single_stages(write):
    write({"c.toml": SOUND, "d.toml": 'base = "c.toml"\n[stage.2]\nepochs = 6\n'})
    resolved = resolve("d.toml", [], {"SLM_STAGE__1__EPOCHS": "2"})
    assert [stage.epochs for stage in resolved.settings.stage] == [2, 6]
    assert "# d.toml:3, was 5 in c.toml:8" in " ".join(show(resolved).split())


def test_an_array_of_a_stronger_source_replaces_the_weaker_one(write):
    write({"c.toml": SOUND, "d.toml": 'base = "c.toml"\n[[stage]]\nsteps = 9\n'})
    (stage,) = load_settings("d.toml").stage
    assert (stage.name, stage.steps, stage.changes) == (None, 9, ())
    assert load_settings("c.toml", {"stage": []}).stage == ()


def test_max_epochs_and_n_layers_are_the_sums_of_their_tables(write):
    layers = "\n[[model.layer]]\nrepeat = 3\n[[model.layer]]\nn_heads = 4\n"
    write({"c.toml": SOUND + layers})
    resolved = resolve("c.toml")
    assert resolved.settings.train.max_epochs == 6
    assert resolved.settings.model.n_layers == 4
    heads = [layer.n_heads for layer in layers_of(resolved.settings.model)]
    assert heads == [8, 8, 8, 4]
    text = show(resolved)
    assert lines_with(text, "max_epochs = ") == [
        "# max_epochs = 6 # derived: the sum over [[stage]]"
    ]
    assert "n_layers" not in tomli.loads(text)["model"]


@pytest.mark.parametrize(
    ("text", "flags", "problem"),
    [
        ("", [("train.max_epochs", "3")], "--train.max_epochs = 3: the tables of "
         "[[stage]] add up to 6; leave it out, or change those"),
        ("\n[[model.layer]]\n", [("model.n_layers", "2")], "--model.n_layers = 2: the "
         "tables of [[model.layer]] add up to 1; leave it out, or change those"),
    ],
)  # fmt: skip
def test_a_sum_that_is_set_otherwise_is_refused(
    write, problems_of, text, flags, problem
):
    write({"c.toml": SOUND + text})
    assert problems_of(resolve, "c.toml", flags) == (problem,)


def test_a_sum_that_a_weaker_source_sets_gives_way(write):
    base = "train.max_epochs = 3\nmodel.n_layers = 5\n"
    write({"c.toml": f'base = "b.toml"\n{SOUND}\n[[model.layer]]', "b.toml": base})
    resolved = resolve("c.toml")
    assert resolved.settings.train.max_epochs == 6
    assert resolved.settings.model.n_layers == 1
    # Nor is it what anybody is asked of who gives the same again.
    assert resolved.setter(("train", "max_epochs")) is None
    assert resolved.setter(("model", "n_layers")) is None


BAD = [
    ("[[stage]]\nepochs = 1\nmodel.dim = 3", "c.toml:3: stage.1.model.dim = 3: changes "
     "the shape of the model; of [model] a stage may change dropout"),
    (STAGES, "c.toml:9: stage.2.train.patience = 3: holds for the whole training; set "
     "it outside of the stages"),
    ("[[stage]]\nepochs = 1\nseed = 3", "c.toml:3: stage.1.seed = 3: a stage may "
     "change train.*, data.*, optimizer.* and model.dropout"),
    ("[[stage]]\nepochs = 1\ntrain.max_epochs = 3", "c.toml:3: stage.1.train.max_epochs "
     "= 3: a stage lasts as long as its own epochs or steps say; set those"),
    ("[[stage]]\nepochs = 1\ntrain.learning_rat = 3", "c.toml:3: unknown setting "
     "'stage.1.train.learning_rat'; did you mean 'stage.1.train.learning_rate'?"),
    ("[[stage]]\nepochs = 1\n[[stage]]\nepoch = 1\nsteps = 1", "c.toml:4: unknown "
     "setting 'stage.2.epoch'; did you mean 'stage.2.epochs'?"),
    ("[[stage]]\nepochs = 0", "c.toml:2: stage.1.epochs = 0: must be at least 1, or "
     '"none"'),
    ("[[stage]]\nepochs = 1\ntrain.gamma = 2", "c.toml:3: stage.1.train.gamma = 2: must "
     "be above 0 and below 1"),
    ("[[stage]]\nepochs = 1\ndata.seq_len = 5000", "c.toml:3: stage.1.data.seq_len = "
     "5000: data.seq_len must be at most model.context; model.context = 4096 (default)"),
    ("[[stage]]\nname = 'a'", "c.toml:1: stage = 1 table: set either stage.1.epochs or "
     'stage.1.steps; stage.1.steps = "none" (default)'),
    ("stage = 3", "c.toml:1: stage = 3: is an array of tables: write [[stage]], or "
     "stage = [{...}]"),
    ("stage.1.epochs = 2", "c.toml:1: stage.1.epochs = 2: no such table; of [[stage]] "
     "there are none"),
    ("stage.short.epochs = 2", "c.toml:1: stage.short.epochs = 2: there is no stage "
     "called 'short'; stages have numbers"),
    ("[[model.layer]]\nn_haeds = 3", "c.toml:2: unknown setting 'model.layer.1.n_haeds'; "
     "did you mean 'model.layer.1.n_heads'?"),
    ("[[model.layer]]\nfeedforward.flavor = 'gl'", "c.toml:2: "
     'model.layer.1.feedforward.flavor = "gl": choose one of glu, grn, vanilla, or '
     "\"none\"; did you mean 'glu'?"),
    ("[model]\nlayer = [{n_heads = 4}, {repeat = 0}]", "c.toml:2: model.layer.2.repeat "
     "= 0: must be at least 1 and at most 10000"),
    ("[[optimizer.group]]\nmatch = 3", "c.toml:2: optimizer.group.1.match = 3: must be "
     "text"),
    ("[[stage]]\nepochs = 1\n[stage.trian]\ngamma = 0.5", "c.toml:3: unknown section "
     "'stage.1.trian'; did you mean 'stage.1.train'?"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), BAD)
def test_what_is_wrong_in_a_table_is_told_with_file_and_line(
    write, problems_of, text, problem
):
    write({"c.toml": text})
    assert problems_of(load_settings, "c.toml") == (problem,)


def test_a_stage_that_is_not_there_cannot_be_changed(write, problems_of):
    write({"c.toml": SOUND})
    assert problems_of(resolve, "c.toml", [("stage.3.steps", "4")]) == (
        "--stage.3.steps = 4: no such table; of [[stage]] there are 2, counted from 1",
    )
    (problem,) = problems_of(resolve, "c.toml", [("stage.shrot.steps", "4")])
    assert problem.endswith("there is no stage called 'shrot'; did you mean 'short'?")


def test_what_is_shown_loads_as_the_same_settings_and_is_shown_again(write):
    layers = "[[model.layer]]\nrepeat = 2\n[[model.layer]]\nfeedforward.factor = 2\n"
    groups = '[[optimizer.group]]\nmatch = "*"\nbetas = [0.5, 0.6]\n'
    write({"c.toml": SOUND + layers + groups})
    first = resolve("c.toml")
    for text in (show(first), show(first, changed=True), str(first.settings)):
        write({"shown.toml": text})
        second = resolve("shown.toml")
        assert second.settings == first.settings
        assert hash(second.settings) == hash(first.settings)
        assert str(second.settings) == str(first.settings)


def test_python_takes_tables_sections_and_dotted_names(write):
    write({"c.toml": SOUND})
    settings = load_settings("c.toml")
    table = {"epochs": 2, "train.batch_size": 4, "model": {"dropout": 0.3}}
    new = settings.replace(stage=[settings.stage[0], table])
    assert new.stage[0] == settings.stage[0]
    assert new.stage[1].changes == (("model.dropout", 0.3), ("train.batch_size", 4))
    assert new.train.max_epochs == 3
    assert new.replace(**{"stage.2.epochs": 9}).train.max_epochs == 10
    without = new.replace(stage=())
    assert without == without.replace(stage=[])
    assert without.stage == ()
    with pytest.raises(SettingsError, match=r"stage\.3\.epochs = 1: no such table"):
        new.replace(**{"stage.3.epochs": 1})


def test_settings_of_python_keep_their_stages_when_resolved(write):
    write({"c.toml": SOUND})
    settings = load_settings("c.toml")
    resolved = Resolved.of(settings)
    write({"shown.toml": show(resolved)})
    assert load_settings("shown.toml") == settings
    assert resolved.with_values({"name": "x"}, "here").settings.stage == settings.stage


def test_tables_are_lists_of_tables_in_json(write):
    write({"c.toml": SOUND})
    settings = load_settings("c.toml")
    whole = json.loads(json.dumps(plain(settings)))
    assert whole["stage"][1]["train"] == {"batch_size": 32, "scaling": "cosine"}
    assert changed_values(settings)["stage"] == whole["stage"]
    assert whole["model"]["layer"] == []
    assert load_settings(None, {"stage": whole["stage"]}).stage == settings.stage


def test_unsetting_in_a_stage_unsets(write):
    stage = '[[stage]]\nepochs = 1\ntrain.eval_freq = "none"'
    write({"c.toml": f"[train]\neval_freq = 3\n{stage}"})
    (only,) = stages_of(load_settings("c.toml"))
    assert only.settings.train.eval_freq is None
    assert Settings().stage == ()


def test_none_is_a_gate_of_a_layer_and_does_not_unset_it(write):
    write({"c.toml": '[[model.layer]]\nfeedforward.gate = "none"\nn_heads = "none"'})
    (layer,) = load_settings("c.toml").model.layer
    assert (layer.feedforward.gate, layer.n_heads) == ("none", None)
    write({"shown.toml": show(resolve("c.toml"))})
    assert load_settings("shown.toml").model.layer == (layer,)
