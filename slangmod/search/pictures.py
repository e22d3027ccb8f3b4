"""Pictures of a sweep, drawn by optuna: how it went, what mattered, and how."""

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import optuna
from optuna.trial import TrialState, create_trial

from slangmod.search.grammar import parsed
from slangmod.search.proposals import as_direction, distributions
from slangmod.search.study import COMPLETE, Record

INCHES = {"history": (8.0, 5.0), "importance": (8.0, 4.0)}
EACH_SLICE = (4.0, 4.5)
"""Width and height of the picture of one parameter."""

Draw = Callable[[optuna.Study], Any]


def pictures_of(
    records: Sequence[Record], space: Mapping[str, str], direction: str
) -> Iterator[tuple[str, Callable[[str], bytes | None]]]:
    """Names of pictures, and what draws each as ".svg" or ".png".

    It returns None where there are too few trials to draw from.
    """
    study = _study(records, space, direction)
    for name, draw in _drawings().items():
        yield name, partial(_drawn, study, name, draw)


def _drawings() -> dict[str, Draw]:
    from optuna.visualization import matplotlib as plots

    return {
        "history": plots.plot_optimization_history,
        "importance": plots.plot_param_importances,
        "slices": plots.plot_slice,
    }


def _study(
    records: Sequence[Record], space: Mapping[str, str], direction: str
) -> optuna.Study:
    """A study in memory of the complete trials, by their own numbers."""
    kinds = distributions({name: parsed(text) for name, text in space.items()})
    study = optuna.create_study(direction=as_direction(direction))
    for record in sorted(records, key=lambda one: one.number):
        is_complete = record.state == COMPLETE
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if is_complete else TrialState.FAIL,
                value=record.value if is_complete else None,
                params=dict(record.parameters),
                distributions=kinds,
            )
        )
    return study


def _drawn(study: optuna.Study, name: str, draw: Draw, kind: str) -> bytes | None:
    from matplotlib import pyplot, rc_context

    picture = io.BytesIO()
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "slangmod"}):
        warnings.simplefilter("ignore")
        pyplot.switch_backend("agg")
        try:
            figure = _figure(draw(study))
        except (ValueError, RuntimeError):  # too few trials, or all of them alike
            return None
        finally:
            pyplot.close("all")
        many = len(figure.axes) - 1
        each, height = EACH_SLICE
        figure.set_size_inches(INCHES.get(name, (each * max(2, many), height)))
        figure.set_layout_engine("constrained")
        metadata = {"Date": None} if kind == ".svg" else {"Software": None}
        figure.savefig(picture, format=kind[1:], dpi=150, metadata=metadata)
    return picture.getvalue()


def _figure(axes: Any) -> Any:
    """The figure of what optuna has drawn: one panel, or several in a row."""
    first = axes if hasattr(axes, "get_figure") else axes.flat[0]
    return first.get_figure()
