"""Addresses without the passwords that they may hold."""

import re

PASSWORD = re.compile(r"(?<=://)([^\s/@:]*):[^\s/@]*@")


def without_passwords(text: str) -> str:
    """``text`` with asterisks for the password of each address in it.

    >>> without_passwords("postgresql://me:hunter2@host/runs")
    'postgresql://me:***@host/runs'
    """
    return PASSWORD.sub(r"\1:***@", text)
