"""Tells mlflow of a run (extra ``mlflow``).

One run of slangmod is one run of mlflow, resumes included: its id is kept in the run's
tracking.json. Only mlflow's client is used, which asks neither git nor the shell.
"""

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import batched
from pathlib import Path
from typing import Any

from slangmod.errors import RunBusyError
from slangmod.files import write_json
from slangmod.locks import locked
from slangmod.reading import read_json
from slangmod.runs.stores import how_to_look, is_database, path_of, store_of
from slangmod.runs.tracker import Ending, Opener, Plain, Row, Subject
from slangmod.settings.literals import literal
from slangmod.settings.secrets import without_passwords

LOG = logging.getLogger(__name__)

MOST_METRICS, MOST_PARAMETERS = 1000, 100
"""What mlflow takes at once."""

LONGEST_PARAMETER, LONGEST_TAG, LONGEST_NAME = 6000, 5000, 250
"""Characters that mlflow keeps."""

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",  # from 3.13 on folders are refused without
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # it is Delivery that tries again
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds
    "GIT_PYTHON_REFRESH": "quiet",
}
"""How mlflow is to behave, unless the user has said otherwise."""

BETWEEN_TRIES = 0.1
"""Seconds."""

CHATTY = ("mlflow", "alembic")
"""Loggers that tell what concerns nobody here."""

FORBIDDEN = re.compile(r"[^\w.\- :]")
RESUMED = "resumed."
"""What a tag begins with that has the value of a setting changed by resume."""


