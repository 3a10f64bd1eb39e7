"""20,000 connections attempted: some are refused or ended to make room, and who behaves is served all the while."""
import re
import socket
import time
from urllib.parse import urlparse

import pytest

from api import Api
from clients import STALL_S, Bystander
from polling import PATIENCE, poll

ATTEMPTS = 20_000
SOURCES = [f"127.0.0.{n}" for n in range(2, 14)]  # one has too few ports
HOLD = 5_000  # this process's own descriptors are limited, too


def attempt(address, i):
    s = socket.socket()
    s.bind((SOURCES[i % len(SOURCES)], 0))
    s.setblocking(False)
    try:
        s.connect(address)
    except BlockingIOError:
        pass
    return s


def connections(stack):
    return int(re.search(r"^atrium_http_connections (\d+)", Api(stack.url).get("/metrics").text, re.M).group(1))


@pytest.mark.parametrize("first", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n"], ids="silent begun".split())
def test_twenty_thousand_connections(stack, user, gateway, first):
    url = urlparse(stack.url)
    held = []
    with Bystander(stack.url, user["access_token"]):
        for i in range(ATTEMPTS):
            held.append(attempt((url.hostname, url.port), i))
            if first:
                try:
                    held[-1].send(first)
                except OSError:
                    pass
            if len(held) > HOLD:
                # The oldest: half of them with a reset, as from a machine that is switched off.
                oldest = held.pop(0)
                if i % 2:
                    oldest.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                oldest.close()
        began = time.monotonic()
        assert Api(stack.url).me(user["access_token"]).status_code == 200
        assert time.monotonic() - began < STALL_S * PATIENCE
        poll(lambda: connections(stack) < 50, 4 * PATIENCE, "those that never ask are ended")
    for s in held:
        s.close()


def test_beyond_the_limit_the_longest_waiting_make_room(stack, user, gateway):
    url = urlparse(stack.url)
    with Bystander(stack.url, user["access_token"]):
        held = [attempt((url.hostname, url.port), i) for i in range(12_000)]
        poll(lambda: re.search(r'^atrium_http_connections_ended_total\{reason="full"\} [1-9]',
                               Api(stack.url).get("/metrics").text, re.M), what="room was made")
        assert connections(stack) <= 10_064
    for s in held:
        s.close()
