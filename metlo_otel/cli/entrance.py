"""How people reach the dashboard: its address, the proxies in front of it, and the provider at which they log in."""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
from typing import TYPE_CHECKING

from metlo_otel.cli.asking import CommandError

if TYPE_CHECKING:
    from metlo_otel.collector.dashboard.provider import ProviderSettings


def add_entrance(command: argparse.ArgumentParser) -> None:
    """The options of the collector for it."""
    command.add_argument(
        "--url",
        type=_public,
        default=os.environ.get("METLO_URL") or "",
        help="where people reach the collector, such as https://metlo.example, for links (default: METLO_URL)",
    )
    command.add_argument(
        "--trusted-proxy",
        type=_network,
        action="append",
        default=[],
        metavar="NETWORK",
        help="address or network of a proxy whose X-Forwarded-For and -Proto are believed; may be given several times",
    )
    command.add_argument("--oidc-issuer", metavar="URL", help="OpenID Connect provider at which people log in too")
    command.add_argument("--oidc-client-id", default="", metavar="ID", help="its secret is METLO_OIDC_CLIENT_SECRET")
    command.add_argument(
        "--oidc-role-claim", default="groups", metavar="CLAIM", help="what --oidc-role looks at (default: %(default)s)"
    )
    command.add_argument(
        "--oidc-role",
        type=_role_value,
        action="append",
        default=[],
        metavar="ROLE=VALUE",
        help="who has this value in the claim is viewer, analyst or admin; may be given several times",
    )
    command.add_argument(
        "--oidc-default-role",
        default="",
        metavar="ROLE",
        help="of who has no account yet (default: they may not enter)",
    )


def _public(text: str) -> str:
    found = re.fullmatch(r"(https?://[^/?#\s]+)/?", text)
    if text and found is None:
        raise argparse.ArgumentTypeError(f"an address such as https://metlo.example is expected, not {text!r}")
    return found[1] if found else ""


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError as problem:
        raise argparse.ArgumentTypeError(f"an address or a network such as 10.0.0.0/8 is expected: {problem}") from None


def _role_value(text: str) -> tuple[str, str]:
    role, mark, value = text.partition("=")
    if not mark or not value:
        raise argparse.ArgumentTypeError(f"ROLE=VALUE is expected, such as admin=security, not {text!r}")
    return role, value


def provider_of(options: argparse.Namespace) -> ProviderSettings | None:
    """What is set of the provider, None where none is. Raises CommandError."""
    if not options.oidc_issuer:
        return None
    from metlo_otel.collector.dashboard.provider import ProviderSettings

    roles: dict[str, list[str]] = {}
    for role, value in options.oidc_role:
        roles.setdefault(role, []).append(value)
    secret = os.environ.get("METLO_OIDC_CLIENT_SECRET", "")
    named = (options.oidc_issuer, options.oidc_client_id, secret, options.oidc_role_claim)
    try:
        return ProviderSettings(*named, roles, options.oidc_default_role)
    except ValueError as problem:
        raise CommandError(f"--oidc-…: {problem}") from None
