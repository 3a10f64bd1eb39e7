"""Heads and chunks that two programs might read differently, directly and through a proxy: never a second answer, never
somebody else's. tests/integration/test_gateway.py has the ambiguous lengths."""
import re
import secrets

import pytest

from api import Api
from clients import connect, raw, read_all, statuses

GET = b"GET /healthz HTTP/1.1\r\n"
HOST = b"Host: x\r\n"
POST = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
FILLER = b"A: b\r\n"


@pytest.mark.parametrize("data, expected", [
    # the request line
    (b"GET /healthz\r\n" + HOST + b"\r\n", 400), (b"GET  /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /healthz HTTP/9.9\r\n" + HOST + b"\r\n", 505), (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"<b> /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 400), (b"G\0T /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"A" * 3000 + b" /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    (b"CONNECT x:80 HTTP/1.1\r\n" + HOST + b"\r\n", 404), (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    (b"GET http://other/healthz HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    # lengths of it
    (b"GET /" + b"a" * 8187 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    (b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    (b"GET /healthz?" + b"a&" * 4000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    (b"POST /api/v1/auth/login?" + b"a&" * 4000 + b" HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}", 400),
    # headers
    (GET + b"\r\n", 400), (b"GET /healthz HTTP/1.0\r\n\r\n", 200), (GET + b"Host: a b\r\n\r\n", 400),
    (GET + b"Host: a/b\r\n\r\n", 400), (GET + b"Host: a\r\nHost: a\r\n\r\n", 400),
    (GET + HOST + FILLER * 63 + b"\r\n", 200), (GET + HOST + FILLER * 64 + b"\r\n", 431),
    (GET + HOST + FILLER * 3000 + b"\r\n", 431), (GET + HOST + b"A: " + b"b" * 8192 + b"\r\n\r\n", 200),
    (GET + HOST + b"A: " + b"b" * 20_000 + b"\r\n\r\n", 431), (GET + HOST + b"Cookie: " + b"a=b; " * 700 + b"\r\n\r\n", 431),
    (GET + HOST + b"nonsense\r\n\r\n", 400), (GET + HOST + b": v\r\n\r\n", 400), (GET + HOST + b"A : b\r\n\r\n", 400),
    (GET + HOST + b"A: b\x01c\r\n\r\n", 400), (GET + HOST + b"A: b\0c\r\n\r\n", 400), (GET + HOST + b"A: \xff\xfe\r\n\r\n", 200),
    (GET + b" A: b\r\n" + HOST + b"\r\n", 400), (GET + HOST + b"A: b\r\n c\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\nHost: x\n\n", 400), (GET + b"Host: x\nA: b\r\n\r\n", 400), (GET + HOST + b"A: b\rC: d\r\n\r\n", 400),
    (GET + HOST + b"Upgrade: h2c\r\nConnection: upgrade\r\n\r\n", 200),
    (POST + b"Content-Length: 99999999999999999999999\r\n\r\n", 413), (POST + b"Content-Length: 99999999999\r\n\r\n", 413),
    (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    # chunks
    (CHUNKED + b"2;a=b\r\n{}\r\n0\r\n\r\n", 401), (CHUNKED + b"2\r\n{}\r\n0\r\nA: b\r\nContent-Length: 9\r\n\r\n", 401),
    (CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n", 400), (CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n", 400), (CHUNKED + b"+2\r\n{}\r\n0\r\n\r\n", 400),
    (CHUNKED + b" 2\r\n{}\r\n0\r\n\r\n", 400), (CHUNKED + b"2 \r\n{}\r\n0\r\n\r\n", 400), (CHUNKED + b"\r\n{}\r\n0\r\n\r\n", 400),
    (CHUNKED + b"z\r\n{}\r\n0\r\n\r\n", 400), (CHUNKED + b"2\r\n{}xx0\r\n\r\n", 400),
    (CHUNKED + b"11111111111111112\r\n{}\r\n0\r\n\r\n", 413), (CHUNKED + b"2\r\n{}\r\n0\r\n" + FILLER * 5000 + b"\r\n", 431),
    # expectations
    (POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", 401), (POST + b"Expect: odd\r\nContent-Length: 2\r\n\r\n{}", 401),
], ids=lambda value: None if isinstance(value, int) else repr(value[:8] + value[-24:]))
def test_odd_heads_and_chunks(stack, api, data, expected):
    answer, _ = raw(stack.url, data)
    assert [s for s in statuses(answer) if s != 100][:1] == [expected], answer[:500]
    assert set(statuses(answer)) <= {100, expected}
    assert api.get("/healthz").status_code == 200


@pytest.mark.parametrize("data", [
    CHUNKED + b"ffffffffffffffff\r\n{}", CHUNKED + b"2;" + b"a" * 20_000 + b"\r\n{}\r\n0\r\n\r\n",
    b"GET /healthz HTTP/1.1\rHost: x\r\r"], ids="endless extension cr".split())
def test_what_never_ends_is_ended(stack, data, gateway):
    """Waits for more, as it must, but not for ever."""
    answer, closed = raw(stack.url, data, 20)
    assert closed and statuses(answer) in ([], [408])


# Each ends with a second request that one of two readers might take for one.
HIDDEN = b"GET /hidden-%s HTTP/1.1\r\nHost: x\r\nX-Request-ID: hidden\r\n\r\n"
SMUGGLED = {
    "cl.te": b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "te.cl": b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "te space": b"Transfer-Encoding : chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n",
    "te tab": b"Transfer-Encoding:\tchunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n",
    "te vt": b"Transfer-Encoding: \x0bchunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n",
    "te fold": b"Transfer-Encoding:\r\n chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n",
    "te case": b"Transfer-Encoding: ChUnKeD\r\nContent-Length: %d\r\n\r\n0\r\n\r\n",
    "te quoted": b'Transfer-Encoding: "chunked"\r\nContent-Length: %d\r\n\r\n0\r\n\r\n',
    "te twice": b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n",
    "te lf": b"X: y\nTransfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n",
    "te cr": b"X: y\rTransfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n",
    "te name": b"Transfer_Encoding: chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n",
    "cl list": b"Content-Length: %d, 0\r\n\r\n",
    "cl twice": b"Content-Length: %d\r\nContent-Length: 0\r\n\r\n",
    "cl space": b"Content-Length : %d\r\n\r\n",
    "cl zero": b"Content-Length: 0%d\r\n\r\n",
    "cl hidden": b"X: y\r\n\x00Content-Length: 0\r\nContent-Length: %d\r\n\r\n",
}


@pytest.mark.parametrize("way", ["direct", "proxy"])
@pytest.mark.parametrize("kind", SMUGGLED)
def test_no_request_hides_in_another(stack, proxy, user, way, kind):
    url = stack.url if way == "direct" else proxy.url
    mark = secrets.token_hex(8).encode()
    hidden, text = HIDDEN % mark, SMUGGLED[kind]
    rest = text.split(b"\r\n\r\n", 1)[1]
    head = text % (len(rest) + len(hidden)) if b"%d" in text else text
    answer, _ = raw(url, POST + head + hidden)
    got = statuses(answer)
    assert set(got) <= {400, 401, 404, 408, 413, 501, 505}, answer
    # A reader that takes the hidden request for one of its own says so to him who sent it, and to nobody else.
    if got[:1] == [400]:
        assert set(got) == {400}
    for _ in range(5):
        own = "own-" + secrets.token_hex(4)
        other = Api(url).get("/api/v1/users/@me", user["access_token"], headers={"X-Request-ID": own})
        assert other.status_code == 200 and other.headers["X-Request-ID"] == own
        assert other.json()["data"]["username"] == user["user"]["username"]


def test_an_answer_is_never_left_for_the_next_client(stack, proxy, user):
    """Refused bodies, many at a time, on connections that the proxy keeps: nobody gets what was meant for others."""
    for i in range(50):
        raw(proxy.url, POST + b"Content-Length: 100000\r\n\r\n" + b"x" * (i * 2000), 0.05)
        own = f"after-{i}"
        answer = Api(proxy.url).get("/api/v1/users/@me", user["access_token"], headers={"X-Request-ID": own})
        assert (answer.status_code, answer.headers["X-Request-ID"]) == (200, own)


def test_half_closed_clients_get_their_answer(stack):
    with connect(stack.url) as s:
        s.sendall(GET + HOST + b"\r\n")
        s.shutdown(1)
        answer, closed = read_all(s, 20)
    assert statuses(answer) == [200] and closed


@pytest.mark.parametrize("data", [b"", b"GET /heal", POST, POST + b"Content-Length: 20\r\n\r\n{"],
                         ids="nothing line head body".split())
def test_half_closed_requests_are_ended(stack, data, gateway):
    with connect(stack.url) as s:
        s.sendall(data)
        s.shutdown(1)
        answer, closed = read_all(s, 20)
    assert closed and statuses(answer) in ([], [408])
    assert not re.search(rb"HTTP/1\.1 200", answer)
