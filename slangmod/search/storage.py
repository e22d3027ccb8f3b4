"""Where a study is kept: a journal file that mends itself, or a database."""

import json
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy import text

from slangmod.errors import DataError, UserError
from slangmod.files import cut
from slangmod.reading import IrregularError, open_regular
from slangmod.search.study import Turn

JOURNAL = "study.journal"
DATABASE = "://"
"""What the address of a database has in it, and no name of a file."""

FIRST = b'{"op_code"'
"""What each line of a journal begins with."""

TRIES = 5
"""Attempts to make the tables of a new database, which others may be making, too."""

KEY = 0x736C616E67
"""By which PostgreSQL knows the lock of those who take turns."""

DRIVERS = {"postgresql": "pip install 'psycopg[binary]'"}
"""How to get what SQLAlchemy talks to a database with."""


class JournalLock:
    """The lock of a journal, which the system frees when its holder dies."""

    def __init__(self, journal: Path) -> None:
        self._lock = FileLock(f"{journal}.lock", thread_local=False)

    def acquire(self) -> bool:
        """Wait until nobody else holds it."""
        self._lock.acquire()
        return True

    def release(self) -> None:
        """Let others write."""
        self._lock.release()


def open_storage(storage: str | None, folder: Path) -> BaseStorage:
    """The storage that ``sweep.storage`` asks for; unset: a journal in ``folder``.

    Raises UserError where there is no way to it, DataError where it is damaged.
    """
    if storage is not None and DATABASE in storage:
        return open_database(storage)
    return open_journal(folder / JOURNAL if storage is None else Path(storage))


def open_journal(path: Path) -> JournalStorage:
    """The journal at ``path``, made if need be, mended where a write was cut short."""
    if not path.parent.is_dir():
        raise UserError(f"sweep.storage = {path}: there is no folder {path.parent}")
    lock = JournalLock(path)
    lock.acquire()
    try:
        mend(path)
    finally:
        lock.release()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            backend = JournalFileBackend(str(path), lock)  # type: ignore[arg-type]
            return JournalStorage(backend)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}: is damaged, or no journal of optuna ({error}); move it away, "
                "or set sweep.storage to another"
            ) from None


def mend(path: Path) -> None:
    """Cut off a last line that was not written to its end.

    What is glued to such a line by the next write would make the journal unreadable.
    The caller holds the lock.
    """
    try:
        with open_regular(path) as stream:
            content = stream.read()
    except FileNotFoundError:
        return
    except (IrregularError, IsADirectoryError):
        raise DataError(f"{path}: is no file; set another sweep.storage") from None
    sound = len(content)
    while sound:
        start = content.rfind(b"\n", 0, sound - 1) + 1
        if content[sound - 1 : sound] == b"\n" and is_json(content[start:sound]):
            break
        sound = start
    is_first = b"\n" not in content and FIRST.startswith(content[: len(FIRST)])
    if sound == 0 and content and not is_first:
        raise DataError(f"{path}: is no journal of a study; set another sweep.storage")
    if sound < len(content):
        cut(path, sound)


def is_json(line: bytes) -> bool:
    """Whether ``line`` can be read."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def open_database(address: str) -> RDBStorage:
    """The database at ``address``, its tables made if need be.

    Raises UserError, without the address, which may hold a password.
    """
    kind = address.partition(DATABASE)[0]
    options = {"connect_args": {"timeout": 60}} if kind.startswith("sqlite") else {}
    if kind == "postgresql" and find_spec("psycopg") is not None:
        # SQLAlchemy would look for the driver before this one, psycopg2.
        address = address.replace(kind, "postgresql+psycopg", 1)
    for left in reversed(range(TRIES)):
        try:
            return RDBStorage(address, engine_kwargs=options)
        except ImportError as error:
            how = DRIVERS.get(kind, str(error))
            raise UserError(
                f"sweep.storage: {kind} needs a package that is not installed: {how}"
            ) from None
        except Exception as error:  # whatever the driver of the database raises
            if not left:
                reason = " ".join(str(error).split())[:300]
                raise UserError(
                    f"sweep.storage: there is no way to the {kind} database: {reason}"
                ) from None
            time.sleep(0.2)
    raise AssertionError  # the last attempt returns or raises


def turn_on(address: str | None, folder: Path, storage: BaseStorage) -> Turn:
    """What opens a block that only one worker on a study is in at a time.

    Beside a file lies one to lock; PostgreSQL has locks of its own. With any other
    database the workers take turns if they share ``folder``.
    """
    if isinstance(storage, RDBStorage):
        url = storage.engine.url
        if url.get_backend_name() == "postgresql":
            return partial(_turn_in_postgresql, storage)
        is_file = url.get_backend_name() == "sqlite" and url.database
        place = Path(str(url.database)) if is_file else folder / JOURNAL
    else:
        place = folder / JOURNAL if address is None else Path(address)
    return partial(FileLock, f"{place}.turn")


@contextmanager
def _turn_in_postgresql(storage: RDBStorage) -> Iterator[None]:
    # Held until the transaction ends, and by nobody whose connection is lost.
    with storage.engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": KEY})
        yield


def quiet() -> None:
    """Keep optuna from telling of each trial; we do that."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
