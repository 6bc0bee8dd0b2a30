"""Accounts and sessions as the store has them, on both databases."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import pytest

from metlo_otel.collector.accounts import (
    add_user,
    are_alone,
    bind,
    find_subject,
    find_user,
    list_users,
    may,
    remove_user,
    set_enabled,
    set_password,
    set_role,
)
from metlo_otel.collector.dashboard.sessions import (
    LASTS,
    Visit,
    end_session,
    find_session,
    list_sessions,
    note_seen,
    open_session,
)
from metlo_otel.collector.keys import Grant, add_key, list_keys
from metlo_otel.collector.store import Store

NOW = time.time()
VISIT = Visit("password", "192.0.2.7", "a browser\0" + "x" * 1_000)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    store = Store(database, duties=False)
    yield store
    store.close()


def _add(store: Store, name: str, role: str = "viewer") -> int:
    return store.change(partial(add_user, name=name, role=role, who="test", password="a hash")).result()


def _enter(store: Store, name: str, now: float = NOW) -> str | None:
    user = store.read(partial(find_user, name=name))
    return store.change(partial(open_session, user=user, name=name, visit=VISIT, now=now)).result()


def test_sessions(store: Store) -> None:
    """One lasts twelve hours, is found by its cookie alone, tells the role of now, and ends with the account."""
    _add(store, "root", "admin")
    _add(store, "vera")
    token = _enter(store, "vera")
    assert token is not None
    session = store.read(partial(find_session, token=token, now=NOW))
    assert session is not None
    assert (session.name, session.role, session.address, len(session.browser)) == ("vera", "viewer", "192.0.2.7", 255)
    for other in ("", token[:-1], token + "x", "\ud800"):
        assert store.read(partial(find_session, token=other, now=NOW)) is None
    assert store.read(partial(find_session, token=token, now=NOW + LASTS - 1)) is not None
    assert store.read(partial(find_session, token=token, now=NOW + LASTS)) is None
    store.change(partial(set_role, name="vera", role="analyst", who="test")).result()
    store.change(partial(note_seen, number=session.id, now=NOW + 90)).result()
    (listed,) = store.read(partial(list_sessions, now=NOW))
    assert (listed.role, listed.seen - listed.made) == ("analyst", 90_000)
    store.change(partial(set_enabled, name="vera", enabled=False, who="test")).result()
    assert store.read(partial(find_session, token=token, now=NOW)) is None
    assert _enter(store, "vera") is None
    store.change(partial(set_enabled, name="vera", enabled=True, who="test")).result()
    assert store.read(partial(find_session, token=token, now=NOW)) is None  # ended is ended


def test_the_first_admin_ends_what_all_shared(store: Store) -> None:
    """Until then anybody with the password is let in under any name; from then on only accounts, even with no admin."""
    _add(store, "vera")
    shared, own = _enter(store, "anybody"), _enter(store, "vera")
    assert shared is not None
    assert own is not None
    assert not store.read(are_alone)
    _add(store, "root", "admin")
    assert store.read(partial(find_session, token=shared, now=NOW)) is None
    assert store.read(partial(find_session, token=own, now=NOW)) is not None
    assert _enter(store, "anybody") is None
    store.change(partial(set_role, name="root", role="viewer", who="test", by_provider=True)).result()
    assert _enter(store, "anybody") is None


def test_accounts(store: Store) -> None:
    """They are made, bound and removed with all that is theirs; wrong ones are refused and change nothing."""
    _add(store, "root", "admin")
    number = _add(store, "vera")
    store.change(partial(bind, number=number, issuer="https://sso.example", subject="7")).result()
    found = store.read(partial(find_subject, issuer="https://sso.example", subject="7"))
    assert found is not None
    assert (found.name, "a hash" in repr(found)) == ("vera", False)
    grant = Grant(frozenset({"metrics"}))
    store.change(partial(add_key, name="vera: x", who="test", reads=True, grant=grant, user=number)).result()
    (key,) = store.read(list_keys)
    assert (key.user, key.grant) == ("vera", grant)
    one, two = _enter(store, "vera"), _enter(store, "vera")
    assert one is not None
    assert two is not None
    kept = store.read(partial(find_session, token=one, now=NOW))
    assert kept is not None
    store.change(partial(set_password, name="vera", password="another", who="test", keep=kept.id)).result()
    assert [each.id for each in store.read(partial(list_sessions, now=NOW))] == [kept.id]
    for wrong in (
        partial(add_user, name="vera", role="viewer", who="test"),
        partial(add_user, name=" ", role="viewer", who="test"),
        partial(add_user, name="x\ny", role="viewer", who="test"),
        partial(add_user, name="eve", role="root", who="test"),
        partial(set_role, name="nobody", role="viewer", who="test"),
        partial(set_role, name="root", role="viewer", who="test"),
        partial(remove_user, name="root", who="test"),
    ):
        with pytest.raises(ValueError, match=r"account|role|admin"):
            store.change(wrong).result()
    store.change(partial(remove_user, name="vera", who="test")).result()
    assert [user.name for user in store.read(list_users)] == ["root"]
    assert (store.read(list_keys), store.read(partial(list_sessions, now=NOW))) == ([], [])
    assert store.change(partial(end_session, number=999)).result() is False


def test_roles() -> None:
    """Each may all that those before it may."""
    roles = ("viewer", "analyst", "admin")
    assert [[may(role, needed) for needed in roles] for role in roles] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
