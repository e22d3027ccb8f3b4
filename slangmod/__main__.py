"""``python -m slangmod``, and the command ``slangmod``."""

import gc
import signal


def entry_point() -> None:
    """Run the command line; never returns.

    Until the actions see to signals themselves, Ctrl-C ends the program like any other
    signal does, instead of with where it was among the modules that it loads.
    """
    gc.disable()  # to look for garbage in what is loaded, and stays, takes long
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from slangmod.cli import entry_point as run

    run()


if __name__ == "__main__":
    entry_point()
