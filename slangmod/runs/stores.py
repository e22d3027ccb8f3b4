"""Where mlflow keeps runs: databases, servers and folders."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from slangmod.settings.literals import brief
from slangmod.settings.secrets import without_passwords

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
SERVERS = ("http", "https")
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9.+-]*):")
SQLITE = "sqlite:///"


def scheme_of(uri: str) -> str:
    """What kind of address ``uri`` is, without the driver; empty for a folder.

    >>> scheme_of("postgresql+psycopg2://host/runs"), scheme_of("mlruns")
    ('postgresql', '')
    """
    found = SCHEME.match(uri)
    return found[1].lower().partition("+")[0] if found else ""


def store_problem(uri: str | None) -> str | None:
    """What is wrong with ``track.uri``, as far as that can be seen from here."""
    if uri is None:
        return None
    scheme = scheme_of(uri)
    known = scheme in (*DATABASES, *SERVERS, "file", "")
    begin = ":///" if scheme == "sqlite" else "://"
    if uri and known and (not scheme or begin in uri):
        return None
    return (
        f"track.uri = {brief(without_passwords(uri))}: is no place for runs of mlflow; "
        "give http://HOST:PORT, sqlite:///FILE, postgresql://HOST/NAME or a folder"
    )


def store_of(uri: str | None, workdir: Path, before: Mapping[str, str]) -> str:
    """The address of the store, with paths that hold everywhere.

    A run goes on in the store where it began, even if resumed from another folder:
    ``before`` is what is kept of it, ``given`` and ``store``.
    """
    if uri is None:
        return f"{SQLITE}{workdir / 'mlflow.db'}"
    path = path_of(uri)
    if path is None or path.is_absolute():
        return uri
    earlier = before.get("store", "") if before.get("given") == uri else ""
    kept = path_of(earlier) if earlier else None
    if kept is not None and kept.exists():
        return earlier
    return f"{SQLITE}{path.absolute()}" if is_database(uri) else str(path.absolute())


def path_of(uri: str) -> Path | None:
    """The file or folder that ``uri`` names, None if it is an address."""
    if not scheme_of(uri):
        return Path(uri)
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def is_database(store: str) -> bool:
    """Whether ``store`` is a database, which keeps no files."""
    return scheme_of(store) in DATABASES


def is_server(store: str) -> bool:
    """Whether ``store`` is a server, which shows its runs itself."""
    return scheme_of(store) in SERVERS


def how_to_look(store: str) -> str:
    """Where to see the runs of ``store``: an address, or a command for a shell."""
    shown = without_passwords(store)
    if is_server(store):
        return shown
    allowed = "" if is_database(store) else "MLFLOW_ALLOW_FILE_STORE=true "
    return f"{allowed}mlflow server --backend-store-uri {shlex.quote(shown)}"
