"""Who sent a request: the connection's other end, or the client that a trusted proxy names."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from metlo_otel.core.request import Address, Request

Network = IPv4Network | IPv6Network
IP = IPv4Address | IPv6Address


def client_address(request: Request, trusted: Sequence[Network]) -> tuple[Address, str | None]:
    """The client's address and, where a proxy's word replaced the peer's address, the peer.

    X-Forwarded-For is believed only from a peer in `trusted`; of its addresses the right-most counts that is not
    trusted itself, since everything left of it is the client's own claim. IPv4-mapped IPv6 becomes IPv4.
    """
    name, port = request.peer
    peer = read_ip(name) if trusted or ":" in name else None
    name = str(peer) if peer is not None else name
    if peer is None or not _within(peer, trusted):
        return (name, port), None
    client = _forwarded(request.header("x-forwarded-for"), trusted)
    if client is None or client == peer:
        return (name, port), None
    return (str(client), None), name


def read_ip(text: str) -> IP | None:
    """The address in `1.2.3.4`, `1.2.3.4:80`, `::1` or `[::1]:80`; None where there is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _forwarded(headers: Sequence[str], trusted: Sequence[Network]) -> IP | None:
    """The right-most address that is not trusted, else the left-most that could be read on the way there."""
    found = None
    for text in reversed(",".join(headers).split(",")):
        address = read_ip(text)
        if address is None:
            return found
        found = address
        if not _within(address, trusted):
            return found
    return found


def _within(address: IP, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
