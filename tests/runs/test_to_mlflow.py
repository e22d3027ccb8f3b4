import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from threading import Thread
from types import SimpleNamespace

import pytest

from slangmod.locks import locked
from slangmod.runs.directory import RunDir
from slangmod.runs.to_mlflow import Store, named, open_mlflow
from slangmod.runs.tracker import Ending, Row, Subject

ROWS = [Row(step, 100.5 + step, {"loss": 1 / step}) for step in range(1, 2501)]


class GoneError(Exception):
    def __init__(self, error_code):
        super().__init__(error_code)
        self.error_code = error_code


class Mlflow:
    """As much of mlflow as is used: client, server and module in one."""

    MlflowException = GoneError
    entities = SimpleNamespace(
        Param=lambda key, value: (key, value),
        RunTag=lambda key, value: (key, value),
        Metric=lambda *about: about,
    )

    def __init__(self):
        self.experiments, self.runs = {}, {}
        self.batches = defaultdict(list)
        self.artifacts = []
        self.trouble = None

    def MlflowClient(self, tracking_uri):  # noqa: N802
        self.uri = tracking_uri
        return self

    def get_experiment_by_name(self, name):
        return self.experiments.get(name)

    def create_experiment(self, name, artifact_location):
        number = str(len(self.experiments))
        self.experiments[name] = SimpleNamespace(
            experiment_id=number, place=artifact_location
        )
        return number

    def create_run(self, experiment_id, tags, run_name):
        run = SimpleNamespace(
            info=SimpleNamespace(
                run_id=f"id{len(self.runs)}",
                status="RUNNING",
                experiment_id=experiment_id,
                lifecycle_stage="active",
                name=run_name,
            ),
            data=SimpleNamespace(params={}, tags=dict(tags), metrics=[]),
        )
        self.runs[run.info.run_id] = run
        return run

    def get_run(self, run_id):
        if self.trouble:
            raise self.trouble
        if run_id not in self.runs:
            raise GoneError("RESOURCE_DOES_NOT_EXIST")
        return self.runs[run_id]

    def update_run(self, run_id, status):
        self.runs[run_id].info.status = status

    def log_batch(self, run_id, metrics=(), params=(), tags=()):
        data = self.runs[run_id].data
        for name, value in params:
            assert data.params.setdefault(name, value) == value
        data.tags.update(tags)
        data.metrics += metrics
        for kind, what in (("metrics", metrics), ("params", params), ("tags", tags)):
            if what:
                self.batches[kind].append(len(what))

    def log_artifact(self, run_id, path):
        self.artifacts.append((run_id, path, None))

    def log_artifacts(self, run_id, path, artifact_path):
        self.artifacts.append((run_id, path, artifact_path))

    def set_terminated(self, run_id, status):
        self.runs[run_id].info.status = status


@pytest.fixture
def subject(tmp_path):
    run = RunDir.of(tmp_path, "first")
    run.root.mkdir(parents=True)
    parameters = {"seed": 100, "train.learning_rate": 0.01, "model.compile": True}
    return Subject(run, parameters, None, "words", tmp_path)


def opened(mlflow, subject, store=None, **changed):
    parameters = dict(named({**subject.parameters, **changed}))
    return Store(subject, parameters, store or database(subject), mlflow)()


def database(subject):
    return f"sqlite:///{subject.workdir}/mlflow.db"


def test_a_run_is_made_with_all_parameters(subject, tmp_path):
    mlflow = Mlflow()
    opened(mlflow, subject)
    (run,) = mlflow.runs.values()
    assert run.info.name == "first"
    assert run.data.params == {
        "seed": "100",
        "train.learning_rate": "0.01",
        "model.compile": "true",
    }
    assert mlflow.experiments["words"].place == (tmp_path / "mlartifacts").as_uri()
    kept = json.loads((tmp_path / "runs/first/tracking.json").read_text())["mlflow"]
    assert kept["run_id"] == "id0"


