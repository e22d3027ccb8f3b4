"""The manual's table of promises is what the proofs were last run with."""

import importlib.util
import json
from pathlib import Path

import pytest

from tests.reliability.promises import PROMISES

ROOT = Path(__file__).parents[1]
REPORT = """\
<testsuites><testsuite>
<testcase classname="tests.reliability.test_kills" name="test_it[1]" time="1.5">
<properties><property name="promise" value="R1"/><property name="trials" value="40"/>
</properties></testcase>
<testcase classname="tests.reliability.test_kills" name="test_it[2]" time="0.5">
<failure message="no"/></testcase>
<testcase classname="tests.reliability.test_kills" name="test_it[3]" time="0">
<skipped/></testcase>
<testcase classname="tests.reliability.test_kills" name="test_the_tests" time="9"/>
</testsuite></testsuites>
"""


@pytest.fixture
def program():
    path = ROOT / "benchmarks" / "reliability.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_reliability", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_made_from_the_results(program) -> None:
    result = json.loads(program.RESULT.read_text("utf-8"))
    assert program.TABLE.read_text("utf-8") == program.table(result)


def test_the_results_are_about_the_promises_there_are(program) -> None:
    result = json.loads(program.RESULT.read_text("utf-8"))
    told = {name: about["sentence"] for name, about in result["promises"].items()}
    assert told == PROMISES


def test_a_failure_counts_for_the_promise_that_its_test_was_to_prove(
    program, tmp_path, monkeypatch
) -> None:
    (tmp_path / "test_kills.py").write_text(
        'def test_it():\n    promise(\n    "R1", 3)\n'
    )
    (tmp_path / "report.xml").write_text(REPORT)
    monkeypatch.setattr(program, "TESTS", tmp_path)
    ((name, files),) = program.proofs_of([tmp_path / "report.xml"]).items()
    assert name == "R1"
    proof = files["test_kills.py"]
    assert (proof.tests, proof.trials, proof.skipped, proof.seconds) == (2, 40, 1, 2.0)
    assert proof.failures == ["test_it[2]"]
    cells = program.of_all({"test_kills.py": vars(proof)})
    assert cells["kept"] == "**1 of 2 tests failed**, 1 skipped"
