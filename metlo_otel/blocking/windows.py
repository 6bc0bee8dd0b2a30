"""A table of sliding windows in one fixed piece of memory that processes can share.

Each slot holds one client's window for one limit, as `rate_limits.Window` does with objects: the same counts.
Slots are found by a 64-bit key in sets of WAYS; in a full set the slot that soonest has nothing left to tell
makes room.
"""

from __future__ import annotations

from mmap import mmap

from metlo_otel.blocking.rate_limits import CELLS, Limit

WAYS = 8
_WORD = 8  # bytes
_UNTIL, _TOTAL, _FIRST, _LENGTH, _TIMES, _COUNTS = 0, 1, 2, 3, 4, 4 + CELLS  # words of a slot
_SLOT = 4 + 2 * CELLS


def table_size(slots: int) -> int:
    """Bytes that a table of so many slots (a multiple of WAYS) takes."""
    return slots * (2 + _SLOT) * _WORD


class Windows:
    """Sliding windows in `memory` (zeroed at first, `table_size(slots)` bytes). Not locked: the owner does
    that.
    """

    __slots__ = ("_data", "_expires", "_keys", "_sets")

    def __init__(self, memory: memoryview | mmap, slots: int) -> None:
        view = memoryview(memory)
        column = slots * _WORD
        self._sets = slots // WAYS
        self._keys = view[:column].cast("Q")
        self._expires = view[column : 2 * column].cast("d")
        self._data = view[2 * column : 2 * column + slots * _SLOT * _WORD].cast("d")

    def release(self) -> None:
        """Let go of the memory, so that it can be closed."""
        for view in (self._keys, self._expires, self._data):
            view.release()

    def hit(self, key: int, limit: Limit, now: float) -> float:
        """Count a request: 0 where it passes, else the seconds until another may. `key` is 1 to 2**64-1."""
        first = key % self._sets * WAYS
        keys = self._keys[first : first + WAYS].tolist()
        slot = first + keys.index(key) if key in keys else self._claim(first, key, now)
        wait = self._wait(slot, limit, now)
        if not wait:
            self._add(slot, limit, now)
        return wait

    def check(self, key: int, limit: Limit, now: float) -> float:
        """As `hit` for a request that is not counted yet."""
        first = key % self._sets * WAYS
        keys = self._keys[first : first + WAYS].tolist()
        return self._wait(first + keys.index(key), limit, now) if key in keys else 0.0

    def hold(self, key: int, until: float, now: float) -> None:
        """Keep who has this key out until then; a time that is past lets in again."""
        first = key % self._sets * WAYS
        keys = self._keys[first : first + WAYS].tolist()
        slot = first + keys.index(key) if key in keys else self._claim(first, key, now)
        self._data[slot * _SLOT + _UNTIL] = until
        self._expires[slot] = until

    def _claim(self, first: int, key: int, now: float) -> int:
        ends = self._expires[first : first + WAYS].tolist()
        slot = first + ends.index(min(ends))
        self._keys[slot] = key
        self._expires[slot] = now
        base = slot * _SLOT
        self._data[base + _UNTIL] = self._data[base + _TOTAL] = self._data[base + _LENGTH] = 0.0
        return slot

    def _wait(self, slot: int, limit: Limit, now: float) -> float:
        """How long who asks must wait; starts the time out where the window is full."""
        data, base, duration = self._data, slot * _SLOT, limit.duration
        until = data[base + _UNTIL]
        if now < until <= now + duration:  # a clock that was set back must not lock anybody out
            return until - now
        if data[base + _TOTAL] < limit.threshold:
            return 0.0
        oldest = self._slide(base, limit.interval, now)
        if data[base + _TOTAL] < limit.threshold:
            return 0.0
        if not duration:
            return max(oldest + limit.interval - now, 0.001)
        data[base + _UNTIL] = now + duration
        self._expires[slot] = max(self._expires[slot], now + duration)
        return duration

    def _slide(self, base: int, interval: float, now: float) -> float:
        """Drop the cells that left the window, and all where they cannot be true (clock set back, a torn
        write).

        Answers the time of the oldest cell that is left, or `now`.
        """
        data = self._data
        first, length = int(data[base + _FIRST]) % CELLS, int(data[base + _LENGTH])
        if not 0 < length <= CELLS or data[base + _TIMES + first] > now + interval:
            length = 0
        while length and data[base + _TIMES + first] <= now - interval:
            data[base + _TOTAL] -= data[base + _COUNTS + first]
            first = (first + 1) % CELLS
            length -= 1
        if not length:
            data[base + _TOTAL] = 0.0
        data[base + _FIRST], data[base + _LENGTH] = first, length
        return data[base + _TIMES + first] if length else now

    def _add(self, slot: int, limit: Limit, now: float) -> None:
        data, base = self._data, slot * _SLOT
        first, length = int(data[base + _FIRST]), int(data[base + _LENGTH])
        if length == CELLS:
            self._slide(base, limit.interval, now)
            first, length = int(data[base + _FIRST]), int(data[base + _LENGTH])
        data[base + _TOTAL] += 1.0
        self._expires[slot] = now + limit.interval
        if length and limit.threshold > CELLS:
            last = base + (first + length - 1) % CELLS
            width = limit.interval / (CELLS - 1)
            if length == CELLS or now // width <= data[last + _TIMES] // width:
                data[last + _COUNTS] += 1.0
                data[last + _TIMES] = max(now, data[last + _TIMES])
                return
        last = base + (first + length) % CELLS
        data[last + _TIMES] = now
        data[last + _COUNTS] = 1.0
        data[base + _LENGTH] = length + 1.0