@pytest.mark.parametrize("store", ["http://host:5000", "/abs/mlruns"])
def test_servers_and_folders_choose_where_files_are(subject, store):
    mlflow = Mlflow()
    opened(mlflow, subject, store)
    assert mlflow.uri == store
    assert mlflow.experiments["words"].place is None


def test_a_resumed_run_goes_on_in_the_same_run_and_says_nothing_twice(subject):
    mlflow = Mlflow()
    opened(mlflow, subject).end(Ending("KILLED", {}))
    before = dict(mlflow.batches)
    opened(mlflow, subject)
    assert len(mlflow.runs) == 1
    assert mlflow.runs["id0"].info.status == "RUNNING"
    assert mlflow.batches == before


def test_what_resume_changed_is_a_tag_because_parameters_never_change(subject):
    mlflow = Mlflow()
    opened(mlflow, subject)
    opened(mlflow, subject, seed=7, new=1)
    data = mlflow.runs["id0"].data
    assert data.params["seed"] == "100"
    assert data.params["new"] == "1"
    assert data.tags["resumed.seed"] == "7"
    tags = mlflow.batches["tags"].copy()
    opened(mlflow, subject, seed=7, new=1)
    assert mlflow.batches["tags"] == tags


def test_a_run_that_is_gone_from_the_store_is_made_anew(subject):
    mlflow = Mlflow()
    opened(mlflow, subject)
    mlflow.runs["id0"].info.lifecycle_stage = "deleted"
    opened(mlflow, subject)
    assert list(mlflow.runs) == ["id0", "id1"]
    opened(other := Mlflow(), subject)
    assert list(other.runs) == ["id0"]


def test_a_server_in_trouble_does_not_make_it_a_new_run(subject):
    mlflow = Mlflow()
    opened(mlflow, subject)
    mlflow.trouble = GoneError("INTERNAL_ERROR")
    with pytest.raises(GoneError):
        opened(mlflow, subject)
    assert list(mlflow.runs) == ["id0"]


