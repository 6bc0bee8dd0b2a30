"""A charset that a client names is looked up among Python's own codecs, and leaves nothing behind."""

from __future__ import annotations

import codecs
import encodings
import pkgutil
import sys

import pytest

from metlo_otel.core.codec_names import codec_named
from metlo_otel.core.query import codec
from metlo_otel.reading.charsets import charset
from metlo_otel.reading.wire_text import charset_of

NO_CODECS = {"aliases"}


def lookup(name: str) -> str | None:
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None


@pytest.mark.parametrize("name", sorted({found.name for found in pkgutil.iter_modules(encodings.__path__)} - NO_CODECS))
def test_every_codec_of_python(name: str) -> None:
    """What Python has is found, under the names that it has for it, in any spelling."""
    for spelt in (name, name.upper(), name.replace("_", "-"), name.replace("_", " ")):
        found = codec_named(spelt)
        assert (None if found is None else found.name) == lookup(spelt)


@pytest.mark.parametrize(
    "name", [*encodings.aliases.aliases, "iso.8859.1", "ISO_8859-1:1987", "x-mac-japanese", "nothing", ""]
)
def test_every_alias(name: str) -> None:
    found = codec_named(name)
    assert (None if found is None else found.name) == lookup(name)


def test_unknown_names_leave_nothing_behind() -> None:
    """Python keeps what codecs.lookup() does not find for ever, after having looked for a module of that name."""
    kept, modules = dict(encodings._cache), set(sys.modules)
    for number in range(300):
        name = f"iso-8859-{number + 1000}"
        assert codec(name) == ""
        assert charset(f"text/plain; charset={name}") is None
        assert charset_of(f"text/plain; charset={name}") is None
    for odd in ("a\0b", "é", "x" * 5000, "os", "..os", "encodings.os"):
        assert codec_named(odd) is None
    assert encodings._cache == kept
    assert set(sys.modules) == modules
