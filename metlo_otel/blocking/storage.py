"""Which store counts the rate limits, by the name that the settings give."""

from __future__ import annotations

from collections.abc import Callable

from metlo_otel.blocking.rate_limits import LocalStore, Store
from metlo_otel.blocking.redis_store import RedisStore
from metlo_otel.blocking.shared_store import SharedStore, shared_name, shared_path
from metlo_otel.blocking.users import BlockedUsers, SharedUsers, UserBlocks
from metlo_otel.core.redis_url import is_redis

MEMORY, SHARED = "memory", "shared"


def open_store(name: str, host: str, key: str, warn: Callable[[str], None]) -> Store:
    """The store called `memory`, `shared` or by a Redis URL; `host` and `key` tell agents apart that share a
    machine.

    Where the shared file or the Redis client cannot be had, `warn` is told and the process counts alone.
    Raises ValueError for another name.
    """
    if name == MEMORY:
        return LocalStore()
    if name != SHARED and not is_redis(name):
        raise ValueError(f"rate limits are stored in {MEMORY}, {SHARED} or a redis:// URL, not {name!r}")
    try:
        return SharedStore(shared_path(host, key), warn) if name == SHARED else RedisStore(name, warn)
    except (OSError, ImportError) as problem:
        warn(f"rate limits: {problem}; every worker counts alone")
        return LocalStore()


def look_after(store: Store) -> None:
    """Try again what has failed; for the worker."""
    if isinstance(store, RedisStore):
        store.tick()


def open_users(store: Store) -> UserBlocks:
    """Where blocked users are kept: with the shared store in all workers of the machine, else in this
    process.
    """
    return SharedUsers(store) if isinstance(store, SharedStore) else BlockedUsers()


def is_shared_already(name: str, host: str, key: str) -> bool:
    """Whether a worker on this machine has made the file that the store of this name is kept in."""
    return name == SHARED and shared_name(host, key).exists()
