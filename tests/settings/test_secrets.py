import pytest

from slangmod.settings.secrets import without_passwords


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://a:b@c/d", "http://a:***@c/d"),
        ("two http://a:b@c http://:d@e", "two http://a:***@c http://:***@e"),
        ("http://user@host:80/a:b@c", "http://user@host:80/a:b@c"),
        ("http://host:80/", "http://host:80/"),
        ("p://u:a:b@h", "p://u:***@h"),
        ("a:b@c", "a:b@c"),
    ],
)
def test_passwords_of_addresses_are_hidden_and_nothing_else(text, shown):
    assert without_passwords(text) == shown