def open_mlflow(subject: Subject) -> Opener:
    """What connects to the store of ``track.uri``; loads the package."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow

    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    store = store_of(subject.uri, subject.workdir, kept_of(subject.run.tracking))
    parameters = dict(named(subject.parameters))
    long = [name for name, text in parameters.items() if len(text) > LONGEST_PARAMETER]
    if long:
        LOG.warning(
            "mlflow keeps %d characters of a setting; config.toml has all of %s",
            LONGEST_PARAMETER,
            ", ".join(long),
        )
    LOG.info("mlflow shows the run: %s", how_to_look(store))
    cut = {name: text[:LONGEST_PARAMETER] for name, text in parameters.items()}
    return Store(subject, cut, store, mlflow)


def kept_of(path: Path) -> Mapping[str, str]:
    """What tracking.json says of mlflow; empty where there is nothing sound."""
    try:
        kept = read_json(path)["mlflow"]
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return kept if isinstance(kept, dict) else {}


@contextmanager
def in_turn(store: str) -> Iterator[None]:
    """Be the only process of slangmod that opens ``store``, if that is a file."""
    path = path_of(store) if is_database(store) else None
    with ExitStack() as held:
        while path is not None:
            try:
                lock = path.with_name(f"{path.name}.lock")
                held.enter_context(locked(lock, "the store of mlflow"))
                break
            except RunBusyError:
                time.sleep(BETWEEN_TRIES)
        yield


def named(parameters: Mapping[str, Plain]) -> Iterator[tuple[str, str]]:
    """Names that mlflow takes, each once, and values as texts."""
    taken: set[str] = set()
    for name, value in parameters.items():
        allowed = FORBIDDEN.sub("_", name)[:LONGEST_NAME]
        while allowed in taken:
            allowed = f"{allowed[: LONGEST_NAME - 1]}_"
        taken.add(allowed)
        yield allowed, value if isinstance(value, str) else literal(value)


class Store:
    """Opens the run in an mlflow store: the one it has, else a new one."""

    def __init__(
        self, subject: Subject, parameters: Mapping[str, str], store: str, mlflow: Any
    ) -> None:
        self._subject = subject
        self._parameters = parameters
        self._store = store
        self._mlflow = mlflow
        self._run_id = kept_of(subject.run.tracking).get("run_id")

    def __call__(self) -> "MlflowRun":
        """The run, under way, with all parameters."""
        # mlflow makes its tables bit by bit; two processes at once break them.
        with in_turn(self._store):
            return self._open()

    def _open(self) -> "MlflowRun":
        client = self._mlflow.MlflowClient(tracking_uri=self._store)
        experiment = self._experiment(client)
        found = self._found(client, experiment)
        if found is None:
            tags = {"mlflow.source.name": "slangmod", "mlflow.source.type": "LOCAL"}
            name = self._subject.run.name
            found = client.create_run(experiment, tags=tags, run_name=name)
        self._run_id = found.info.run_id
        self._keep()
        run = MlflowRun(client, self._mlflow.entities, found.info.run_id)
        if found.info.status != "RUNNING":
            client.update_run(found.info.run_id, status="RUNNING")
        known = found.data.params
        run.describe({k: v for k, v in self._parameters.items() if k not in known})
        changed = {
            f"{RESUMED}{name}": text
            for name, text in self._parameters.items()
            if known.get(name, text) != text
        }
        run.tag({k: v for k, v in changed.items() if found.data.tags.get(k) != v})
        return run

    def _experiment(self, client: Any) -> str:
        """The id of the experiment, which is made if need be."""
        name = self._subject.experiment
        known = client.get_experiment_by_name(name)
        if known is None:
            # A database keeps no files; mlflow would put them into the current folder.
            files = self._subject.workdir / "mlartifacts"
            place = files.as_uri() if is_database(self._store) else None
            try:
                return str(client.create_experiment(name, artifact_location=place))
            except self._mlflow.MlflowException:
                known = client.get_experiment_by_name(name)  # another run was quicker
                if known is None:
                    raise
        return str(known.experiment_id)

    def _found(self, client: Any, experiment: str) -> Any:
        """The run in mlflow that tracking.json names, None if it is not there."""
        if self._run_id is None:
            return None
        try:
            run = client.get_run(self._run_id)
        except self._mlflow.MlflowException as error:
            if error.error_code in (
                "RESOURCE_DOES_NOT_EXIST",
                "INVALID_PARAMETER_VALUE",
            ):
                return None
            raise
        is_ours = run.info.experiment_id == experiment
        return run if is_ours and run.info.lifecycle_stage == "active" else None

    def _keep(self) -> None:
        """Write tracking.json, by which a resumed run finds its run in mlflow."""
        about = {
            "given": without_passwords(self._subject.uri or ""),
            "store": without_passwords(self._store),
            "experiment": self._subject.experiment,
            "run_id": self._run_id,
        }
        if kept_of(self._subject.run.tracking) != about:
            write_json(self._subject.run.tracking, {"mlflow": about})


class MlflowRun:
    """A run in mlflow, by its id."""

    def __init__(self, client: Any, entities: Any, run_id: str) -> None:
        self._client = client
        self._entities = entities
        self._run_id = run_id

    def describe(self, parameters: Mapping[str, str]) -> None:
        """Set parameters, which mlflow never changes again."""
        made = [self._entities.Param(*item) for item in parameters.items()]
        for part in batched(made, MOST_PARAMETERS):
            self._client.log_batch(self._run_id, params=list(part))

    def tag(self, facts: Mapping[str, str]) -> None:
        """Set tags, which may change."""
        made = [
            self._entities.RunTag(name[:LONGEST_NAME], text[:LONGEST_TAG])
            for name, text in facts.items()
        ]
        for part in batched(made, MOST_PARAMETERS):
            self._client.log_batch(self._run_id, tags=list(part))

    def send(self, rows: Sequence[Row]) -> None:
        """Log the numbers of ``rows``; what arrives twice is kept once."""
        made = [
            self._entities.Metric(name, float(value), round(1000 * row.time), row.step)
            for row in rows
            for name, value in row.values.items()
        ]
        for part in batched(made, MOST_METRICS):
            self._client.log_batch(self._run_id, metrics=list(part))

    def end(self, ending: Ending) -> None:
        """Tag, hand over the files, and close the run with its status."""
        self.tag(ending.facts)
        for path in ending.files:
            if path.is_dir():
                self._client.log_artifacts(self._run_id, str(path), path.name)
            else:
                self._client.log_artifact(self._run_id, str(path))
        self._client.set_terminated(self._run_id, ending.status)

    def close(self) -> None:
        """Nothing is held."""
