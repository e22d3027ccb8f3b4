"""What libraries print is kept apart from what the program says."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from slangmod.text.breakdown import Silence

SAYS = """
import os, sys
from slangmod.commands.streams import keep_streams
from slangmod.text.breakdown import SILENCE

keep_streams()
with SILENCE:
    os.write(2, b"by a library\\n")
    with SILENCE:
        print("by the program", file=sys.stderr)
    os.write(2, b"by a library, still\\n")
os.write(2, b"afterwards\\n")
"""


@pytest.mark.parametrize(
    ("closed", "seen"), [("", "by the program\nafterwards\n"), ("2>&-", "")]
)
def test_the_program_is_heard_while_libraries_are_not(closed, seen) -> None:
    done = subprocess.run(
        ["bash", "-c", f'"$0" "$@" {closed}', sys.executable, "-c", SAYS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr == seen


def test_any_number_of_threads_may_be_inside(capfd) -> None:
    silence = Silence()

    def use(number: int) -> None:
        for _ in range(200):
            with silence:
                os.write(2, b"%d" % number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(8)))
    os.write(2, b"afterwards")
    assert capfd.readouterr().err == "afterwards"


def test_an_error_inside_brings_standard_error_back(capfd) -> None:
    with pytest.raises(ValueError, match="why"), Silence():
        raise ValueError("why")
    os.write(2, b"afterwards")
    assert capfd.readouterr().err == "afterwards"
