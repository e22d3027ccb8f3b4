"""What libraries read from the environment once, when they are loaded."""

from collections.abc import MutableMapping


def prepare(environment: MutableMapping[str, str]) -> None:
    """Say how to wait and where to take memory, unless the user has done so.

    Idle threads are to sleep instead of spinning: one that spins at the end of each
    parallel loop keeps the core from the one that it waits for, wherever there is
    other work on the machine. Measured on 2 busy cores, a training step of the demo
    took 1.06 s spinning and 0.24 s asleep. Arrow is to use the memory that all others
    use: its own pool keeps 13 MB more. Pydantic is not to search all that is installed
    for plugins, which is a tenth of the time that settings take to load. Kineto, the
    profiler, is to be silent: it writes that it begins and ends, and that there is no
    GPU.
    """
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment.setdefault("KINETO_LOG_LEVEL", "99")
    environment.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    environment.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
