"""Bytes through the gateway: both ways as they come, whatever the data plane does (edge.py)."""
import base64
import contextlib
import hashlib
import os
import signal
import threading
import time

import pytest

from edge import PATTERN, Edge, free_port, send_pattern, token
from nats_client import Nats
from polling import PATIENCE, poll

pytestmark = pytest.mark.local
MB = 1 << 20


@pytest.fixture(scope="module")
def edge():
    own = Edge({"GATEWAY_RELAY_ANSWER_TIMEOUT": "2s", "GATEWAY_RELAY_IDLE_TIMEOUT": "3s"})
    try:
        yield own.start()
    finally:
        own.stop()


def pattern(size):
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def raw(text, more=""):
    return f"GET /open/raw?text={base64.urlsafe_b64encode(text.encode('latin-1')).decode()}{more} HTTP/1.1"


# ------------------------------------------------------------------------------------------------ what goes through


@pytest.mark.parametrize("size", [0, 1, 4096, 65535, 65536, 65537, 3 * MB + 17])
@pytest.mark.parametrize("kind", ["get", "chunked"])
def test_downloads(edge, kind, size):
    answer = edge.ask(f"GET /open/{kind}/{size} HTTP/1.1")
    assert answer.status == 200 and answer.complete
    assert len(answer.body) == size
    if kind == "get":
        assert answer.body == pattern(size)
        assert (answer.headers["content-length"], answer.headers["content-type"]) == (str(size), "video/mp4")
        assert answer.headers["etag"] == '"x"'
    assert "trailer" not in answer.headers and answer.headers["x-content-type-options"] == "nosniff"


def test_a_body_that_ends_with_the_connection(edge):
    answer = edge.ask("GET /open/toclose/50000 HTTP/1.1")
    assert answer.complete and answer.body == pattern(50000)


@pytest.mark.parametrize("size", [0, 1, 5000, 100_000, 3 * MB + 17])
@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH"])
def test_uploads(edge, method, size):
    body = pattern(size)
    answer = edge.ask(f"{method} /open/sink?hash=1 HTTP/1.1\r\nContent-Length: {size}", body)
    assert answer.status == 201, answer.head
    assert answer.json() == {"bytes": size, "sha256": hashlib.sha256(body).hexdigest(), "chunked": False}
    assert answer.headers["location"] == "/open/made" and answer.headers["upload-offset"] == str(size)


@pytest.mark.parametrize("sizes", [[], [1], [5, 70_000, 3], [1 << 20] * 3])
def test_uploads_in_chunks(edge, sizes):
    body = b"".join(b"%x\r\n%s\r\n" % (n, pattern(n)) for n in sizes) + b"0\r\n\r\n"
    answer = edge.ask("PUT /open/sink?hash=1 HTTP/1.1\r\nTransfer-Encoding: chunked", body)
    whole = b"".join(pattern(n) for n in sizes)
    assert answer.json() == {"bytes": len(whole), "sha256": hashlib.sha256(whole).hexdigest(), "chunked": True}


def test_connections_live_on(edge):
    before = edge.plane.connections
    with edge.connect() as client:
        for i in range(20):
            assert client.ask("PUT /open/sink HTTP/1.1", b"x" * i).json()["bytes"] == i
            assert client.ask(f"GET /open/get/{i * 1000} HTTP/1.1").complete
            assert client.ask("GET /open/chunked/70000 HTTP/1.1").complete
    assert edge.plane.connections - before <= 2


def test_requests_in_a_row_without_waiting(edge):
    with edge.connect() as client:
        client.socket.sendall(b"".join(b"PUT /open/sink HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello"
                                       b"GET /open/get/100000 HTTP/1.1\r\nHost: t\r\n\r\n" for _ in range(5)))
        for _ in range(5):
            assert client.answer().json()["bytes"] == 5
            assert client.answer().body == pattern(100000)


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(edge, status):
    with edge.connect() as client:
        for _ in range(2):
            answer = client.ask(f"DELETE /open/status/{status} HTTP/1.1")
            assert answer.status == status and answer.headers["etag"] == '"x"'


