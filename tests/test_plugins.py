"""Classes of others: imported where allowed, refused in one line where not sound."""

import subprocess
import sys

import pytest
import torch

from slangmod.errors import SettingsError
from slangmod.plugins import load_class

MODULE = """\
import torch

class Fast(torch.optim.SGD):
    pass

def build():
    return Fast

nothing = None
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of somebody: ``mine`` with ``gates``, ``broken``, ``quits``."""
    folder = tmp_path / "mine_of_tests"
    folder.mkdir()
    files = {
        "__init__": "",
        "fast": MODULE,
        "broken": "raise RuntimeError('two\\nlines')",
        "quits": "raise SystemExit(3)",
        "syntax": "def",
    }
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield "mine_of_tests"
    for name in [name for name in sys.modules if name.startswith("mine_of_tests")]:
        del sys.modules[name]


def load(word, allow=()):
    return load_class("train.optimizer", word, allow, torch.optim.Optimizer)


def test_classes_of_torch_and_slangmod_are_there_without_asking():
    assert load("torch.optim:RAdam") is torch.optim.RAdam
    assert load("slangmod.optim.bfgs:LBFGS").__name__ == "LBFGS"


def test_a_class_of_an_allowed_package_is_imported(package):
    found = load(f"{package}.fast:Fast", [package])
    assert issubclass(found, torch.optim.SGD)


def test_nothing_is_imported_that_is_not_allowed(package):
    with pytest.raises(SettingsError, match=r"plugins\.allow"):
        load(f"{package}.broken:Fast")
    assert f"{package}.broken" not in sys.modules


FAULTS = [
    ("fast:Fats", "there is no Fats in mine_of_tests.fast; did you mean 'Fast'?"),
    ("fast:nothing", "there is no nothing in mine_of_tests.fast"),
    ("fast:build", "build is no class"),
    ("fast:torch", "torch is no class"),
    ("nowhere:Fast", "mine_of_tests.nowhere cannot be imported: ModuleNotFoundError"),
    ("broken:Fast", "mine_of_tests.broken cannot be imported: RuntimeError: two lines"),
    ("quits:Fast", "mine_of_tests.quits cannot be imported: SystemExit: 3"),
    ("syntax:Fast", "mine_of_tests.syntax cannot be imported: SyntaxError"),
]


@pytest.mark.parametrize(("name", "reason"), FAULTS)
def test_what_is_no_such_class_is_told_in_one_line(package, name, reason):
    with pytest.raises(SettingsError) as caught:
        load(f"{package}.{name}", [package])
    (problem,) = caught.value.problems
    assert problem.startswith(f'train.optimizer = "{package}.{name}": {reason}')
    assert "\n" not in problem


def test_a_class_of_another_base_is_refused():
    with pytest.raises(SettingsError, match="must be a subclass of torch's Optimizer"):
        load("torch.nn:Sigmoid")


def test_settings_with_classes_are_read_without_importing_them():
    code = (
        "import sys; from slangmod.settings import load_settings; "
        "load_settings(None, {'train.optimizer': 'torch.optim:RAdam'}); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
