"""The script for SLURM, with commands in PATH that do what SLURM's do."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tomli

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "slurm.sh"

SRUN = """\
#!{python}
import os, signal, subprocess, sys
words = sys.argv[1:]
while words[0].startswith("-"):
    words = words[1:]
size = int(os.environ["FAKE_TASKS"])
place = {{"SLURM_STEP_ID": "0", "SLURM_NTASKS": str(size)}}
tasks = [
    subprocess.Popen(words, env={{**os.environ, **place, "SLURM_PROCID": str(rank)}})
    for rank in range(size)
]
# SLURM signals the tasks of a step; whoever asks this process asks them.
def pass_on(number, frame):
    for task in tasks:
        task.send_signal(number)
signal.signal(signal.SIGUSR1, pass_on)
if "torchrun" in words[0]:
    open("step.pid", "w").write(str(os.getpid()))
sys.exit(max(abs(task.wait()) for task in tasks))
"""
SCONTROL = """\
#!/bin/sh
if [ "$1" = show ]; then echo 127.0.0.1; echo other; else echo "$@" >> requeued; fi
"""
SBATCH = """\
#!/bin/sh
exec bash "$@"
"""
REAL = {
    "slangmod": '#!/bin/sh\nexec {python} -m slangmod "$@"\n',
    "torchrun": '#!/bin/sh\nexec {python} -m torch.distributed.run "$@"\n',
}
NOTING = {
    "slangmod": """\
#!/bin/sh
echo "slangmod $@" >> told
if [ "$1" = summarize ]; then
    steps=${FAKE_STEPS:-$(grep -c torchrun told)}
    echo '[{"outcome": {"reason": "'$FAKE_REASON'", "steps": "'$steps'"}}]'
