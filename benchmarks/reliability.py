"""Runs the proofs of tests/reliability, and keeps what each promise was shown by.

    python benchmarks/reliability.py [--quick] [--jobs N] [FILE ...]

Writes benchmarks/results/reliability.json and the table of the manual that is made from
it. ``--quick`` leaves out the slow proofs; ``--jobs`` runs N files of tests at a time,
many of which mostly wait for a disk or a clock. With the names of files, such as
test_signals, only these run, and what others have shown before stays. The exit code is
1 if a proof fails.
"""

import ast
import json
import re
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests" / "reliability"
RESULT = ROOT / "benchmarks" / "results" / "reliability.json"
TABLE = ROOT / "docs" / "reliability-table.inc"
CALL = re.compile(r"promise\(\s*\"(\w+)\"")

HEAD = """\
.. Made from benchmarks/results/reliability.json by benchmarks/reliability.py:
   change nothing here.

.. list-table::
   :header-rows: 1
   :widths: 8 44 22 9 8 9

   * - \\
     - promise
     - shown by
     - trials
     - kept
     - seconds
"""
ROW = """\
   * - {name}
     - {sentence}
     - {tests}
     - {trials}
     - {kept}
     - {seconds}
"""


@dataclass
class Proof:
    """What one file of tests has shown of one promise."""

    tests: int = 0
    trials: int = 0
    failures: list[str] = field(default_factory=list)
    skipped: int = 0
    seconds: float = 0.0


LONGEST = ("test_resumes", "test_kills", "test_signals", "test_kills_by_command")
"""Files of tests to begin with, where several run at a time."""
NONE_CHOSEN = 5
"""Exit code of pytest where all tests of a file are slow and were left out."""