def test_head_has_the_length_and_no_body(edge):
    with edge.connect() as client:
        answer = client.ask("HEAD /open/get/12345 HTTP/1.1")
        assert (answer.status, answer.headers["content-length"]) == (200, "12345")
        assert client.ask("GET /open/get/10 HTTP/1.1").body == pattern(10)


def test_head_and_options_are_bound_by_themselves(edge):
    answer = edge.ask("HEAD /probe HTTP/1.1")
    assert answer.status == 200 and answer.headers["upload-offset"] == "7"
    assert edge.ask("GET /probe HTTP/1.1").status == 405
    assert edge.ask("OPTIONS /open/head HTTP/1.1").json()["method"] == "OPTIONS"
    preflight = edge.ask("OPTIONS /open/head HTTP/1.1\r\nOrigin: http://good.example\r\n"
                         "Access-Control-Request-Method: PATCH")
    assert preflight.status == 204 and "PATCH" in preflight.headers["access-control-allow-methods"]


# ------------------------------------------------------------------------------------------------ heads


def test_what_the_data_plane_believes_comes_from_the_gateway_alone(edge):
    lies = ("Atrium-Caller: x\r\nATRIUM-profile: x\r\natrium-client: 9.9.9.9\r\nAtrium-Anything: x\r\ntraceparent: junk\r\n"
            "X-Forwarded-For: 8.8.8.8\r\nForwarded: for=8.8.8.8\r\nX-Real-IP: 8.8.8.8\r\nCookie: a=b\r\n"
            "Authorization: Bearer nobody\r\nTE: trailers\r\nConnection: X-Hop, keep-alive\r\nX-Hop: x\r\nX-Mine: 1\r\n"
            "Tus-Resumable: 1.0.0\r\nX-Request-ID: abc")
    seen = edge.ask("GET /open/head/a%2Fb/c?x=1&y=%20 HTTP/1.1\r\n" + lies).json()
    names = [name.lower() for name, _ in seen["headers"]]
    headers = {name.lower(): value for name, value in seen["headers"]}
    assert len(names) == len(set(names)), names
    assert seen["rest"] == ["a%2Fb", "c"] and seen["query"] == {"x": "1", "y": " "}
    assert set(names) == {"host", "x-mine", "tus-resumable", "traceparent", "x-request-id", "atrium-profile",
                          "atrium-client"}, names
    assert (headers["atrium-client"], headers["x-request-id"], headers["x-mine"]) == ("127.0.0.1", "abc", "1")
    assert headers["traceparent"] != "junk" and headers["host"] == "t"


def test_a_caller_is_named_and_strangers_do_not_come_through(edge):
    before = edge.plane.requests
    answer = edge.ask("GET /closed/head HTTP/1.1")
    assert answer.status == 401 and "unauthorized" in answer.body.decode().lower()
    answer = edge.ask("PUT /closed/sink HTTP/1.1\r\nAuthorization: Bearer x.y.z", b"x" * 1000)
    assert answer.status == 401 and edge.plane.requests == before
    seen = edge.ask(f"GET /closed/head HTTP/1.1\r\nAuthorization: Bearer {token()}").json()
    headers = {name.lower(): value for name, value in seen["headers"]}
    assert headers["atrium-caller"] and "authorization" not in headers


def test_answers_lose_what_is_between_hops_or_ours(edge):
    answer = edge.ask(raw("HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nAtrium-Secret: 1\r\n"
                          "Access-Control-Allow-Origin: *\r\nX-Frame-Options: ALLOW\r\nX-Mine: 1\r\nSet-Cookie: a=b\r\n"
                          "Set-Cookie: c=d\r\nContent-Length: 2\r\n\r\nok"))
    assert answer.body == b"ok" and answer.headers["x-mine"] == "1"
    assert answer.head.count(b"Set-Cookie") == 2
    for name in ("x-hop", "keep-alive", "atrium-secret", "access-control-allow-origin"):
        assert name not in answer.headers, name
    assert answer.headers["x-frame-options"] == "DENY"


