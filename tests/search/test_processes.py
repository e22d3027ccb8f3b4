import signal
import sys
import time

from slangmod.search.processes import Process, ending


def ended(process):
    deadline = time.monotonic() + 30
    while (code := process.poll()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return code


def python(code, environment):
    return Process([sys.executable, "-c", code], environment)


def test_the_last_error_of_a_process_is_known_and_its_settings_are_its_own():
    code = (
        "import os, sys;"
        "sys.stderr.write('noise\\nslangmod: error: no memory\\nbye\\n');"
        "sys.exit(3 + ('SLM_TRAIN__POWER' in os.environ))"
    )
    process = python(code, {"SLM_TRAIN__POWER": "1"})
    assert ended(process) == 3
    assert process.last_words() == "no memory"


def test_more_than_a_pipe_holds_does_not_stop_a_process():
    process = python("import sys; sys.stderr.write('x' * 400_000 + '\\nend')", {})
    assert ended(process) == 0
    assert process.last_words() == "end"


def test_a_process_is_asked_to_end():
    process = python("import time; time.sleep(60)", {})
    process.stop()
    assert ended(process) == -signal.SIGTERM
    process.stop()


def test_how_a_silent_process_ended_is_told():
    assert ending(1) == "ended with exit code 1"
    assert ending(-9) == "killed by SIGKILL, perhaps for want of memory"
    assert ending(-11) == "killed by SIGSEGV"
