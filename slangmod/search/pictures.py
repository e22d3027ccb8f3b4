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
from slangmod.search.storage import quiet
from slangmod.search.study import COMPLETE, Record

NEEDS = {"history": 1, "importance": 2, "slices": 1}
"""Complete trials without which there is nothing to draw, by picture."""

SIZES = {"history": (8.0, 5.0), "importance": (8.0, 4.0)}
EACH_SLICE = (4.0, 4.5)
"""Inches; of slices, those of the picture of one parameter."""


def pictures_of(
    records: Sequence[Record], space: Mapping[str, str], direction: str, metric: str
) -> Iterator[tuple[str, Callable[[str], bytes | None]]]:
    """Names of pictures, and what draws each as ".svg" or ".png".

    It returns None where there are too few trials to draw from.
    """
    from optuna.visualization import matplotlib as plots

    quiet()
    study = _study(records, space, direction)
    done = sum(record.state == COMPLETE for record in records)
    drawings: dict[str, Callable[[optuna.Study], Any]] = {
        "history": partial(plots.plot_optimization_history, target_name=metric),
        "importance": partial(plots.plot_param_importances, target_name=metric),
        "slices": partial(plots.plot_slice, target_name=metric),
    }
    for name, draw in drawings.items():
        yield name, partial(_drawn, name, draw, study, done < NEEDS[name])


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


def _drawn(
    name: str,
    draw: Callable[[optuna.Study], Any],
    study: optuna.Study,
    too_few: bool,
    kind: str,
) -> bytes | None:
    """The bytes of a picture; None where there is nothing to see."""
    if too_few:
        return None
    from matplotlib import pyplot, rc_context

    picture = io.BytesIO()
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "slangmod"}):
        warnings.simplefilter("ignore")
        pyplot.switch_backend("agg")
        try:
            axes = draw(study)
        except (ValueError, RuntimeError, ArithmeticError):  # all trials are alike
            return None
        finally:
            pyplot.close("all")
        figure = _laid_out(axes, name)
        metadata = {"Date": None} if kind == ".svg" else {"Software": None}
        figure.savefig(
            picture, format=kind[1:], dpi=150, metadata=metadata, bbox_inches="tight"
        )
    return picture.getvalue()


def _laid_out(axes: Any, name: str) -> Any:
    """The figure of what optuna has drawn, in a size that fits what is in it."""
    from matplotlib.ticker import MaxNLocator, NullFormatter

    first = axes if hasattr(axes, "get_figure") else axes.flat[0]
    figure = first.get_figure()
    width, height = EACH_SLICE
    panels = [panel for panel in figure.axes if panel.get_xlabel()]
    size = SIZES.get(name, (width * max(2, len(panels)), height))
    for panel in panels:
        if panel.get_xscale() == "log":  # or the ticks between powers would overlap
            panel.xaxis.set_minor_formatter(NullFormatter())
        elif panel.get_xlabel() == "Trial":
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.set_size_inches(size)
    return figure
