"""Passwords, sessions and the limit on guesses, as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metlo_otel.collector.dashboard.attempts import ALTOGETHER, PER_ADDRESS, WINDOW, Attempts
from metlo_otel.collector.dashboard.passwords import check_password, hash_password, is_password, make_password
from metlo_otel.collector.dashboard.sessions import LASTS, open_session, read_session, sign

SECRET = b"a secret for tests"


def test_passwords_are_kept_as_salted_hashes() -> None:
    """Only the password itself is recognised, and two hashes of one have nothing in common."""
    first, second = hash_password("correct horse"), hash_password("correct horse")
    assert is_password("correct horse", first)
    assert not is_password("Correct horse", first)
    assert not is_password("", first)
    assert first != second
    assert "correct" not in first


def test_made_passwords_are_good_enough() -> None:
    """A password that is made passes the check for given ones and is another one each time."""
    made = {make_password() for _ in range(50)}
    assert len(made) == 50
    assert all(check_password(password) == password for password in made)


@pytest.mark.parametrize("password", ["", "short", "a" * 1025, "with\0nul-in-it"])
def test_bad_passwords(password: str) -> None:
    """What is too short, too long or cannot be typed is refused, in words that do not tell it."""
    with pytest.raises(ValueError, match="8 to 1024") as refused:
        check_password(password)
    assert not password or password not in str(refused.value)


@given(st.text(max_size=64))
def test_sessions_come_back(name: str) -> None:
    """What was signed is read as it was, until it expires and not a second longer."""
    session = open_session(name, 1000.0)
    value = sign(session, SECRET)
    assert read_session(value, SECRET, 1000.0) == session
    assert read_session(value, SECRET, 1000.0 + LASTS - 1) == session
    assert read_session(value, SECRET, 1000.0 + LASTS) is None


@given(st.data())
def test_changed_sessions_are_none(data: st.DataObject) -> None:
    """One changed character anywhere, or another secret, and it is no session."""
    value = sign(open_session("ada", 1000.0), SECRET)
    at = data.draw(st.integers(0, len(value) - 1))
    char = data.draw(st.characters(codec="latin-1").filter(lambda char: char != value[at]))
    changed = value[:at] + char + value[at + 1 :]
    found = read_session(changed, SECRET, 1000.0)
    assert found is None or changed.rstrip("=")[:-1] == value[:-1]  # the last character has bits that mean nothing
    assert read_session(value, b"another", 1000.0) is None


@given(st.text())
def test_any_text_is_no_session(text: str) -> None:
    """Whatever a client puts into the cookie, reading it raises nothing."""
    assert read_session(text, SECRET, 0.0) is None


def test_guesses_are_limited() -> None:
    """After some failures an address waits until the window has passed; others do not wait for it."""
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for _ in range(PER_ADDRESS):
        assert attempts.wait("192.0.2.1") == 0
        attempts.failed("192.0.2.1")
    assert attempts.wait("192.0.2.1") == int(WINDOW) + 1
    assert attempts.wait("192.0.2.2") == 0
    now[0] = WINDOW
    assert attempts.wait("192.0.2.1") == 0


def test_many_addresses_do_not_help() -> None:
    """All of a /64 count as one client, and beyond a number of failures everybody waits."""
    attempts = Attempts(lambda: 0.0)
    for number in range(PER_ADDRESS):
        attempts.failed(f"2001:db8::{number}")
    assert attempts.wait("2001:db8::ffff") > 0
    assert attempts.wait("2001:db8:1::1") == 0
    for number in range(ALTOGETHER):
        attempts.failed(f"10.0.{number}.1")
    assert attempts.wait("192.0.2.77") > 0


def test_a_right_password_is_no_failure() -> None:
    """An attempt that turned out right does not count."""
    attempts = Attempts(lambda: 0.0)
    for _ in range(PER_ADDRESS * 2):
        attempts.forget(attempts.failed("192.0.2.1"))
    assert attempts.wait("192.0.2.1") == 0