def test_a_run_is_made_once_though_its_id_cannot_be_written(subject, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    mlflow = Mlflow()
    store = Store(subject, {}, database(subject), mlflow)
    with monkeypatch.context() as patch:
        patch.setattr("slangmod.runs.to_mlflow.write_json", full)
        for _ in range(3):
            with pytest.raises(OSError, match="space"):
                store()
    store()
    assert list(mlflow.runs) == ["id0"]


def test_processes_open_a_database_one_after_the_other(subject, tmp_path):
    mlflow = Mlflow()
    with locked(tmp_path / "mlflow.db.lock", "the store"):
        thread = Thread(target=opened, args=(mlflow, subject), daemon=True)
        thread.start()
        thread.join(0.3)
        assert not mlflow.runs
    thread.join(60)
    assert list(mlflow.runs) == ["id0"]


def test_a_broken_tracking_json_begins_another_run(subject):
    mlflow = Mlflow()
    opened(mlflow, subject)
    for text in ("", "[1]", '{"mlflow": 3}', '{"other": {}}'):
        subject.run.tracking.write_text(text)
        opened(mlflow, subject)
    assert len(mlflow.runs) == 5


def test_numbers_and_parameters_come_in_batches_that_mlflow_takes(subject):
    mlflow = Mlflow()
    many = {f"extra.n{number}": number for number in range(250)}
    run = opened(mlflow, subject, **many)
    run.send(ROWS)
    assert mlflow.batches["params"] == [100, 100, 53]
    assert mlflow.batches["metrics"] == [1000, 1000, 500]
    assert mlflow.runs["id0"].data.metrics[:2] == [
        ("loss", 1.0, 101500, 1),
        ("loss", 0.5, 102500, 2),
    ]


def test_names_become_such_as_mlflow_takes_and_stay_different():
    assert dict(named({"extra.a b-c_d:1": 1, "extra.a/b?": 2, "extra.a_b!": 3})) == {
        "extra.a b-c_d:1": "1",
        "extra.a_b_": "2",
        "extra.a_b__": "3",
    }
    long = dict(named({"x" * 300: 1, "x" * 299: 2}))
    assert [len(name) for name in long] == [250, 250]


def test_the_end_tells_facts_files_and_status(subject):
    mlflow = Mlflow()
    subject.run.model.mkdir()
    files = (subject.run.summary, subject.run.model)
    run = opened(mlflow, subject)
    run.end(Ending("FINISHED", {"outcome.reason": "x" * 9999}, files))
    data = mlflow.runs["id0"]
    assert data.data.tags["outcome.reason"] == "x" * 5000
    assert data.info.status == "FINISHED"
    assert mlflow.artifacts == [
        ("id0", str(files[0]), None),
        ("id0", str(files[1]), "model"),
    ]


@pytest.fixture(scope="module")
def quiet_home(tmp_path_factory):
    """Nothing of mlflow leads to the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.mark.slow
@pytest.mark.parametrize("place", [None, "mlruns"])
def test_mlflow_itself_keeps_all_of_it(
    subject, place, tmp_path, monkeypatch, capfd, caplog, quiet_home
):
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    long = {**subject.parameters, "extra.long": "x" * 7000, "extra.empty": ""}
    asked = Subject(subject.run, long, place, "words", tmp_path)
    subject.run.config.write_text("seed = 100\n")
    for number in (0, 1):
        run = open_mlflow(asked)()
        run.send(ROWS[1000 * number : 1000 * number + 1000])
        run.send([Row(9, 1.0, {"bad": float("nan"), "worse": float("inf")})])
        run.end(Ending("FINISHED", {"outcome.reason": "x"}, (subject.run.config,)))
        run.close()
    kept = run._client.get_run(run._run_id)
    assert kept.data.params == {
        "seed": "100",
        "train.learning_rate": "0.01",
        "model.compile": "true",
        "extra.long": "x" * 6000,
        "extra.empty": "",
    }
    assert kept.info.status == "FINISHED"
    history = run._client.get_metric_history(run._run_id, "loss")
    assert sorted((one.step, one.value) for one in history) == [
        (row.step, row.values["loss"]) for row in ROWS[:2000]
    ]
    assert len(run._client.search_runs([kept.info.experiment_id])) == 1
    (file,) = run._client.list_artifacts(run._run_id)
    assert file.path == "config.toml"
    assert capfd.readouterr() == ("", "")
    assert {record.name.split(".")[0] for record in caplog.records} <= {"slangmod"}
    assert not (tmp_path / "mlruns").exists() or place == "mlruns"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def asked(url, content=None):
    data = None if content is None else json.dumps(content).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.slow
@pytest.mark.parametrize("place", [None, "mlruns"])
def test_the_server_of_mlflow_lists_the_run_with_all_parameters(
    subject, place, tmp_path, monkeypatch, quiet_home
):
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    tracked = Subject(subject.run, subject.parameters, place, "words", tmp_path)
    run = open_mlflow(tracked)()
    run.send(ROWS[:3])
    run.end(Ending("FINISHED", {}))
    store = json.loads(subject.run.tracking.read_text())["mlflow"]["store"]
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store]
    server = subprocess.Popen(
        [*command, "--port", url.rpartition(":")[2], "--workers", "1"],
        env={**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 200
        while True:
            try:
                name = "experiments/get-by-name?experiment_name=words"
                found = asked(f"{url}/api/2.0/mlflow/{name}")["experiment"]
                break
            except urllib.error.URLError:
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.5)
        query = {"experiment_ids": [found["experiment_id"]]}
        (listed,) = asked(f"{url}/api/2.0/mlflow/runs/search", query)["runs"]
    finally:
        server.terminate()
        server.wait(60)
    assert listed["info"]["run_name"] == "first"
    params = {one["key"]: one["value"] for one in listed["data"]["params"]}
    assert params == dict(named(subject.parameters))
    (metric,) = listed["data"]["metrics"]
    assert (metric["key"], metric["value"], metric["step"]) == ("loss", 1 / 3, 3)