fi
""",
    "torchrun": '#!/bin/sh\necho "torchrun $@" >> told\nexit $FAKE_CODE\n',
}


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Submits the script in an empty folder; commands are those given."""
    monkeypatch.chdir(tmp_path)

    def start(commands, *words, tasks=1, **more):
        place = tmp_path / "bin"
        place.mkdir(exist_ok=True)
        known = {"srun": SRUN, "scontrol": SCONTROL, "sbatch": SBATCH}
        for name, content in {**known, **commands}.items():
            shown = content if "{python}" not in content else content.format(
                python=sys.executable
            )  # fmt: skip
            (place / name).write_text(shown)
            (place / name).chmod(0o755)
        environment = {
            **os.environ,
            "PATH": f"{place}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "SLURM_JOB_ID": str(os.getpid()),
            "SLURM_JOB_NODELIST": "one,other",
            "SLURM_JOB_NUM_NODES": str(tasks),
            "FAKE_TASKS": str(tasks),
            **more,
        }
        return subprocess.Popen(
            ["sbatch", str(SCRIPT), *words],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def ended(job):
    _, errors = job.communicate(timeout=240)
    return job.returncode, errors


def test_the_script_is_sound_and_says_what_it_wants(cluster):
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    code, errors = ended(cluster(NOTING))
    assert code == 1
    assert "first say which TOML file" in errors
    assert SCRIPT.read_text().count("\n#SBATCH --") == 10
    assert not SCRIPT.stat().st_mode & stat.S_IWOTH


@pytest.mark.parametrize(
    ("code", "reason", "result", "requeued"),
    [
        ("0", "max_steps", 0, False),
        ("1", "stopped", 75, True),
        ("75", "stopped", 75, True),
        ("1", "failed", 1, False),
    ],
)
def test_a_stopped_run_is_queued_again_and_no_other(
    cluster, code, reason, result, requeued
):
    words = ("c.toml", "first", "--seed", "5")
    job = cluster(NOTING, *words, FAKE_CODE=code, FAKE_REASON=reason)
    assert ended(job)[0] == result
    assert Path("requeued").exists() == requeued
    made, _, trained, *_ = Path("told").read_text().splitlines()
    assert made == "slangmod clean tokenize encode --toml c.toml --seed 5"
    assert "--nnodes=1 --nproc-per-node=1 --rdzv-backend=c10d" in trained
    port = 20_000 + os.getpid() % 20_000
    assert f"--rdzv-endpoint=127.0.0.1:{port} " in trained
    assert f"--rdzv-id={os.getpid()}-0 " in trained
    wanted = "-m slangmod train --continue --toml c.toml --name first --seed 5"
    assert trained.endswith(wanted)


def test_a_run_that_was_stopped_once_and_then_fails_is_not_queued_again(cluster):
    known = {"FAKE_CODE": "1", "FAKE_REASON": "stopped", "FAKE_STEPS": "7"}
    assert ended(cluster(NOTING, "c.toml", "first", **known))[0] == 1
    assert not Path("requeued").exists()


@pytest.mark.parametrize("words", [["--workdir", "a b"], ["--workdir=a b"]])
def test_the_run_is_looked_for_where_it_is(cluster, words):
    job = cluster(NOTING, "c.toml", "first", *words, FAKE_CODE="1", FAKE_REASON="x")
    assert ended(job)[0] == 1
    told = Path("told").read_text().splitlines()
    asked = f"slangmod summarize first --toml c.toml {' '.join(words)}"
    assert [line for line in told if "summarize" in line] == [asked] * 2


CONFIG = """
workdir = "work"
progress = false
threads = 1
[files]
raw = "raw"
[tokens]
algo = "byte"
[data]
seq_len = 16
device = "cpu"
[model]
dim = 16
n_heads = 2
n_layers = 1
context = 32
compile = false
[train]
batch_size = 4
max_steps = {steps}
warmup = 5
[checkpoint]
every = 50
"""


def write_work(steps):
    Path("raw").mkdir()
    for split, count in (("train", 900), ("test", 20), ("validation", 20)):
        Path("raw", f"{split}.txt").write_text("the cat sat on the mat. " * count)
    Path("c.toml").write_text(CONFIG.format(steps=steps))


def outcome():
    path = Path("work/runs/first/summary.toml")
    return tomli.loads(path.read_text())["outcome"]


@pytest.mark.slow
@pytest.mark.parametrize(("nodes", "gpus"), [(1, "2"), (2, "1")])
def test_two_processes_train_on_one_machine_or_on_two(cluster, nodes, gpus):
    write_work(steps=20)
    job = cluster(REAL, "c.toml", "first", tasks=nodes, SLURM_GPUS_ON_NODE=gpus)
    code, errors = ended(job)
    assert code == 0, errors
    assert outcome()["steps"] == 20
    assert not Path("requeued").exists()


@pytest.mark.slow
def test_a_run_that_is_out_of_time_goes_on_when_it_is_queued_again(cluster):
    write_work(steps=400)
    start = ("c.toml", "first")
    job = cluster(REAL, *start, SLURM_GPUS_ON_NODE="2")
    steps = Path("work/runs/first/steps.csv")
    deadline = time.monotonic() + 120
    while not steps.exists() or steps.read_text().count("\n") < 30:
        assert time.monotonic() < deadline
        assert job.poll() is None, job.communicate()
        time.sleep(0.05)
    os.kill(int(Path("step.pid").read_text()), signal.SIGUSR1)
    code, errors = ended(job)
    assert code == 75, errors
    assert outcome()["reason"] == "stopped"
    assert Path("requeued").read_text() == f"requeue {os.getpid()}\n"
    again = cluster(REAL, *start, SLURM_GPUS_ON_NODE="2", SLURM_RESTART_COUNT="1")
    code, errors = ended(again)
    assert code == 0, errors
    assert outcome()["reason"] == "max_steps"
    assert outcome()["steps"] == 400
    numbers = [line.split(",")[0] for line in steps.read_text().splitlines()[1:]]
    assert numbers == [str(step) for step in range(1, 401)]
