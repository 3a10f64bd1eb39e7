"""Clients that take their time, many at once: each is ended, and nobody else notices."""
import json
import re
import selectors
import socket
import time

import pytest

from clients import MEMORY_GROWTH_KIB, Bystander, connect, read_all, statuses, unread
from polling import PATIENCE, poll

MANY = 300
HEAD = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def ended(api):
    text = api.get("/metrics").text
    return {reason: int(count) for reason, count in
            re.findall(r'^atrium_http_connections_ended_total\{reason="(\w+)"\} (\d+)', text, re.M)}


def trickle(sockets, piece, seconds):
    """Sends a piece on each, again and again, until all are closed; how long that took, and what they said."""
    began = time.monotonic()
    living, said = set(sockets), b""
    with selectors.DefaultSelector() as selector:
        for s in living:
            s.setblocking(False)
            selector.register(s, selectors.EVENT_READ)
        while living and time.monotonic() < began + seconds:
            for s in list(living):
                try:
                    s.send(piece)
                except BlockingIOError:
                    pass
                except OSError:
                    living.discard(s)
                    selector.unregister(s)
            for key, _ in selector.select(0.1):
                try:
                    part = key.fileobj.recv(4096)
                except OSError:
                    part = b""
                said += part
                if not part:
                    living.discard(key.fileobj)
                    selector.unregister(key.fileobj)
    assert not living, f"{len(living)} of {len(sockets)} still there after {seconds} s"
    return time.monotonic() - began, said


@pytest.mark.parametrize("first, piece, bound_s, reason", [
    (b"", b"G", 2, "head"),
    (b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\n", b"A: b\r\n", 2, "head"),
    (HEAD + b"Content-Length: 60000\r\n\r\n", b" ", 2, "body"),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", 2, "body"),
], ids="line headers body chunks".split())
def test_trickled_requests_are_ended(stack, api, user, gateway, first, piece, bound_s, reason):
    before = ended(api)
    with Bystander(stack.url, user["access_token"]):
        sockets = [connect(stack.url) for _ in range(MANY)]
        for s in sockets:
            s.sendall(first)
        took, said = trickle(sockets, piece, (bound_s + 1) * PATIENCE)
        for s in sockets:
            s.close()
    assert took >= bound_s - 0.5
    after = ended(api)
    # Trickled headers come to an end of their own: there are too many.
    assert after[reason] - before[reason] >= MANY or (reason == "head" and statuses(said))
    assert set(statuses(said)) <= {408, 431}


def test_idle_connections_are_ended(stack, api, gateway):
    sockets = [connect(stack.url) for _ in range(MANY)]
    for s in sockets:
        s.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    for s in sockets:
        answer, closed = read_all(s, 5 * PATIENCE)
        assert closed and statuses(answer) == [200]
        s.close()


def ask_for_much(url):
    """With no room for it."""
    s = connect(url, receive_bytes=4096)
    s.sendall(b"GET /api/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
    s.setblocking(False)
    return s


def test_clients_that_never_read_are_ended(stack, user, gateway):
    count = 60
    with Bystander(stack.url, user["access_token"]):
        sockets = [ask_for_much(stack.url) for _ in range(count)]
        poll(lambda: unread(stack.url)[1] >= count, what="they are answered")
        assert unread(stack.url)[0] < count * 256 * 1024
        # Not only we have done with them: nothing is left in the kernel, either.
        poll(lambda: unread(stack.url)[1] < 5, 10 * PATIENCE, "their answers are dropped")
    for s in sockets:
        s.close()


def test_clients_that_read_too_slowly_are_ended(stack, api, user, gateway):
    """Steadily, so that libmicrohttpd's own timeout never comes, but below GATEWAY_MIN_RATE."""
    before = ended(api)
    sockets = [ask_for_much(stack.url) for _ in range(5)]
    until = time.monotonic() + 8 * PATIENCE
    with Bystander(stack.url, user["access_token"]):
        while ended(api)["answer"] - before["answer"] < len(sockets):
            assert time.monotonic() < until
            for s in sockets:
                try:
                    s.recv(4096)
                except OSError:
                    pass
            time.sleep(0.05)
    for s in sockets:
        s.close()


def test_bodies_of_ten_megabytes(stack, api, user, gateway):
    text = json.dumps({"username": "x" * 10_000_000}).encode()
    with Bystander(stack.url, user["access_token"]):
        for _ in range(5):
            with connect(stack.url) as s:  # told at once, before the body
                s.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(text))
                answer, closed = read_all(s, 10)
                assert statuses(answer) == [413] and closed
            with connect(stack.url) as s:  # of unknown length: read to its end
                s.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(text) + text + b"\r\n0\r\n\r\n")
                assert statuses(s.recv(4096)) == [413]
            with connect(stack.url) as s:  # blindly: the answer may be lost with the connection
                try:
                    s.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(text) + text)
                except OSError:
                    pass
                answer, closed = read_all(s, 10)
                assert closed and statuses(answer) in ([], [413])


def test_uploads_at_the_same_time_are_bounded(stack, api, user, gateway):
    """64 MiB of a body that nobody wants, from many: none of it is kept."""
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with Bystander(stack.url, user["access_token"]):
        sockets = [connect(stack.url) for _ in range(20)]
        for s in sockets:
            s.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            for s in sockets:
                s.sendall(piece)
        assert gateway.look()[1] < gateway.memory + MEMORY_GROWTH_KIB
        for s in sockets:
            s.sendall(b"0\r\n\r\n")
            assert statuses(s.recv(4096)) == [413]
            s.close()


def test_endless_bodies_are_ended(stack, gateway):
    """DISCARD_CHUNKED_MAX_BYTES: closed without an answer."""
    piece = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    sent = 0
    with connect(stack.url) as s:
        s.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            while sent < 200:
                s.sendall(piece)
                sent += 1
        except OSError:
            pass
    assert 60 <= sent < 90


def test_clients_that_leave_in_the_middle(stack, api, user, gateway):
    whole = HEAD + b"Content-Length: 40\r\n\r\n" + b'{"username":"nobody","password":"nobody"}'[:40]
    with Bystander(stack.url, user["access_token"]):
        for cut in list(range(0, len(whole), 7)) * 8:
            with connect(stack.url) as s:
                s.sendall(whole[:cut])
                if cut % 2:  # with a reset
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
