"""Tests of the frameworks that end otherwise with the agent, and why that is right."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Explained:
    """A difference that is no fault: of the tests whose name matches `test`, in a mode and positions, or in all."""

    suite: str
    test: str
    reason: str
    mode: str = ""
    positions: tuple[str, ...] = ()


_NULL = "a null byte in the path is an attack: 403 where the file is not found either"
_TRAVERSAL = "names of files such as ../../x are an attack: 403 before the view sees what Django makes of them"
_NULL_NAME = "a null byte in a file's name is an attack: 403 before the view sees what Django makes of it"
_SDK = "the test forbids to import OpenTelemetry's SDK, which the agent needs"
_CODEC = "the charset that a request names is looked up by us as well, so that rules read what the app reads"

EXPLAINED: tuple[Explained, ...] = (
    Explained("starlette", "*::test_staticfiles_null_byte_in_path*", _NULL, "active"),
    Explained("starlette", "*::test_multipart_request_resolves_charset_once*", _CODEC, "active"),
    Explained("django", "file_uploads.tests.*test_dangerous_file_names", _TRAVERSAL, "active"),
    Explained("django", "file_uploads.tests.*test_non_printable_chars_in_file_names", _NULL_NAME, "active"),
    Explained("fastapi", "*::test_api_only_and_no_implicit_sdk_import", _SDK),
    Explained("fastapi", "*::test_missing_sdk_warns_without_preventing_startup", _SDK),
)
