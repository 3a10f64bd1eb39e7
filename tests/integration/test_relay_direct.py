"""Large bodies, which the gateway moves from socket to socket past libmicrohttpd: what test_relay.py asks of all, at their
sizes, and what is theirs alone."""
import base64
import email.utils
import hashlib
import os
import re
import threading
import time

import pytest

from edge import PATTERN, Edge, send_pattern, token
from nats_client import Nats
from polling import PATIENCE, poll

pytestmark = pytest.mark.local
KB, MB = 1 << 10, 1 << 20
UP, DOWN = 512 * KB, 4 * MB # from here on
PIPES = 192
DIRECT = "atrium_relay_direct_bytes_total"


@pytest.fixture(scope="module")
def edge():
    own = Edge({"GATEWAY_RELAY_ANSWER_TIMEOUT": "2s", "GATEWAY_RELAY_IDLE_TIMEOUT": "3s"})
    try:
        yield own.start()
    finally:
        own.stop()


@pytest.fixture(autouse=True)
def nothing_is_left(edge):
    edge.ask("GET /livez HTTP/1.1")
    yield
    poll(lambda: edge.metric("atrium_relays") == 0, what="no relay is left")
    assert edge.metric("atrium_relay_pipes") <= 16
    kept = 2 * edge.metric("atrium_relay_pipes") + len(edge.plane.open)
    poll(lambda: edge.descriptors() < 60 + kept, what="descriptors are closed")


def pattern(size):
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def sha256(body):
    return hashlib.sha256(body).hexdigest()


def upload(edge, path, size, headers=""):
    """The answer, while it may come at any time."""
    with edge.connect() as client:
        client.send(f"PUT {path} HTTP/1.1\r\nContent-Length: {size}{headers}")
        try:
            send_pattern(client.socket, size)
        except OSError:
            pass
        return client.answer()


# ------------------------------------------------------------------------------------------------ what goes through


@pytest.mark.parametrize("size", [UP - 1, UP, UP + 1, UP + 16 * KB, MB + 1, 64 * MB])
def test_uploads(edge, size):
    before = edge.metric(DIRECT)
    answer = upload(edge, "/open/sink?hash=1", size)
    assert answer.status == 201 and answer.json() == {"bytes": size, "sha256": sha256(pattern(size)), "chunked": False}
    assert answer.headers["upload-offset"] == str(size) and answer.headers["x-content-type-options"] == "nosniff"
    past = size >= UP + 16 * KB # what came with the head is no longer counted
    assert (edge.metric(DIRECT) > before) == (answer.headers.get("connection") == "close")
    assert not past or edge.metric(DIRECT) > before


@pytest.mark.parametrize("size", [DOWN - 1, DOWN, DOWN + 1, 64 * MB])
def test_downloads(edge, size):
    before = edge.metric(DIRECT)
    answer = edge.ask(f"GET /open/get/{size} HTTP/1.1\r\nOrigin: http://good.example")
    assert answer.status == 200 and answer.complete and answer.headers["content-length"] == str(size)
    assert sha256(answer.body) == sha256(pattern(size))
    assert answer.headers["access-control-allow-origin"] == "http://good.example" and answer.headers["etag"] == '"x"'
    assert answer.head.count(b"\r\nContent-Length:") == 1
    assert edge.metric(DIRECT) - before == (size if size >= DOWN else 0)
    assert (answer.headers.get("connection") == "close") == (size >= DOWN)


def test_parts_and_heads(edge):
    answer = edge.ask(f"GET /open/get/{DOWN + 5} HTTP/1.1\r\nRange: bytes=0-{DOWN + 4}")
    assert answer.status == 206 and answer.headers["content-range"] == f"bytes 0-{DOWN + 4}/{DOWN + 6}"
    assert answer.body == pattern(DOWN + 5)
    with edge.connect() as client:
        for _ in range(2):
            answer = client.ask("HEAD /open/get/100000000 HTTP/1.1")
            assert (answer.status, answer.headers["content-length"]) == (200, "100000000")


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_slow_client(edge, way):
    size = 16 * MB
    with edge.connect() as client:
        if way == "up":
            client.send(f"PUT /open/sink?hash=1 HTTP/1.1\r\nContent-Length: {size}")
            body = pattern(size)
            for at in range(0, size, 100_001):
                client.socket.sendall(body[at:at + 100_001])
                time.sleep(0.002)
            assert client.answer().json()["sha256"] == sha256(body)
        else:
            client.send(f"GET /open/get/{size} HTTP/1.1")
            assert client.head()
            digest, left = hashlib.sha256(), size
            while left:
                piece = client.source.read(min(left, 100_001))
                assert piece
                digest.update(piece)
                left -= len(piece)
                time.sleep(0.002)
            assert digest.hexdigest() == sha256(pattern(size))


def test_a_slow_data_plane(edge):
    size = 16 * MB
    answer = upload(edge, "/open/sink?hash=1&pause=1", size)
    assert answer.json()["sha256"] == sha256(pattern(size))


def test_100_continue(edge):
    with edge.connect() as client:
        client.send(f"PUT /open/sink?hash=1 HTTP/1.1\r\nContent-Length: {2 * MB}\r\nExpect: 100-continue")
        assert client.head().startswith(b"HTTP/1.1 100")
        client.socket.sendall(pattern(2 * MB))
        assert client.answer().json()["sha256"] == sha256(pattern(2 * MB))


