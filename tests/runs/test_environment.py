import platform

import numpy
import pytest

from slangmod.runs import environment as module
from slangmod.runs.environment import cpu_name, environment, version_of


def test_versions_device_and_threads_are_there():
    facts = environment("cpu", 2)
    assert facts["device"] == "cpu"
    assert facts["threads"] == 2
    assert facts["python"] == platform.python_version()
    assert facts["numpy"] == numpy.__version__


def test_a_package_that_is_missing_has_no_version():
    assert version_of("no-such-package-anywhere") is None


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("processor : 0\nmodel name\t: A Chip @ 3 GHz\n", "A Chip @ 3 GHz"),
        ("nothing of that kind\n", platform.processor() or platform.machine()),
    ],
)
def test_the_processor_calls_itself_something(tmp_path, monkeypatch, content, name):
    path = tmp_path / "cpuinfo"
    path.write_text(content)
    monkeypatch.setattr(module, "CPU_INFO", path)
    assert cpu_name() == name
    path.unlink()
    assert cpu_name() == (platform.processor() or platform.machine())
