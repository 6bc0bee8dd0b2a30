"""Passwords, sessions and the limit on guesses, as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metlo_otel.collector.dashboard.access import Keyring
from metlo_otel.collector.dashboard.attempts import (
    PER_ACCOUNT,
    PER_PLACE,
    WINDOW,
    Attempt,
    Attempts,
    known_browser,
)
from metlo_otel.collector.dashboard.passwords import check_password, hash_password, is_password, make_password

RING = Keyring("", "a secret for tests")


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


def test_guesses_are_limited() -> None:
    """After some failures a place waits until the window has passed; others do not wait for it."""
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for _ in range(PER_PLACE):
        assert attempts.wait(_from("192.0.2.1")) == 0
        attempts.failed(_from("192.0.2.1"))
    assert attempts.wait(_from("192.0.2.1")) == int(WINDOW) + 1
    assert attempts.wait(_from("::ffff:192.0.2.1")) == int(WINDOW) + 1
    assert attempts.wait(_from("192.0.2.2")) == 0
    now[0] = WINDOW
    assert attempts.wait(_from("192.0.2.1")) == 0


def test_many_addresses_do_not_help() -> None:
    """All of a /64 count as one client, and beyond a number of failures nobody new may try that account; others may."""
    attempts = Attempts(lambda: 0.0)
    for number in range(PER_PLACE):
        attempts.failed(_from(f"2001:db8::{number}"))
    assert attempts.wait(_from("2001:db8::ffff")) > 0
    assert attempts.wait(_from("2001:db8:1::1")) == 0
    for number in range(PER_ACCOUNT):
        attempts.failed(_from(f"10.0.{number}.1"))
    assert attempts.wait(_from("192.0.2.77")) > 0
    assert attempts.wait(_from("192.0.2.77", "grace")) == 0


def test_nobody_locks_out_a_browser_that_was_here_before() -> None:
    """Who has logged in before counts for itself, at that account alone, and is limited too."""
    attempts, cookie = Attempts(lambda: 0.0), known_browser(RING, "ada")
    for number in range(PER_ACCOUNT):
        attempts.failed(_from(f"10.0.{number}.1"))
    known = Attempt.of(RING, "10.0.0.1", "ada", cookie)
    assert (attempts.wait(known), attempts.wait(_from("10.0.0.1"))) == (0, int(WINDOW) + 1)
    for _ in range(PER_PLACE):
        attempts.failed(known)
    assert attempts.wait(known) > 0
    assert not Attempt.of(RING, "10.0.0.1", "grace", cookie).known
    assert not Attempt.of(RING, "10.0.0.1", "ada", cookie[:-1] + "x").known
    assert not Attempt.of(Keyring("", "another secret"), "10.0.0.1", "ada", cookie).known


@given(st.text())
def test_any_text_is_no_known_browser(text: str) -> None:
    """Whatever a client puts into the cookie, reading it raises nothing."""
    assert not Attempt.of(RING, "192.0.2.1", "ada", text).known


def test_a_right_password_is_no_failure() -> None:
    """An attempt that turned out right does not count."""
    attempts = Attempts(lambda: 0.0)
    for _ in range(PER_PLACE * 2):
        attempts.forget(attempts.failed(_from("192.0.2.1")))
    assert attempts.wait(_from("192.0.2.1")) == 0


def _from(address: str, account: str = "ada") -> Attempt:
    return Attempt.of(RING, address, account, "")
