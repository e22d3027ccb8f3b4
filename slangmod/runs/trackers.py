"""Which trackers there are, and how a run gets those that it asks for."""

import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from slangmod.errors import SettingsError
from slangmod.runs.delivery import Delivery
from slangmod.runs.directory import RunDir
from slangmod.runs.parameters import parameters_of
from slangmod.runs.stores import store_problem
from slangmod.runs.to_mlflow import open_mlflow
from slangmod.runs.to_tensorboard import open_tensorboard
from slangmod.runs.tracker import Opener, Subject
from slangmod.runs.tracking import Tracking
from slangmod.settings.course import AtHand
from slangmod.settings.resolved import Resolved
from slangmod.settings.sections import Settings

LOG = logging.getLogger(__name__)

CSV = "csv"
"""The tables of a run, which are always written."""


def backends_of(settings: Settings) -> tuple[str, ...]:
    """The trackers that ``settings`` ask for, each once."""
    names = dict.fromkeys(settings.track.backends)
    return tuple(name for name in names if name != CSV)


def check_trackers(settings: Settings) -> None:
    """Raise SettingsError, loading nothing, if a tracker cannot be had."""
    names = backends_of(settings)
    problems = [
        f'track.backends: "{name}" needs the package: pip install slangmod[{name}]'
        for name in names
        if not is_installed(name)
    ]
    if "mlflow" in names and (problem := store_problem(settings.track.uri)):
        problems.append(problem)
    if problems:
        raise SettingsError(*problems)


def is_installed(package: str) -> bool:
    """Whether ``package`` is there; a mere folder of that name does not count."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


def as_kept(settings: Settings, name: str) -> Settings:
    """``settings`` as the run's config.toml has them: named, with whole paths."""
    named = Resolved.of(settings.replace(name=name))
    return named.absolute(Path.cwd()).settings


def open_tracking(
    run: RunDir, settings: Settings, at_hand: AtHand, *, step: int = 0, batch: int = 0
) -> Tracking:
    """The callback that tells the trackers that ``settings`` ask for of ``run``.

    ``step`` and ``batch``: how much of it is done. A tracker whose package cannot be
    loaded is warned about and left out.
    """
    names, track = backends_of(settings), settings.track
    stride = track.every * settings.train.cb_freq
    deliveries = []
    if names:
        subject = Subject(
            run,
            parameters_of(as_kept(settings, run.name), at_hand),
            track.uri,
            track.experiment,
            Path(settings.workdir).absolute(),
            step,
        )
    for name in names:
        # Loaded here: threads that import at the same time meet half-made modules.
        try:
            deliveries.append(Delivery(name, TRACKERS[name](subject)))
        except Exception as error:
            LOG.warning("%s: is left out, it cannot be loaded: %s", name, error)
    return Tracking(run, deliveries, stride, batch=batch, artifacts=track.artifacts)


TRACKERS: dict[str, Callable[[Subject], Opener]] = {
    "mlflow": open_mlflow,
    "tensorboard": open_tensorboard,
}
"""Each loads its package, which has the same name, and returns what opens it."""
