"""Every setting of how several devices train one run, one line each, as in ``sections``."""

# One line per setting, however long: the page reads as a table.
# ruff: noqa: E501
# fmt: off

from typing import Literal

from slangmod.settings.setting import Duration, Section, setting


class Parallel(Section):
    """How the processes that torchrun started train one run; without it, of no effect."""

    strategy: Literal["auto", "ddp", "fsdp"] = setting("auto", "what each device holds: all weights, gradients and moments (ddp) or its share of them (fsdp); auto: ddp where that fits")
    backend: Literal["auto", "nccl", "gloo"] = setting("auto", "what carries numbers between devices; auto: nccl between GPUs, else gloo")
    timeout: Duration = setting("10m", "how long a process waits for the others before it takes them for lost", "time")
    cpu_offload: bool = setting(False, "keep the shares of fsdp in host memory where they are not being computed with")