def main(words: list[str]) -> int:
    asked = ArgumentParser(description="Runs the proofs of tests/reliability.")
    asked.add_argument("--quick", action="store_true", help="leave out slow proofs")
    asked.add_argument("--jobs", type=int, default=1, help="files of tests at a time")
    asked.add_argument("files", nargs="*", metavar="FILE", help="run only these")
    given = asked.parse_args(words)
    sys.path.insert(0, str(ROOT))
    from slangmod.runs.environment import environment
    from tests.reliability.promises import PROMISES

    files = sorted(
        TESTS.glob("test_*.py"), key=lambda path: (path.stem not in LONGEST, path.stem)
    )
    files = [path for path in files if not given.files or path.stem in given.files]
    with tempfile.TemporaryDirectory() as folder, ThreadPool(given.jobs) as pool:
        reports = [Path(folder) / f"{path.stem}.xml" for path in files]
        each = zip(files, reports, [given.quick] * len(files), strict=True)
        codes = pool.starmap(run, each, chunksize=1)
        proofs = proofs_of(reports)
    known = {name: as_plain(each) for name, each in proofs.items()}
    commands = [" ".join(["python benchmarks/reliability.py", *words])]
    jobs = given.jobs
    if given.files:
        before = json.loads(RESULT.read_text("utf-8"))
        known = laid_over(known, before, files)
        commands, jobs = before["commands"] + commands, before["jobs"]
    result = {
        "commands": commands,
        "environment": environment("cpu", 1),
        "jobs": jobs,
        "seconds": sum(p["seconds"] for each in known.values() for p in each.values()),
        "promises": {
            name: {"sentence": sentence, "proofs": known.get(name, {})}
            for name, sentence in PROMISES.items()
        },
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    TABLE.write_text(table(result), "utf-8")
    print(table(result))
    return int(any(codes))


Plain = dict[str, dict[str, Any]]
"""Proofs of a promise, by file."""


def as_plain(proofs: Mapping[str, Proof]) -> Plain:
    """For JSON."""
    return {name: asdict(proof) for name, proof in proofs.items()}


def laid_over(
    new: Mapping[str, Plain], old: Mapping[str, Any], files: Sequence[Path]
) -> dict[str, Plain]:
    """``new`` proofs of ``files``, and the ``old`` ones of all others."""
    again = {path.name for path in files}
    merged = {name: dict(each) for name, each in new.items()}
    for name, about in old["promises"].items():
        stay = {file: p for file, p in about["proofs"].items() if file not in again}
        merged[name] = stay | merged.get(name, {})
    return merged


def run(file: Path, report: Path, quick: bool) -> int:
    """Run the tests of ``file`` and have ``report`` written; -> pytest's exit code."""
    command = ["pytest", "-q", *([] if quick else ["-m", ""]), str(file)]
    command += ["-o", "junit_family=xunit1"]  # which can hold what tests have shown
    done = subprocess.run(
        [sys.executable, "-m", *command, f"--junitxml={report}"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    print(file.stem, done.stdout.strip().splitlines()[-1], flush=True)
    if done.returncode not in (0, NONE_CHOSEN):
        print(done.stdout, done.stderr, flush=True)
    return 0 if done.returncode == NONE_CHOSEN else done.returncode


def proofs_of(reports: Sequence[Path]) -> dict[str, dict[str, Proof]]:
    """What reports of pytest say, by promise and by file.

    A test that failed has not said what it was to prove; that is read in its source.
    """
    meant = {path.stem: dict(meant_by(path)) for path in TESTS.glob("test_*.py")}
    proofs: dict[str, dict[str, Proof]] = {}
    for case in (c for r in reports for c in ElementTree.parse(r).iter("testcase")):
        file = case.attrib["classname"].split(".")[-1]
        test = case.attrib["name"].partition("[")[0]
        told = {p.attrib["name"]: p.attrib["value"] for p in case.iter("property")}
        name = told.get("promise", meant.get(file, {}).get(test))
        if name is None:
            continue  # a test of the tests themselves
        proof = proofs.setdefault(name, {}).setdefault(f"{file}.py", Proof())
        proof.seconds += float(case.attrib["time"])
        if case.find("skipped") is not None:
            proof.skipped += 1
            continue
        proof.tests += 1
        proof.trials += int(told.get("trials", 0))
        if case.find("failure") is not None or case.find("error") is not None:
            proof.failures.append(case.attrib["name"])
    return proofs


def meant_by(path: Path) -> Iterator[tuple[str, str]]:
    """Each test in ``path``, and the promise that it is to prove."""
    text = path.read_text("utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            call = CALL.search(ast.get_source_segment(text, node) or "")
            if call is not None:
                yield node.name, call[1]


def table(result: dict[str, Any]) -> str:
    """The table of the manual, in reStructuredText."""
    rows = "".join(
        ROW.format(name=name, sentence=about["sentence"], **of_all(about["proofs"]))
        for name, about in result["promises"].items()
    )
    machine = result["environment"]
    # More than one where some files were run again, and so are from another time.
    commands = ", then ".join(f"``{command}``" for command in result["commands"])
    return (
        f"{HEAD}{rows}\n{commands} on {machine['cpu']} "
        f"({machine['cpus']} cores), Python {machine['python']}, torch "
        f"{machine['torch']}, {result['seconds']:.0f} seconds in all, {result['jobs']} "
        "files of tests at a time.\n"
    )


def of_all(proofs: dict[str, dict[str, Any]]) -> dict[str, str]:
    """All proofs of a promise as the cells of a row."""
    failures = sum(len(proof["failures"]) for proof in proofs.values())
    tests = sum(proof["tests"] for proof in proofs.values())
    skipped = sum(proof["skipped"] for proof in proofs.values())
    kept = "all" if not failures else f"**{failures} of {tests} tests failed**"
    kept += f", {skipped} skipped" if skipped else ""
    if not tests:
        kept = "not tried"
    return {
        "tests": ", ".join(f"``{name}``" for name in proofs) or "\\",
        "trials": f"{sum(proof['trials'] for proof in proofs.values()):,}",
        "kept": kept,
        "seconds": f"{sum(proof['seconds'] for proof in proofs.values()):.0f}",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
