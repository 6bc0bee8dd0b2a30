"""Client addresses: who sent a request, as far as trusted proxies tell, and whether that is in a range."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from metlo_otel.core.request import Address, Request

IpNetwork = IPv4Network | IPv6Network

UNIX = "unix"
X_FORWARDED_FOR, FORWARDED = "x-forwarded-for", "forwarded"
_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*)', re.IGNORECASE)
_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*(?:"|\\?\Z))+')  # a quote without an end goes to the end
_MOST_HOPS = 64
_MOST_FORWARDED = 4096  # characters of Forwarded, from the end, where the nearest proxies write


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses that share their first bits: `(number & mask) == first` for addresses of `size` bytes."""

    size: int
    mask: int
    first: int

    def holds(self, packed: bytes) -> bool:
        """Whether an address, as its 4 or 16 bytes, lies in the range."""
        return len(packed) == self.size and int.from_bytes(packed, "big") & self.mask == self.first


def parse_network(text: str) -> Range:
    """A range from `10.0.0.0/8`, `2001:db8::/32` or a single address; host bits are ignored.

    IPv4-mapped IPv6 ranges count as IPv4. Raises ValueError with the reason.
    """
    network: IpNetwork = ip_network(text.strip(), strict=False)
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            network = IPv4Network((mapped, network.prefixlen - 96))
    return Range(network.max_prefixlen // 8, int(network.netmask), int(network.network_address))


def parse_networks(texts: Iterable[object]) -> tuple[Range, ...]:
    """Ranges from their texts, or from what prints as one (the standard library's networks). Raises
    ValueError.
    """
    return tuple([parse_network(str(text)) for text in texts])


def pack(address: str) -> bytes | None:
    """The 4 or 16 bytes of a normalised address, None where the text is none."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except (OSError, ValueError):
        return None


def normalise(address: str) -> str:
    """One spelling for each address: `::ffff:192.0.2.1` is 192.0.2.1, IPv6 is compressed; other text stays as
    it is.
    """
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)


def bare(text: str) -> str:
    """An address without port and brackets, as proxies write it: `192.0.2.1:80`, `[2001:db8::1]:80`,
    `"[::1]"`.
    """
    text = text.strip().strip('"').strip()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies whose word on the client's address is believed; `unix` stands for peers without an address.

    They tell it in one `header`, its name in lower case: what a client sends in another one means nothing.
    """

    ranges: tuple[Range, ...] = ()
    unix: bool = False
    header: str = X_FORWARDED_FOR

    @classmethod
    def parse(cls, texts: Iterable[object]) -> Proxies:
        """From addresses and ranges, and `unix` for what comes in on a Unix socket. Raises ValueError."""
        names = [str(text).strip() for text in texts]
        return cls(parse_networks(name for name in names if name != UNIX), UNIX in names)

    def client(self, request: Request) -> str:
        """Who sent the request: the peer, or where that is a trusted proxy the right-most untrusted forwarded address.

        Where all are trusted, the left-most counts; an entry that is no address (`unknown`, an obfuscated name) ends
        the walk at the proxy that wrote it.
        """
        peer = request.peer[0]
        if ":" in peer:
            peer = normalise(peer)
        if not (self.ranges or self.unix) or not self.trusts(peer):
            return peer
        found = peer
        for text in reversed(self.forwarded(request)[-_MOST_HOPS:]):
            address = normalise(bare(text))
            if pack(address) is None:
                break
            found = address
            if not self.trusts(found):
                break
        return found

    def source(self, request: Request) -> tuple[Address, str | None]:
        """The client's address and, where a proxy's word replaced it, the peer; a port is only known of a peer."""
        name, port = request.peer
        peer, client = normalise(name), self.client(request)
        return ((peer, port), None) if client == peer else ((client, None), peer)

    def forwarded(self, request: Request) -> list[str]:
        """All forwarded addresses in their order, the nearest last; repeated headers are one list."""
        listed = ",".join(request.header(self.header))
        if self.header != FORWARDED:
            return [text for text in listed.split(",") if text.strip()]
        elements = _ELEMENT.findall(listed[-_MOST_FORWARDED:])  # RFC 7239
        return [match[1] for element in elements if (match := _FOR.search(element))]

    def trusts(self, address: str) -> bool:
        """Whether the word of a peer with this normalised address is believed."""
        return in_ranges(address, self.ranges) if pack(address) is not None else self.unix


def in_ranges(address: str, ranges: Iterable[Range]) -> bool:
    """Whether a normalised address lies in one of the ranges; a text that is no address does not."""
    packed = pack(address)
    return packed is not None and any(entry.holds(packed) for entry in ranges)


def network_of(address: str, bits: int) -> str:
    """What a client is counted by: an IPv4 address itself, of an IPv6 address the network of its first `bits`.

    Who has one IPv6 address has 2**64 of them: providers hand out networks of 64 bits and shorter.
    """
    if ":" not in address or bits >= 128:
        return address
    packed = pack(address)
    if packed is None:
        return address
    kept = int.from_bytes(packed, "big") >> (128 - bits) << (128 - bits)
    return f"{IPv6Address(kept)}/{bits}"
