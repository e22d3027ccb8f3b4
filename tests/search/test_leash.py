import os
import signal
import subprocess
import sys

from slangmod.search.leash import LEASH, put_on

LEASHED = """
import os, sys, time
from slangmod.search.leash import put_on
put_on(os.environ)
print("ready", flush=True)
time.sleep(60)
"""


def test_a_process_on_a_leash_ends_when_nobody_holds_the_other_end():
    process = subprocess.Popen(
        [sys.executable, "-c", LEASHED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, LEASH: "1"},
    )
    assert process.stdout.readline() == b"ready\n"
    process.stdin.close()
    assert process.wait(timeout=30) == -signal.SIGTERM
    process.stdout.close()


def test_without_being_told_nothing_is_followed():
    environment = {"OTHER": "1"}
    put_on(environment)
    assert environment == {"OTHER": "1"}
