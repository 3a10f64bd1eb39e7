"""Events' console and portal, sessions' SAML routes, and cookies: over HTTP, as their contracts have them."""
import json
import re
import secrets

import pytest

from api import PASSWORD, Api, claims
from polling import PATIENCE, poll
from stack import running

pytestmark = pytest.mark.local
AT_ONCE_S = 0.2 * PATIENCE
PROBLEM = "https://sel.events/problems/"


@pytest.fixture(scope="module")
def stack():
    """Behind a proxy that is believed, so that there may be TLS."""
    with running(gateways=2, settings={"TRUSTED_PROXY_CIDRS": "127.0.0.0/8", "JWT_EXPIRY_HOURS": "3"}) as own:
        yield own


@pytest.fixture
def admin(stack):
    name = "a" + secrets.token_hex(6)
    stack.atrium("user", "create", name, "--role", "admin", "--password", PASSWORD)
    return name


@pytest.fixture
def developer(api, user, admin):
    token = api.login(admin).json()["access_token"]
    path = f"/api/v1/auth/users/{user['user']['id']}/roles/developer"
    assert api.call("PUT", path, token).status_code == 204
    return user["user"]["username"]


def log_in(api, name, path="/api/v1/admin/login", **options):
    """Cookies are left to the test: the session would send them along by itself."""
    answer = api.post(path, {"username": name, "password": PASSWORD}, **options)
    api.session.cookies.clear()
    return answer


def cookie_of(answer, name):
    """Value and attributes of a cookie that the answer sets."""
    found = [c for c in answer.raw.headers.getlist("Set-Cookie") if c.startswith(name + "=")]
    assert len(found) == 1, answer.raw.headers
    value, *attributes = found[0].split("; ")
    return value.removeprefix(name + "="), set(attributes)


def by_cookie(api, method, path, name, token, **headers):
    answer = api.call(method, path, headers={"Cookie": f"{name}={token}", **headers})
    api.session.cookies.clear()
    return answer


# ---------------------------------------------------------------------------------------------- the console
def test_the_console_logs_in(api, admin):
    answer = log_in(api, admin)
    body = answer.json()
    assert answer.status_code == 200 and body.keys() == {"token", "expires_at", "user"}
    assert body["user"].keys() == {"id", "username", "email", "role"}
    assert body["user"]["username"] == admin and body["user"]["role"] == "admin"
    said = claims(body["token"])
    assert said["iss"] == "sel.events" and said["role"] == "admin" and said["exp"] - said["iat"] == 3 * 3600
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["expires_at"])
    value, attributes = cookie_of(answer, "auth_token")
    assert value == body["token"]
    assert attributes == {"Path=/", "Max-Age=10800", "HttpOnly", "SameSite=Lax"}
    assert api.me(body["token"]).json()["data"]["username"] == admin


@pytest.mark.parametrize("proto, secure", [("https", True), ("http", False), ("https, http", False)])
def test_cookies_are_secure_over_tls(api, admin, proto, secure):
    _, attributes = cookie_of(log_in(api, admin, headers={"X-Forwarded-Proto": proto}), "auth_token")
    assert ("Secure" in attributes) == secure


@pytest.mark.parametrize("body, status, kind", [
    ({"username": "nobody-at-all", "password": PASSWORD}, 401, "unauthorized"),
    ({"username": "OWN", "password": "wrong"}, 401, "unauthorized"),
    ({"username": "OWN"}, 400, "validation-error"),
    ({}, 400, "validation-error"),
])
@pytest.mark.parametrize("path", ["/api/v1/admin/login", "/api/v1/dev/login"])
def test_refused_logins(api, user, body, status, kind, path):
    body = {k: user["user"]["username"] if v == "OWN" else v for k, v in body.items()}
    answer = api.post(path, body)
    assert answer.status_code == status and answer.json()["type"] == PROBLEM + kind
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "Set-Cookie" not in answer.headers


def test_the_console_logs_out_everywhere(api, api2, admin):
    token = log_in(api, admin).json()["token"]
    answer = api.post("/api/v1/admin/logout", token=token)
    assert answer.status_code == 200 and answer.json()["message"]
    value, attributes = cookie_of(answer, "auth_token")
    assert value == "" and "Max-Age=0" in attributes
    for gateway in (api, api2):
        poll(lambda: gateway.me(token).status_code == 401, seconds=AT_ONCE_S, what="the end of the login")
    # Without a login, too, it is well.
    assert api.post("/api/v1/admin/logout").status_code == 200
    assert api.post("/api/v1/admin/logout", token=token).status_code == 200


