"""Where a study is kept: a journal file that mends itself, or a database."""

import sqlite3
import time
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._rdb.models import BaseModel
from sqlalchemy import URL, make_url, text

from slangmod.errors import DataError, RunError, SlangmodError, UserError
from slangmod.reading import open_regular
from slangmod.search.journal import LONGEST_REASON, WAY_OUT, open_journal
from slangmod.search.study import Turn
from slangmod.search.turns import FileTurn
from slangmod.settings.literals import printable

JOURNAL = "study.journal"
DATABASE = "://"
"""What the address of a database has in it, and no name of a file."""

TRIES, PAUSE = 5, 0.2
"""Attempts to make the tables of a new database, which others may be making, too, and
the seconds in between."""

TIMEOUT = 60
"""Seconds to wait for others who write to a file of sqlite's."""

KEY = 0x736C616E67
"""By which PostgreSQL knows the lock of those who take turns."""

STORAGES = ("optuna.storages._rdb", "optuna.storages.journal")
"""Modules through which a study is kept."""

DRIVERS = {"postgresql": "pip install 'psycopg[binary]'"}
"""How to get what SQLAlchemy talks to a database with."""


def open_storage(storage: str | None, folder: Path) -> BaseStorage:
    """The storage that ``sweep.storage`` asks for; unset: a journal in ``folder``.

    Raises UserError where there is no way to it, DataError where it is damaged.
    """
    if storage is not None and DATABASE in storage:
        return open_database(storage)
    return open_journal(folder / JOURNAL if storage is None else Path(storage))


def place_of(storage: str | None, folder: Path) -> str:
    """Where that is, in words, without a password."""
    if storage is None or DATABASE not in storage:
        return str(folder / JOURNAL if storage is None else storage)
    return str(file_of(make_url(storage)) or "sweep.storage")


def file_of(url: URL) -> Path | None:
    """The file of a database that is one, and has a place on disk."""
    is_file = url.get_backend_name() == "sqlite" and url.database
    if not is_file or str(url.database).startswith((":memory:", "file:")):
        return None
    return Path(str(url.database))


def open_database(address: str) -> RDBStorage:
    """The database at ``address``, its tables made if need be.

    Raises UserError, without the address, which may hold a password, and DataError for
    a file that is something else; then nothing has changed.
    """
    kind = address.partition(DATABASE)[0]
    options = (
        {"connect_args": {"timeout": TIMEOUT}} if kind.startswith("sqlite") else {}
    )
    if kind == "postgresql" and find_spec("psycopg") is not None:
        # SQLAlchemy would look for the driver before this one, psycopg2.
        address = address.replace(kind, "postgresql+psycopg", 1)
    for left in reversed(range(TRIES)):
        try:
            if file := file_of(make_url(address)):
                refuse_other(file)
            return RDBStorage(address, engine_kwargs=options)
        except ImportError as error:
            how = DRIVERS.get(kind, str(error))
            raise UserError(
                f"sweep.storage: {kind} needs a package that is not installed: {how}"
            ) from None
        except Exception as error:  # whatever the driver of the database raises
            if not left:
                if isinstance(error, DataError):
                    raise
                reason = printable(" ".join(str(error).split())[:300])
                raise UserError(
                    f"sweep.storage: there is no way to the {kind} database: {reason}"
                ) from None
            time.sleep(PAUSE)
    raise AssertionError  # the last attempt returns or raises


def refuse_other(path: Path) -> None:
    """Raise DataError if there is something at ``path`` that keeps no studies."""
    try:
        open_regular(path).close()
        problem = _fault(path)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
    except sqlite3.Error as error:
        problem = printable(str(error))
    if problem:
        raise DataError(f"{path}: cannot keep a study: {problem}; {WAY_OUT}")


def _fault(path: Path) -> str:
    """Why a file of sqlite's is not one of optuna's; empty if it is, or is empty."""
    address = f"file:{quote(str(path.absolute()))}?mode=rw"
    with closing(sqlite3.connect(address, uri=True, timeout=TIMEOUT)) as database:
        for (said,) in database.execute("PRAGMA quick_check(1)"):
            if said != "ok":
                return f"damaged ({printable(str(said))[:100]})"
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        there = {name for (name,) in names}
        for table in BaseModel.metadata.sorted_tables if there else ():
            rows = database.execute(f"PRAGMA table_info({table.name})")
            if not {*table.columns.keys()} <= {row[1] for row in rows}:
                return f"it is a database without optuna's table of {table.name}"
    return ""


def turn_on(address: str | None, folder: Path, storage: BaseStorage) -> Turn:
    """What opens a block that only one worker on a study is in at a time.

    Beside a file lies one to lock; PostgreSQL has locks of its own. With any other
    database the workers take turns if they share ``folder``.
    """
    if isinstance(storage, RDBStorage):
        url = storage.engine.url
        if url.get_backend_name() == "postgresql":
            return partial(_turn_in_postgresql, storage)
        place = file_of(url) or folder / JOURNAL
    else:
        place = folder / JOURNAL if address is None else Path(address)
    return partial(FileTurn, Path(f"{place}.turn"))


@contextmanager
def _turn_in_postgresql(storage: RDBStorage) -> Iterator[None]:
    # Held until the transaction ends, and by nobody whose connection is lost.
    with storage.engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": KEY})
        yield


@contextmanager
def kept(place: str, way_on: str) -> Iterator[None]:
    """What a storage raises in the block, which was sound before, becomes a RunError.

    Somebody has altered it meanwhile, or it cannot be reached any more.
    """
    try:
        yield
    except (SlangmodError, OSError, MemoryError):
        raise
    except Exception as error:  # whatever optuna and the drivers of databases raise
        if not _of_storage(error):
            raise
        while error.__cause__ is not None and isinstance(error.__cause__, Exception):
            error = error.__cause__
        reason = printable(" ".join(str(error).split()))[:LONGEST_REASON]
        raise RunError(
            f"{place}: the study cannot be kept any more ({type(error).__name__}: "
            f"{reason}); put that right, and {way_on}"
        ) from error


def _of_storage(error: BaseException) -> bool:
    """Whether ``error`` came up beneath one of optuna's storages on disk."""
    return any(
        str(frame.f_globals.get("__name__")).startswith(STORAGES)
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )


def quiet() -> None:
    """Keep optuna from telling of each trial; we do that."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
