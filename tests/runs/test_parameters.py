from slangmod.runs.parameters import parameters_of
from slangmod.settings.catalog import catalog
from slangmod.settings.course import nothing_at_hand
from slangmod.settings.derived import DERIVED
from slangmod.settings.sections import Settings, Stage


def test_every_setting_is_there_under_its_full_name():
    known = parameters_of(Settings(), nothing_at_hand)
    free = {".".join(one.path) for one in catalog().values() if one.free}
    assert {".".join(one.path) for one in catalog().values()} - free <= known.keys()
    assert known["train.learning_rate"] == 0.001
    assert known["train.patience"] == "none"
    assert known["model.compile"] is True
    assert known["track.backends"] == '["csv"]'


def test_derived_values_free_tables_and_arrays_are_there_too():
    settings = Settings.model_validate(
        {"train": {"step_freq": 4}, "extra": {"who": {"is": "me"}, "n": 3}}
    ).replace(stage=(Stage(epochs=1, changes=(("train.learning_rate", 0.01),)),))
    known = parameters_of(settings, nothing_at_hand)
    assert known["train.effective_batch_size"] == 256
    assert known["extra.who.is"] == "me"
    assert known["extra.n"] == 3
    assert known["stage.1.train.learning_rate"] == 0.01
    assert known["stage.1.epochs"] == 1


def test_what_needs_data_is_left_out_without_them():
    known = parameters_of(Settings(), nothing_at_hand)
    assert "train.steps_per_epoch" in DERIVED
    assert "train.steps_per_epoch" not in known
    assert "model.n_parameters" in known
    assert "train.lr_schedule" not in known


def test_passwords_are_not_told():
    settings = Settings().replace(
        **{"track.uri": "postgresql://me:hunter2@host/runs", "extra": {"a": "x:y@z"}}
    )
    known = parameters_of(settings, nothing_at_hand)
    assert known["track.uri"] == "postgresql://me:***@host/runs"
    assert known["extra.a"] == "x:y@z"
