"""The edge: routing, headers, limits, and requests that no library would send."""
import http.client
import json
import re
import socket
import time
import uuid
from urllib.parse import urlparse

import pytest

from api import PASSWORD
from polling import SOON_S, poll


def raw(url, data, first_s=SOON_S):
    """Sends bytes; returns all that comes until the other side closes, or falls silent after it has begun."""
    address = urlparse(url)
    with socket.create_connection((address.hostname, address.port), timeout=SOON_S) as s:
        s.sendall(data)
        got = b""
        s.settimeout(first_s)
        try:
            while part := s.recv(65536):
                got += part
                s.settimeout(0.5)
        except (TimeoutError, ConnectionResetError):
            pass
        return got


def status_of(answer):
    match = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(match.group(1)) if match else None


# ---------------------------------------------------------------------------------------------- routing
def test_unknown_paths_are_404_problems(api):
    answer = api.get("/no/such/path")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json()["status"] == 404 and answer.json()["title"]


@pytest.mark.parametrize("path", ["/api/v1/users/@me/", "/api/v1//users/@me", "/api/v1/userz", "/api/v1/users/@me/x"])
def test_near_misses_are_404(api, user, path):
    assert api.get(path, user["access_token"]).status_code == 404


@pytest.mark.parametrize("method, path, allowed", [
    ("GET", "/api/v1/auth/login", {"POST"}),
    ("DELETE", "/api/v1/auth/register", {"POST"}),
    ("PUT", "/api/v1/auth/logins", {"GET", "DELETE"}),
    ("POST", "/healthz", {"GET"}),
])
def test_wrong_methods_are_405_with_allow(api, method, path, allowed):
    answer = api.call(method, path)
    assert answer.status_code == 405
    assert allowed <= {m.strip() for m in answer.headers["Allow"].split(",")}


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/users/@me", "/api/docs", "/version"])
def test_head_is_get_without_a_body(api, user, path):
    get = api.get(path, user["access_token"])
    head = api.call("HEAD", path, user["access_token"])
    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert head.headers["Content-Length"] == str(len(get.content)) or "gzip" in get.headers.get("Content-Encoding", "")


def test_request_ids_are_kept_or_made(api):
    assert api.get("/healthz", headers={"X-Request-ID": "mine-1"}).headers["X-Request-ID"] == "mine-1"
    made = [api.get("/api/v1/users/@me").headers["X-Request-ID"] for _ in range(2)]
    assert made[0] != made[1] and uuid.UUID(made[0])
    for bad in ("x" * 200, "with blank", "semi;colon"):
        assert api.get("/healthz", headers={"X-Request-ID": bad}).headers["X-Request-ID"] != bad


# ---------------------------------------------------------------------------------------------- CORS
def test_cors_for_a_listed_origin(api):
    answer = api.get("/healthz", headers={"Origin": "http://localhost:3000"})
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Origin" in answer.headers["Vary"]


def test_cors_preflight(api):
    answer = api.call("OPTIONS", "/api/v1/users/@me", headers={
        "Origin": "http://localhost:3000", "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,content-type"})
    assert answer.status_code in (200, 204)
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
    assert {"authorization", "content-type"} <= {
        h.strip().lower() for h in answer.headers["Access-Control-Allow-Headers"].split(",")}
    assert int(answer.headers["Access-Control-Max-Age"]) == 600