# ---------------------------------------------------------------------------------------------- the portal
def test_the_portal_is_for_developers(api, user, developer):
    answer = log_in(api, developer, "/api/v1/dev/login")
    assert answer.status_code == 200 and answer.json()["user"]["role"] == "developer"
    value, _ = cookie_of(answer, "dev_auth_token")
    assert value == answer.json()["token"]
    stranger = api.register()["user"]["username"]
    answer = log_in(api, stranger, "/api/v1/dev/login")
    assert answer.status_code == 403 and answer.json()["type"] == PROBLEM + "forbidden"
    assert "Set-Cookie" not in answer.headers
    # By e-mail, as the portal's page does.
    mail = secrets.token_hex(6) + "@example.org"
    other = api.register(email=mail)
    assert api.post("/api/v1/dev/login", {"email": mail, "password": PASSWORD}).status_code == 403
    assert api.post("/api/v1/admin/login", {"email": mail, "password": PASSWORD}).json()["user"]["id"] == other["user"]["id"]


def test_each_cookie_opens_its_own_part(api, developer):
    token = log_in(api, developer, "/api/v1/dev/login").json()["token"]
    origin = {"Origin": api.url}
    # The portal's cookie is no credential of the console: nothing ends.
    assert by_cookie(api, "POST", "/api/v1/admin/logout", "dev_auth_token", token, **origin).status_code == 200
    assert api.me(token).status_code == 200
    assert by_cookie(api, "POST", "/api/v1/dev/logout", "dev_auth_token", token, **origin).status_code == 200
    poll(lambda: api.me(token).status_code == 401, seconds=AT_ONCE_S, what="the end of the login")


# ---------------------------------------------------------------------------------------------- CSRF
def test_a_cookie_alone_writes_nothing(api, api2, admin):
    token = log_in(api, admin).json()["token"]
    for headers in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"X-CSRF-Token": "x" * 43}):
        answer = by_cookie(api, "POST", "/api/v1/admin/logout", "auth_token", token, **headers)
        assert answer.status_code == 403 and answer.json()["type"] == PROBLEM + "csrf-failure", headers
    assert api.me(token).status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/admin/login", "/api/v1/dev/login"])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None])
def test_no_page_of_elsewhere_logs_a_browser_in(api, developer, path, kind):
    """By a form: for JSON a browser asks first, and gets no leave."""
    text = json.dumps({"username": developer, "password": PASSWORD})
    for origin in ("https://evil.example", "null"):
        headers = {"Origin": origin, **({"Content-Type": kind} if kind else {})}
        answer = api.call("POST", path, headers=headers, data=text)
        assert answer.status_code == 403 and answer.json()["type"] == PROBLEM + "csrf-failure"
        assert "Set-Cookie" not in answer.headers
    asked = api.call("OPTIONS", path, headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST",
                                               "Access-Control-Request-Headers": "content-type"})
    assert "Access-Control-Allow-Origin" not in asked.headers
    own = api.call("POST", path, headers={"Origin": api.url, **({"Content-Type": kind} if kind else {})}, data=text)
    api.session.cookies.clear()
    assert own.status_code == 200, own.text


def test_sessions_reads_hand_out_the_token_and_all_gateways_take_it(api, api2, admin):
    token = log_in(api, admin).json()["token"]
    answer = api.get("/api/v1/users/me", token)
    api.session.cookies.clear()
    csrf = answer.headers["X-CSRF-Token"]
    value, attributes = cookie_of(answer, "csrf_token")
    assert value == csrf and attributes == {"Path=/", "Max-Age=86400", "HttpOnly", "SameSite=Lax"}
    # Another login's token is none.
    other = log_in(api, admin).json()["token"]
    answer = by_cookie(api, "POST", "/api/v1/admin/logout", "auth_token", other, **{"X-CSRF-Token": csrf})
    assert answer.status_code == 403
    # At another gateway, and from a page of another origin: who has the token may read our answers.
    answer = by_cookie(api2, "POST", "/api/v1/admin/logout", "auth_token", token,
                       **{"X-CSRF-Token": csrf, "Origin": "https://evil.example"})
    assert answer.status_code == 200
    poll(lambda: api.me(token).status_code == 401, seconds=AT_ONCE_S, what="the end of the login")


def test_strangers_get_no_token(api):
    answer = api.get("/api/v1/users/me")
    assert answer.status_code == 401 and "X-CSRF-Token" not in answer.headers and "Set-Cookie" not in answer.headers


# ---------------------------------------------------------------------------------------------- SAML
@pytest.mark.parametrize("method, path", [("GET", "login"), ("POST", "acs"), ("GET", "metadata")])
def test_there_is_no_saml(api, method, path):
    answer = api.call(method, f"/api/v1/auth/saml/{path}", data="SAMLResponse=x",
                      headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 503
    assert answer.json()["code"] == "SERVICE_UNAVAILABLE" and answer.json()["error"] == "SAML is not configured"


# ---------------------------------------------------------------------------------------------- the configuration
def test_with_a_shared_secret_there_are_no_keys(stack, api, admin):
    assert api.get("/.well-known/jwks.json").json() == {"keys": []}
    said = api.get("/.well-known/openid-configuration").json()
    assert said["id_token_signing_alg_values_supported"] == ["HS256"]
    token = log_in(api, admin).json()["token"]
    answer = api.post("/api/v1/auth/signing-keys/rotate", token=token)
    assert answer.status_code == 409 and answer.json()["code"] == "NO_SIGNING_KEYS"
