import pytest

from slangmod.errors import SettingsError
from slangmod.search.grammar import stand_in
from slangmod.settings.load import resolve, tried


def test_what_to_try_is_gathered_from_all_sources(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[train]\nbatch_size = "choice(32, 64)"\n')
    found = resolve(
        file,
        [("model.norm_cls", "choice(layer, rms)")],
        {"SLM_DATA__SEQ_LEN": "range(8, 64, 8)"},
        searching=stand_in,
    )
    assert found.settings.sweep.space.plain() == {
        "train.batch_size": "choice(32, 64)",
        "data.seq_len": "range(8, 64, 8)",
        "model.norm_cls": "choice(layer, rms)",
    }
    assert found.settings.train.batch_size == 32
    assert found.settings.data.seq_len == 8


def test_settings_that_are_searched_do_not_clash_before_they_are_chosen():
    flags = [("model.dim", "60"), ("model.n_heads", "choice(8, 6)")]
    found = resolve(flags=flags, searching=stand_in)
    assert tried(found, {"model.n_heads": 6}, "").settings.model.n_heads == 6
    with pytest.raises(SettingsError, match="multiple of n_heads"):
        tried(found, {"model.n_heads": 8}, "")


def test_what_is_tried_is_computed_from_what_weaker_sources_say(tmp_path):
    (tmp_path / "base.toml").write_text("[train]\nwarmup = 100\nmax_steps = 50\n")
    file = tmp_path / "c.toml"
    file.write_text(
        'base = "base.toml"\n[train]\nwarmup = "= base.train.warmup * 2"\n'
        'cooldown = "= train.warmup + train.max_steps"\n'
    )
    found = tried(resolve(file), {"train.max_steps": 7}, "trial 1")
    assert found.settings.train.warmup == 200
    assert found.settings.train.cooldown == 207
    assert found.origin(("train", "max_steps")).startswith("trial 1")
