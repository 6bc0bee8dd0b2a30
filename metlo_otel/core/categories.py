"""The categories of attacks, and what the original backend is told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

Places = Mapping[str, Sequence[str]]

Category = Literal[
    "SQLI",
    "XSS",
    "COMMAND_EXECUTION",
    "SSRF",
    "NULL_BYTES",
    "DIRECTORY_TRAVERSAL",
    "GRAPHQL_INTROSPECTION",
    "NOSQLI",
    "SSTI",
    "XXE",
    "LDAP_INJECTION",
    "LOG4SHELL",
    "CRLF",
    "DESERIALIZATION",
    "PROTOTYPE_POLLUTION",
    "SCANNER",
    "SENSITIVE_FILE",
    "MAIL_INJECTION",
    "SSI",
    "RFI",
    "REQUEST_SMUGGLING",
    "JWT_ALG_NONE",
]
ATTACKS: tuple[Category, ...] = get_args(Category)
"""The categories of attacks that are told apart."""

ON_THE_WIRE: Mapping[str, str | None] = {
    "NOSQLI": "SQLI",
    "SSTI": "COMMAND_EXECUTION",
    "XXE": "SSRF",
    "LDAP_INJECTION": "SQLI",
    "LOG4SHELL": "COMMAND_EXECUTION",
    "CRLF": "XSS",
    "DESERIALIZATION": "COMMAND_EXECUTION",
    "PROTOTYPE_POLLUTION": "COMMAND_EXECUTION",
    "SCANNER": None,
    "SENSITIVE_FILE": "DIRECTORY_TRAVERSAL",
    "MAIL_INJECTION": "COMMAND_EXECUTION",
    "SSI": "COMMAND_EXECUTION",
    "RFI": "SSRF",
    "REQUEST_SMUGGLING": "SSRF",
    "JWT_ALG_NONE": None,
}
"""What the original backend, whose list is closed, is told instead of a category that it does not know; None: nothing.
The other categories are its own.
"""


def known_detections(found: Places) -> dict[str, list[str]]:
    """Categories by place as the original backend knows them; a place where it knows nothing is left out."""
    told = {
        place: list(dict.fromkeys(name for each in names if (name := ON_THE_WIRE.get(each, each)) is not None))
        for place, names in found.items()
    }
    return {place: names for place, names in told.items() if names}


def own_detections(processed: Mapping[str, Any]) -> Any:
    """Categories by place out of a `processedTraceData`: ours where the agent sent them, else what the wire knows."""
    own = processed.get("attackCategories")
    return own if isinstance(own, Mapping) and own else processed.get("attackDetections")