def test_cors_of_a_strange_origin_grants_no_credentials(api):
    answer = api.get("/healthz", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 200
    assert answer.headers.get("Access-Control-Allow-Credentials") != "true"
    assert answer.headers.get("Access-Control-Allow-Origin") in (None, "*")


def test_errors_carry_cors_headers_too(api):
    answer = api.get("/api/v1/users/@me", headers={"Origin": "http://localhost:3000"})
    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"


# ---------------------------------------------------------------------------------------------- what it serves itself
def test_openapi_names_every_route(api):
    document = api.get("/api/openapi.json")
    assert document.headers["Content-Type"].startswith("application/json")
    body = document.json()
    assert body["openapi"].startswith("3.1")
    assert body["info"]["title"] and body["info"]["version"]
    for path, method in (("/api/v1/auth/login", "post"), ("/api/v1/users/@me", "get"), ("/api/auth/me", "get"),
                         ("/api/v1/auth/logins/{login_id}", "delete")):
        operation = body["paths"][path][method]
        assert operation["operationId"] and operation["responses"]
    text = json.dumps(body)
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        node = body
        for step in reference.split("/"):
            node = node[step.replace("~1", "/").replace("~0", "~")]


def test_docs_need_nothing_from_elsewhere(api):
    page = api.get("/api/docs")
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    for link in re.findall(r'(?:src|href)="([^"#]+)"', page.text):
        if link.startswith("data:"):
            continue
        assert not link.startswith(("http:", "https:", "//")), link
        path = link if link.startswith("/") else f"/api/docs/{link}"
        assert api.get(path).status_code == 200, link


def test_health_set(api):
    assert api.get("/healthz").status_code == 200
    assert poll(lambda: api.get("/readyz").status_code == 200, what="ready")
    version = api.get("/version").json()
    assert version["version"][0].isdigit() and version["commit"]


@pytest.mark.local
def test_metrics_count_requests(api, user):
    def count():
        text = api.get("/metrics").text
        rows = re.findall(r'^(atrium_http_requests_total\{[^}]*/users/@me"[^}]*\}) (\d+)', text, re.M)
        return sum(int(n) for _, n in rows)

    before = count()
    for _ in range(3):
        api.me(user["access_token"])
    poll(lambda: count() == before + 3, what="three more requests")
    assert user["user"]["username"] not in api.get("/metrics").text


# ---------------------------------------------------------------------------------------------- bodies
LOGIN = "/api/v1/auth/login"


def test_too_large_a_body_is_413(api):
    answer = api.call("POST", LOGIN, data=b'{"username":"' + b"x" * 100_000 + b'"}',
                      headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"]


@pytest.mark.parametrize("body", [
    b"{", b"[]", b'{"username":', b'"text"', b'{"username":"\xff"}', b'{"username":"\\ud800"}', b"{}x{" * 3 + b"\x00",
    b"[" * 5000, b'{"x":' * 5000, b'{"username":"a","password":NaN}',
], ids="open list cut string latin1 surrogate several arrays objects nan".split())
def test_bodies_that_cannot_be_read_are_400(api, body):
    answer = api.call("POST", "/api/v1/auth/register", data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"].startswith("INVALID_")


def test_other_content_types_are_refused(api):
    answer = api.call("POST", LOGIN, data=b'{"username":"x"}', headers={"Content-Type": "text/plain"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "INVALID_BODY"


def test_a_chunked_body_is_read(stack, user):
    address = urlparse(stack.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=SOON_S)
    body = json.dumps({"username": user["user"]["username"], "password": PASSWORD}).encode()
    connection.request("POST", LOGIN, body=iter([body[:10], body[10:]]), encode_chunked=True,
                       headers={"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
    assert connection.getresponse().status == 200
    connection.close()


# ---------------------------------------------------------------------------------------------- raw requests
HEAD = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("rest", [
    b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}}",
    b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    b"Content-Length: 2, 3\r\n\r\n{}",
    b"Content-Length: +2\r\n\r\n{}",
    b"Content-Length: -2\r\n\r\n{}",
    b"Content-Length: 0x2\r\n\r\n{}",
    b"Content-Length: 2x\r\n\r\n{}",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
], ids="cl+te te+cl two-cl same-cl cl-list plus minus hex letter two-te gzip identity xchunked".split())
def test_ambiguous_lengths_are_refused(stack, rest):
    answer = raw(stack.url, HEAD + rest + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status_of(answer) == 400 or answer == b"", answer
    # What came behind it is not taken for a second request. (libmicrohttpd tells some of these refusals twice.)
    assert b"HTTP/1.1 200" not in answer and answer.count(b"HTTP/1.1 40") == answer.count(b"HTTP/1.1 "), answer


def test_requests_may_be_pipelined(stack):
    one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = raw(stack.url, one * 3 + last)
    assert len(re.findall(rb"HTTP/1\.1 200", answer)) == 4


@pytest.mark.parametrize("data", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"\r\n\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
    b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X-Filler: " + b"y" * 100_000 + b"\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
    b"GET /%00%ff/%zz HTTP/1.1\r\nHost: x\r\n\r\n", b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
], ids="tls method blank version path header headers percent authority".split())
def test_nonsense_does_not_disturb(stack, api, data):
    answer = raw(stack.url, data, first_s=1)  # to some there is none
    assert status_of(answer) in (None, 400, 404, 405, 414, 431, 505)
    assert api.get("/healthz").status_code == 200


def test_clients_that_leave_do_not_disturb(stack, api, user):
    address = urlparse(stack.url)
    request = (b"GET /api/v1/users/@me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + user["access_token"].encode()
               + b"\r\n\r\n")
    for cut in (10, len(request) - 2, len(request)):
        for _ in range(20):
            with socket.create_connection((address.hostname, address.port), timeout=SOON_S) as s:
                s.sendall(request[:cut])
    assert api.me(user["access_token"]).status_code == 200


def test_many_connections_at_once(stack, user):
    address = urlparse(stack.url)
    request = (b"GET /api/v1/users/@me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "
               + user["access_token"].encode() + b"\r\n\r\n")
    sockets = [socket.create_connection((address.hostname, address.port), timeout=SOON_S) for _ in range(300)]
    for s in sockets:
        s.sendall(request)
    for s in sockets:
        answer = b""
        while part := s.recv(65536):
            answer += part
        assert status_of(answer) == 200
        s.close()


def test_an_idle_keep_alive_connection_goes_on(api, user):
    for _ in range(3):
        began = time.monotonic()
        assert api.me(user["access_token"]).status_code == 200
        assert time.monotonic() - began < 5