def test_100_continue_is_the_data_planes(edge):
    with edge.connect() as client:
        client.send("PUT /open/sink HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue")
        assert client.head().startswith(b"HTTP/1.1 100")
        client.socket.sendall(b"hello")
        assert client.answer().json()["bytes"] == 5
    with edge.connect() as client:
        client.send("PUT /open/early/413 HTTP/1.1\r\nContent-Length: 50000000\r\nExpect: 100-continue")
        answer = client.answer()
        assert answer.head.startswith(b"HTTP/1.1 413") and answer.json() == {"why": "early"}
    with edge.connect() as client:
        client.send("PUT /closed/sink HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue")
        assert client.head().startswith(b"HTTP/1.1 401")


# ------------------------------------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize("framing", ["Content-Length: 200000000", "Transfer-Encoding: chunked"])
def test_an_answer_before_the_body_is_complete(edge, framing):
    with edge.connect() as client:
        client.send(f"PUT /open/early/413?linger=1 HTTP/1.1\r\n{framing}")
        piece = PATTERN if "Length" in framing else b"10000\r\n" + PATTERN + b"\r\n"
        answer, stop = [], threading.Event()
        reader = threading.Thread(target=lambda: (answer.append(client.answer()), stop.set()))
        reader.start()
        try:
            for _ in range(3000):
                if stop.is_set():
                    break
                client.socket.sendall(piece)
        except OSError:
            pass
        reader.join(10)
        assert answer[0].status == 413 and answer[0].json() == {"why": "early"}, answer[0].head
        assert answer[0].headers["connection"] == "close"


def test_a_little_body_that_was_not_wanted(edge):
    with edge.connect() as client:
        answer = client.ask("PUT /open/early/409 HTTP/1.1", b"x" * 300_000)
        assert answer.status == 409 and answer.json() == {"why": "early"}
        assert client.ask("GET /open/get/5 HTTP/1.1").body == pattern(5)


@pytest.mark.parametrize("count", [0, 1000, 500_000])
def test_a_data_plane_that_dies_cuts_the_answer(edge, count):
    answer = edge.ask(f"GET /open/die/{count} HTTP/1.1")
    assert answer.status == 200 and not answer.complete


@pytest.mark.parametrize("text", [
    "", "junk\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx", "HTTP/1.1 200 OK\r\nA: b",
    "HTTP/1.1 200 OK\r\n" + "X-A: b\r\n" * 100 + "\r\n", "HTTP/1.1 200 OK\r\nX-A: @\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX-A: a\nSet-Cookie: x=y\r\n\r\n", "HTTP/1.1 101 Switching\r\n\r\n"])
def test_a_broken_answer_is_502(edge, text):
    answer = edge.ask(raw(text))
    assert answer.status == 502, answer.head
    assert answer.json()["status"] == 502 and "set-cookie" not in answer.headers


