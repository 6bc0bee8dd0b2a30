"""The codec of a charset that a client names: looked up among those that Python has, and in nothing else.

codecs.lookup() itself keeps every name that it does not know for as long as the process lives, and has a module of that
name looked for on disk: a client must not have that done.
"""

from __future__ import annotations

import codecs
from encodings import normalize_encoding
from encodings.aliases import aliases

# Python's codecs that no alias names; one that the app has registered itself is not among them.
_OTHERS = frozenset(
    "charmap cp1006 cp720 cp737 cp856 cp874 cp875 idna iso8859_1 koi8_t koi8_u mac_arabic mac_croatian mac_farsi"
    " mac_romanian mbcs oem palmos punycode raw_unicode_escape undefined unicode_escape utf_8_sig".split()
)
_KNOWN = frozenset(aliases) | frozenset(aliases.values()) | _OTHERS
_LONGEST = 256  # characters


def codec_named(charset: str) -> codecs.CodecInfo | None:
    """As codecs.lookup(), but None for what it would not find."""
    if len(charset) > _LONGEST or not charset.isascii():
        return None
    name = normalize_encoding(charset.lower())
    if name not in _KNOWN and name.replace(".", "_") not in aliases:
        return None
    try:
        return codecs.lookup(name)  # not as it is spelled: the registry keeps each spelling
    except (LookupError, ValueError):  # of another system, as mbcs; with a NUL in it
        return None
