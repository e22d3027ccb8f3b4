import subprocess
import sys
from typing import get_args

import pytest

from slangmod.errors import SettingsError
from slangmod.runs import trackers
from slangmod.runs.directory import RunDir
from slangmod.runs.trackers import (
    CSV,
    TRACKERS,
    backends_of,
    check_trackers,
    is_installed,
    open_tracking,
)
from slangmod.settings.course import nothing_at_hand
from slangmod.settings.sections import Settings
from slangmod.settings.watching import Track


def asking(*backends, **track):
    return Settings.model_validate({"track": {"backends": backends, **track}})


def test_the_table_and_the_setting_know_the_same_words():
    (words,) = {
        get_args(one)
        for one in get_args(Track.model_fields["backends"].annotation)
        if get_args(one)
    }
    assert set(words) == {CSV, *TRACKERS}


def test_each_tracker_is_told_once_and_csv_is_none():
    assert backends_of(asking("mlflow", "csv", "mlflow")) == ("mlflow",)
    assert backends_of(Settings()) == ()


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_package_is_an_error_that_says_how_to_get_it(monkeypatch, name):
    monkeypatch.setattr(trackers, "find_spec", {}.get)
    with pytest.raises(SettingsError) as caught:
        check_trackers(asking(name))
    assert caught.value.problems == (
        f'track.backends: "{name}" needs the package: pip install slangmod[{name}]',
    )


def test_a_folder_that_is_called_like_a_package_is_none(tmp_path, monkeypatch):
    (tmp_path / "slangmod_tracker").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not is_installed("slangmod_tracker")
    (tmp_path / "slangmod_tracker" / "__init__.py").touch()
    assert is_installed("slangmod_tracker")


def test_an_address_that_mlflow_cannot_know_is_refused(monkeypatch):
    monkeypatch.setattr(trackers, "is_installed", bool)
    with pytest.raises(SettingsError, match=r"track\.uri"):
        check_trackers(asking("mlflow", uri="htp://x"))
    check_trackers(asking("tensorboard", uri="htp://x"))


def test_a_package_that_is_broken_is_left_out_with_a_warning(
    tmp_path, monkeypatch, caplog
):
    def breaks(subject):
        raise OSError("libfoo.so is missing")

    monkeypatch.setitem(TRACKERS, "mlflow", breaks)
    tracking = open_tracking(RunDir(tmp_path), asking("mlflow"), nothing_at_hand)
    assert "mlflow: is left out, it cannot be loaded: libfoo.so" in caplog.text
    tracking.close(None)


def test_trackers_get_settings_as_the_run_keeps_them(tmp_path, monkeypatch):
    seen = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(TRACKERS, "mlflow", seen.append)
    open_tracking(RunDir(tmp_path / "first"), asking("mlflow"), nothing_at_hand, step=3)
    (subject,) = seen
    assert subject.parameters["name"] == "first"
    assert subject.parameters["workdir"] == str(tmp_path)
    assert (subject.step, subject.workdir) == (3, tmp_path)


def test_nothing_is_loaded_that_is_not_asked_for():
    code = (
        "import sys, slangmod.commands.train, slangmod.commands.resume;"
        "print(sorted({'mlflow', 'tensorboard'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