def test_chunks_that_are_broken_cut_the_answer(edge):
    answer = edge.ask(raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX"))
    assert answer.status == 200 and not answer.complete


def test_interim_answers_are_skipped(edge):
    answer = edge.ask(raw("HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    assert answer.status == 200 and answer.body == b"ok" and "link" not in answer.headers


def test_more_than_was_announced_is_not_the_next_answer(edge):
    text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    assert edge.ask(raw(text, "&keep=1")).body == b"ok"
    assert edge.ask("GET /open/get/3 HTTP/1.1").body == pattern(3)


def test_silence_is_504_and_a_stall_cuts(edge):
    before = edge.plane.gone
    assert edge.ask("GET /open/silent HTTP/1.1").status == 504
    answer = edge.ask("GET /open/stall HTTP/1.1")
    assert answer.status == 200 and not answer.complete and len(answer.body) == 1000
    poll(lambda: edge.plane.gone == before + 2, what="both connections end")
    assert edge.metric('atrium_relay_failures_total{domain="edge",kind="timeout"}') >= 2


def test_without_a_data_plane_it_is_503():
    edge = Edge({"BYTES_BACKENDS": f"edge=127.0.0.1:{free_port()}"})
    try:
        edge.start()
        for head, body in (("GET /open/get/1 HTTP/1.1", b""), ("PUT /open/sink HTTP/1.1", b"x" * 100),
                           ("PUT /open/sink HTTP/1.1\r\nContent-Length: 100000000", b"x" * 1000)):
            answer = edge.ask(head, body)
            assert answer.status == 503 and answer.headers["retry-after"] == "1", answer.head
        assert edge.metric('atrium_relay_failures_total{domain="edge",kind="unreachable"}') == 3
        edge.gateway.terminate()
        edge.gateway.wait(10)
        edge.settings["BYTES_BACKENDS"] = f"other=127.0.0.1:1,edge=127.0.0.1:{free_port()},edge=localhost:{edge.plane.port}"
        edge.gateway = edge.start_gateway()
        poll(lambda: edge.ask("GET /open/get/1 HTTP/1.1").status == 200, what="the second address")
        for _ in range(5):
            assert edge.ask("PUT /open/sink HTTP/1.1", b"hello").status == 201
    finally:
        edge.stop()


def test_a_kept_connection_that_ended_is_not_noticed(edge):
    with edge.connect() as client:
        for _ in range(5):
            assert client.ask("GET /open/get/5 HTTP/1.1").status == 200
            for connection in list(edge.plane.open):
                with contextlib.suppress(OSError):  # its own thread may have closed it meanwhile
                    connection.shutdown(2)
            assert client.ask("PUT /open/sink HTTP/1.1", b"hello").status == 201


# ------------------------------------------------------------------------------------------------ leaving and ending


@pytest.mark.parametrize("path", ["silent", "stall", "trickle"])
def test_a_client_that_leaves_ends_the_other_side(edge, path):
    before = edge.plane.gone
    client = edge.connect()
    client.send(f"GET /open/{path} HTTP/1.1")
    if path != "silent":
        client.head()
    else:
        poll(lambda: edge.metric("atrium_relays") == 1)
    client.close()
    poll(lambda: edge.plane.gone == before + 1, seconds=PATIENCE, what="the data plane's connection ends")
    poll(lambda: edge.metric("atrium_relays") == 0)


def test_a_client_that_leaves_its_upload_ends_the_other_side(edge):
    before = edge.plane.gone
    client = edge.connect()
    client.send("PUT /open/sink HTTP/1.1\r\nContent-Length: 1000000", b"x" * 5000)
    poll(lambda: edge.metric("atrium_relays") == 1)
    client.close()
    poll(lambda: edge.plane.gone == before + 1, seconds=PATIENCE, what="the data plane's connection ends")


@pytest.mark.parametrize("what", ["trickle", "stall", "silent", "upload", "unread"])
def test_the_end_of_a_login_cuts_what_goes_on(edge, what):
    login = f"01a1f9d0-812a-7dc3-99d6-{os.urandom(6).hex()}"
    mine, other = (token(login=login), token(login=login[:-1] + ("0" if login[-1] != "0" else "1")))
    clients = []
    for bearer in (mine, other):
        client = edge.connect()
        clients.append(client)
        if what == "upload":
            client.send(f"PUT /closed/sink HTTP/1.1\r\nAuthorization: Bearer {bearer}\r\nContent-Length: 10000000",
                        b"x" * 10000)
        else:
            path = {"unread": "get/500000000"}.get(what, what)
            client.send(f"GET /closed/{path} HTTP/1.1\r\nAuthorization: Bearer {bearer}")
    poll(lambda: edge.metric("atrium_relays") == 2)
    with Nats(edge.nats_url, "auth") as bus:
        bus.publish(f"evt.auth.login.ended.{login}", b"")
        bus.flush()
        began = time.monotonic()
        poll(lambda: edge.metric("atrium_relays") == 1, seconds=PATIENCE)
        assert time.monotonic() - began < PATIENCE
        assert clients[0].left() or what == "silent"
    assert edge.metric('atrium_relay_failures_total{domain="edge",kind="login_ended"}') >= 1
    for client in clients:
        client.close()
    poll(lambda: edge.metric("atrium_relays") == 0)


# ------------------------------------------------------------------------------------------------ bounds


def test_memory_stays_flat_whoever_is_slow(edge):
    """Slow data planes and slow clients: what is on its way waits in neither direction."""
    edge.ask("GET /open/get/1000000 HTTP/1.1")
    before = edge.memory()
    peak = before
    clients = []
    for i in range(20):
        client = edge.connect()
        clients.append(client)
        if i % 2:
            client.send("GET /open/get/100000000 HTTP/1.1")
        else:
            client.socket.settimeout(0.5)
            client.send("PUT /open/sink?pause=3 HTTP/1.1\r\nContent-Length: 100000000")
            try:
                for _ in range(1000):
                    client.socket.sendall(PATTERN)
            except OSError:
                pass
        peak = max(peak, edge.memory())
    for client in clients:
        client.close()
    assert peak - before < 20 * MB, (before, peak)
    poll(lambda: edge.metric("atrium_relays") == 0)


def large(default):
    return int(os.environ.get("RELAY_TEST_BYTES", default))


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_large_file_goes_through_in_flat_memory(edge, way):
    size = large(200 * MB)
    before, peak, done = edge.memory(), [0], threading.Event()

    def watch():
        while not done.is_set():
            peak[0] = max(peak[0], edge.memory())
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with edge.connect() as client:
            if way == "up":
                client.send(f"PUT /open/sink HTTP/1.1\r\nContent-Length: {size}")
                send_pattern(client.socket, size)
                assert client.answer().json()["bytes"] == size
            else:
                assert client.ask(f"GET /open/get/{size} HTTP/1.1", keep=False).complete
    finally:
        done.set()
        watcher.join()
    print(f"\n{way}: {size >> 20} MiB, gateway before {before >> 10} KiB, peak {peak[0] >> 10} KiB")
    assert peak[0] - before < 8 * MB, (before, peak)


def test_a_slow_client_is_ended_and_a_slow_data_plane_is_not_blamed_on_it():
    edge = Edge({"GATEWAY_BODY_TIMEOUT": "1s", "GATEWAY_MIN_RATE": "1K"})
    try:
        edge.start()
        with edge.connect() as client:
            client.send("PUT /open/sink HTTP/1.1\r\nContent-Length: 1000000", b"x" * 5000)
            assert client.left(10 * PATIENCE)
        with edge.connect() as client:
            client.send("PUT /open/sink?pause=5 HTTP/1.1\r\nContent-Length: 50000000")
            send_pattern(client.socket, 50000000)
            assert client.answer().json()["bytes"] == 50000000
    finally:
        edge.stop()


def test_there_is_a_largest_number():
    edge = Edge({"GATEWAY_MAX_RELAYS": "3"})
    try:
        edge.start()
        clients = [edge.connect() for _ in range(3)]
        for client in clients:
            client.send("GET /open/stall HTTP/1.1")
        poll(lambda: edge.metric("atrium_relays") == 3)
        answer = edge.ask("GET /open/get/1 HTTP/1.1")
        assert answer.status == 503 and answer.headers["retry-after"]
        clients[0].close()
        poll(lambda: edge.ask("GET /open/get/1 HTTP/1.1").status == 200)
        for client in clients:
            client.close()
    finally:
        edge.stop()


def test_sigterm_lets_transfers_end_and_cuts_those_that_do_not():
    edge = Edge({"SHUTDOWN_TIMEOUT": "2s"})
    try:
        edge.start()
        quick, endless = edge.connect(), edge.connect()
        quick.send("PUT /open/sink HTTP/1.1\r\nContent-Length: 100000", b"x" * 50000)
        endless.send("GET /open/trickle HTTP/1.1")
        poll(lambda: edge.metric("atrium_relays") == 2)
        edge.gateway.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        quick.socket.sendall(b"x" * 50000)
        assert quick.answer().json()["bytes"] == 100000
        assert endless.left(20)
        assert edge.gateway.wait(20) == 0
    finally:
        edge.stop()
