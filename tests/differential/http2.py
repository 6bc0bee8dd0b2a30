"""One request over HTTP/2 without TLS, as a client that knows the server speaks it."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

from tests.differential.message import Message


def ask(connection: socket.socket, message: Message, door: tuple[bytes, bytes]) -> tuple[int, bytes]:
    """Status and body; status 0 where there is no answer. Nothing is checked or changed before it is sent."""
    config = H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
    client = H2Connection(config)
    client.initiate_connection()
    client.send_headers(1, _head(message, door), end_stream=not message.body)
    if message.body:
        for start in range(0, len(message.body), 16_000):
            piece = message.body[start : start + 16_000]
            client.send_data(1, piece, end_stream=start + 16_000 >= len(message.body))
    connection.sendall(client.data_to_send())
    return _answer(client, connection)


def _head(message: Message, door: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    pseudo = [
        (b":method", message.method),
        (b":path", message.target),
        (b":scheme", b"http"),
        (b":authority", b"shop.example"),
    ]
    return [*pseudo, *[(name.lower(), value.strip()) for name, value in (door, *message.headers)]]


def _answer(client: H2Connection, connection: socket.socket) -> tuple[int, bytes]:
    status, body = 0, b""
    with suppress(ProtocolError):
        while data := connection.recv(65_536):
            for event in client.receive_data(data):
                if isinstance(event, ResponseReceived):
                    status = _status(event.headers or ())
                elif isinstance(event, DataReceived):
                    body += event.data or b""
                elif isinstance(event, StreamEnded | StreamReset | ConnectionTerminated):
                    return status, body
            connection.sendall(client.data_to_send())
    return status, body


def _status(headers: Iterable[tuple[str | bytes, str | bytes]]) -> int:
    return next((int(value) for name, value in headers if name in (b":status", ":status")), 0)
