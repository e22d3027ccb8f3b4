"""Every setting of what keeps training safe: checkpoints, and a guard over its course.

One line each, as in ``sections``.
"""

# One line per setting, however long: the page reads as a table.
# ruff: noqa: E501
# fmt: off

from typing import Literal

from slangmod.settings.setting import Duration, Section, setting


class Checkpoint(Section):
    """When training is saved, and how much of it is kept."""

    every: int | None = setting(None, "mini-batches between checkpoints, besides one each epoch; unset: each epoch only", "mini-batches", ge=1)
    keep: int = setting(2, "newest checkpoints kept, besides the best", "checkpoints", ge=1)
    background: bool = setting(False, "write checkpoints from a copy while training goes on, at most one at a time")
    on_error: Literal["continue", "stop"] = setting("continue", "where one cannot be written: go on and try again, or end the run")


class Guard(Section):
    """What is done where training goes wrong."""

    non_finite: Literal["stop", "skip"] = setting("stop", "where a loss or gradient is not finite: end the run, or leave that step out; it reaches the weights in neither case")
    max_skips: int = setting(3, "steps in a row that may be left out before the run ends", "optimizer steps", ge=1)
    on_spike: Literal["ignore", "report", "rewind"] = setting("report", "where the loss of a step is far above those before it: nothing, a warning, or back to the last checkpoint and past the mini-batches since then")
    spike_sigma: float = setting(6.0, "how far above their mean, in standard deviations, a loss is a spike", gt=0)
    spike_window: int = setting(128, "losses that a step's loss is compared with", "optimizer steps", ge=8, le=100_000)
    max_rewinds: int = setting(3, "how often a run may go back before it ends", "rewinds", ge=1)
    hang_time: Duration | None = setting("10m", "a step that takes longer than this, and ten times as long as others, hangs; unset: none ever does", "time")
    on_hang: Literal["report", "stop"] = setting("stop", "what is done then, besides telling where the program stands: go on waiting, or end the run")