def test_it_is_the_last_on_a_connection_that_lived_before(edge):
    with edge.connect() as client:
        for i in range(3):
            assert client.ask("PUT /open/sink HTTP/1.1", b"x" * i).status == 201
            assert client.ask(f"GET /open/get/{MB} HTTP/1.1").body == pattern(MB)
        assert client.ask(f"GET /open/get/{DOWN} HTTP/1.1").body == pattern(DOWN)
        assert client.left()


@pytest.mark.parametrize("text,body", [
    ("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n@", 20000), ("HTTP/1.1 204 X\r\nETag: x\r\n\r\n", None),
    ("HTTP/1.1 200 OK\r\n\r\n@", 20000), ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4e20\r\n@\r\n0\r\n\r\n", 20000)])
def test_answers_of_uploads_in_every_form(edge, text, body):
    path = "/open/raw?text=" + base64.urlsafe_b64encode(text.encode()).decode()
    with edge.connect() as client:
        client.send(f"PUT {path} HTTP/1.1\r\nContent-Length: {MB}", pattern(MB))
        head = client.head()
        assert head.startswith(b"HTTP/1.1 204" if body is None else b"HTTP/1.1 200") and b"Connection: close" in head
        date = re.search(rb"\r\nDate: ([^\r]+ GMT)\r\n", head).group(1).decode()
        assert abs(email.utils.parsedate_to_datetime(date).timestamp() - time.time()) < 60
        assert client.source.read() == b"a" * (body or 0)


# ------------------------------------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize("count", [0, 1000, 6 * MB])
def test_a_data_plane_that_dies_cuts_the_answer(edge, count):
    before = edge.metric('atrium_relay_failures_total{domain="edge",kind="broken"}')
    answer = edge.ask(f"GET /open/die/{count}/100000000 HTTP/1.1")
    assert answer.status == 200 and not answer.complete and len(answer.body) <= count
    assert edge.metric('atrium_relay_failures_total{domain="edge",kind="broken"}') == before + 1


def test_a_data_plane_that_dies_within_an_upload(edge):
    answer = upload(edge, f"/open/drop/{MB}", 3 * MB)
    assert answer.status == 502 and answer.json()["status"] == 502 and answer.headers["connection"] == "close"


def test_a_data_plane_that_does_not_answer(edge):
    answer = upload(edge, "/open/sink?pause=6", UP + 16 * KB)
    assert answer.status == 504 and answer.headers["connection"] == "close"


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_client_that_leaves_ends_the_other_side(edge, way):
    before = edge.plane.gone
    client = edge.connect()
    if way == "up":
        client.send("PUT /open/sink HTTP/1.1\r\nContent-Length: 10000000", pattern(5 * MB))
    else:
        client.send("GET /open/get/500000000 HTTP/1.1")
        assert client.source.read(6 * MB)
    client.close()
    poll(lambda: edge.plane.gone == before + 1, seconds=PATIENCE, what="the data plane's connection ends")


@pytest.mark.parametrize("way", ["up", "down"])
def test_the_end_of_a_login_cuts(edge, way):
    login = f"01a1f9d0-812a-7dc3-99d6-{os.urandom(6).hex()}"
    before = edge.metric(DIRECT)
    with edge.connect() as client, Nats(edge.nats_url, "auth") as bus:
        bearer = f"Authorization: Bearer {token(login=login)}"
        if way == "up":
            client.send(f"PUT /closed/sink HTTP/1.1\r\n{bearer}\r\nContent-Length: 10000000", pattern(5 * MB))
        else:
            client.send(f"GET /closed/get/500000000 HTTP/1.1\r\n{bearer}")
            assert client.source.read(6 * MB)
        poll(lambda: edge.metric(DIRECT) > before + MB)
        bus.publish(f"evt.auth.login.ended.{login}", b"")
        bus.flush()
        poll(lambda: edge.metric("atrium_relays") == 0, seconds=PATIENCE)
        assert client.left()


# ------------------------------------------------------------------------------------------------ bounds


def test_without_pipes_it_goes_by_buffers(edge):
    clients = []
    for _ in range(PIPES):
        client = edge.connect()
        clients.append(client)
        client.send(f"PUT /open/sink?pause=2 HTTP/1.1\r\nContent-Length: {MB}", b"x" * 1000)
    poll(lambda: edge.metric("atrium_relay_pipes") == PIPES, what="all pipes are in use")
    answer = upload(edge, "/open/sink?hash=1", 3 * MB + 1)
    assert answer.json()["sha256"] == sha256(pattern(3 * MB + 1))
    assert edge.ask(f"GET /open/get/{DOWN + 1} HTTP/1.1").body == pattern(DOWN + 1)
    for client in clients:
        client.close()
    poll(lambda: edge.metric("atrium_relays") == 0)


def test_memory_stays_flat_with_many(edge):
    before, peak = edge.memory(), [0]
    size = 32 * MB

    def one(i):
        if i % 2:
            assert edge.ask(f"GET /open/get/{size} HTTP/1.1", keep=False).complete
        else:
            assert upload(edge, "/open/sink", size).json()["bytes"] == size

    threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        peak[0] = max(peak[0], edge.memory())
        time.sleep(0.05)
    assert peak[0] - before < 12 * MB, (before, peak)
