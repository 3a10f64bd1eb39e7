"""Signing in with others: media's wire facts (contract 4.2, both styles), GitHub for events' portal, an OpenID provider,
linking; and what a provider that hangs does not do."""
import re
import secrets
import threading
import time
import urllib.parse

import pytest

from api import PASSWORD, Api
from polling import PATIENCE, poll
from stack import running
from standin_provider import Provider
from test_five_apis import ACCOUNT, DOORS, SHOWN, sign_in_everywhere

pytestmark = pytest.mark.local
JSON = {"Accept": "application/json"}
FRONTEND, APP = "https://media.example", "https://app.example/in"


@pytest.fixture(scope="module")
def provider():
    own = Provider()
    try:
        yield own
    finally:
        own.close()


@pytest.fixture(scope="module")
def stack(provider):
    with running(gateways=1, settings={**provider.settings(), "FRONTEND_URL": FRONTEND, "SIGN_IN_RETURN_URLS": APP}) as own:
        yield own


@pytest.fixture
def browser(stack):
    """Cookies and all, but it goes where the test says."""
    return Api(stack.url)


def go(browser, path, params=None, **options):
    return browser.get(path, params=params, allow_redirects=False, **options)


def parameters(url):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query, strict_parsing=True))


def new_id():
    return str(secrets.randbelow(10**17) + 1)


def come_from_discord(browser, provider, headers=None, **person):
    location = go(browser, "/auth/discord/login").headers["Location"]
    return go(browser, "/auth/discord/callback", provider.consent(location, **person), headers=headers)


def come_from_acme(browser, provider, path="/api/v1/auth/oidc/acme/login", **person):
    location = go(browser, path).headers["Location"]
    return go(browser, "/api/v1/auth/oidc/acme/callback", provider.consent(location, **person))


# ---------------------------------------------------------------------------------------------- media: there
def test_discord_begins_with_a_redirect(browser):
    answer = go(browser, "/auth/discord/login")
    assert answer.status_code == 307
    location = answer.headers["Location"]
    assert re.fullmatch(r"https://discord\.com/api/oauth2/authorize\?client_id=dis&redirect_uri=https%3A%2F%2Fmedia\.example"
                        r"%2Fauth%2Fdiscord%2Fcallback&response_type=code&scope=identify&state=[\w-]{22}%3D%3D", location)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.text.count("\n") == 1 and "&amp;state=" in answer.text
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("atrium_signin=") and "HttpOnly" in cookie and "SameSite=Lax" in cookie
    assert "Max-Age=600" in cookie and "Path=/" in cookie


def test_discord_begins_with_json_for_who_asks(browser):
    answer = go(browser, "/auth/discord/login", headers=JSON)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
    assert answer.json().keys() == {"url"}
    assert len(parameters(answer.json()["url"])["state"]) == 24


# ---------------------------------------------------------------------------------------------- media: and back
def test_discord_ends_with_a_token_in_the_address(browser, provider):
    who = new_id()
    answer = come_from_discord(browser, provider, id=who, username="Ann.", avatar="abc")
    assert answer.status_code == 307
    token = re.fullmatch(r"https://media\.example/auth/callback\?token=([\w-]{43}=)", answer.headers["Location"])[1]
    me = browser.get("/auth/me", token).json()
    assert me["discord_id"] == who and me["username"] == "Ann." and isinstance(me["id"], int)
    assert me["avatar_url"] == f"https://cdn.discordapp.com/avatars/{who}/abc.png"
    # Name and picture are those of the last login; the account stays.
    come_from_discord(browser, provider, id=who, username="Anna", avatar=None)
    again = browser.get("/auth/me", token).json()
    assert again == {**me, "username": "Anna", "avatar_url": ""}


def test_discord_ends_with_json_for_who_asks(browser, provider):
    answer = come_from_discord(browser, provider, JSON, id=new_id(), username="bob", avatar=None)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
    assert answer.json().keys() == {"token", "redirect_url"} and answer.json()["redirect_url"] == FRONTEND
    assert browser.get("/auth/me", answer.json()["token"]).status_code == 200


def refused(browser, params, status, text, code, **options):
    """In both styles."""
    answer = go(browser, "/auth/discord/callback", params, **options)
    assert answer.status_code == status and answer.text == text + "\n", answer.text
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "Location" not in answer.headers


def refused_in_json(browser, params, status, text, code):
    answer = go(browser, "/auth/discord/callback", params, headers=JSON)
    assert answer.status_code == status
    assert answer.json() == {"code": code, "message": text, "details": None}


@pytest.mark.parametrize("check", [refused, refused_in_json])
@pytest.mark.parametrize("params", [{}, {"error": "access_denied", "state": "x"}, {"code": ""}])
def test_without_a_code(browser, check, params):
    check(browser, params, 400, "missing authorization code", "invalid_argument")


@pytest.mark.parametrize("check", [refused, refused_in_json])
def test_states_that_are_none(stack, browser, provider, check):
    text = "this sign-in is not good, or not good any more: begin again"
    params = provider.consent(go(browser, "/auth/discord/login").headers["Location"], id=new_id(), username="x")
    other = Api(stack.url)
    go(other, "/auth/discord/login")
    before = len(provider.seen)
    for who, what in [(browser, {**params, "state": "x"}), (browser, {"code": params["code"]}), (other, params),
                      (Api(stack.url), params)]:
        check(who, what, 400, text, "invalid_argument")
    assert len(provider.seen) == before
    assert go(browser, "/auth/discord/callback", params).status_code == 307
    check(browser, params, 400, text, "invalid_argument")


@pytest.mark.parametrize("check", [refused, refused_in_json])
def test_what_discord_refuses(browser, provider, check):
    state = parameters(go(browser, "/auth/discord/login").headers["Location"])["state"]
    check(browser, {"code": "made-up", "state": state}, 500, "failed to authenticate with Discord", "internal")
    params = provider.consent(go(browser, "/auth/discord/login").headers["Location"])  # nobody
    check(browser, params, 500, "failed to get user info from Discord", "internal")
    provider.down = True
    try:
        params = provider.consent(go(browser, "/auth/discord/login").headers["Location"], id=new_id(), username="x")
        check(browser, params, 500, "failed to authenticate with Discord", "internal")
    finally:
        provider.down = False


# ---------------------------------------------------------------------------------------------- one account, five APIs
def test_an_account_made_by_media_adds_what_it_misses_and_signs_in_everywhere(browser, provider, name):
    """As test_five_apis has it for accounts that are made with a password."""
    who, email = new_id(), f"{name}@example.org"

    def by_discord():
        return come_from_discord(browser, provider, JSON, id=who, username="Ann", avatar=None).json()["token"]

    token = by_discord()
    account = browser.get(ACCOUNT, token).json()
    assert not account["has_password"] and not account["email"]
    # Its token is good at every API at once.
    assert browser.get("/api/auth/me", token).status_code == 200
    for path in SHOWN:
        assert browser.get(path, token).status_code == 200, path
    # No door opens without a password: none that it lacks, either.
    for door in DOORS:
        assert DOORS[door](browser, account["username"], "")[0].status_code in (400, 401, 422), door
    added = browser.post("/api/v1/auth/password", {"username": name, "password": PASSWORD}, token)
    assert added.status_code == 200 and added.json()["username"] == name, added.text
    again = browser.post("/api/v1/auth/password", {"password": PASSWORD}, token)
    assert again.status_code == 409 and again.json()["code"] == "HAS_PASSWORD"
    changed = browser.call("PATCH", ACCOUNT, token, json={"email": email, "password": PASSWORD})
    assert changed.status_code == 200 and changed.json()["email"] == email
    tokens = sign_in_everywhere(browser, {"name": name, "email": email, "password": PASSWORD})
    assert len(tokens) == 2 * len(DOORS)
    for way, each in {**tokens, "discord": by_discord()}.items():
        assert browser.get(ACCOUNT, each).json()["id"] == account["id"], way
        assert browser.get("/auth/me", each).json()["discord_id"] == who, way


# ---------------------------------------------------------------------------------------------- OpenID
def test_an_openid_provider(browser, provider):
    listed = browser.get("/api/v1/auth/providers").json()["providers"]
    assert {"name": "acme", "title": "Acme", "login_path": "/api/v1/auth/oidc/acme/login"} in listed
    name = "n" + secrets.token_hex(6)
    answer = come_from_acme(browser, provider, sub=new_id(), preferred_username=name)
    assert answer.status_code == 307 and answer.headers["Location"].startswith(APP + "?code=")
    code = parameters(answer.headers["Location"])["code"]
    result = browser.post("/api/v1/auth/exchange", {"code": code})
    assert result.status_code == 200 and result.json()["user"]["username"] == name
    assert browser.me(result.json()["access_token"]).status_code == 200
    again = browser.post("/api/v1/auth/exchange", {"code": code})
    assert again.status_code == 400 and again.json()["code"] == "INVALID_STATE"


def test_what_an_openid_provider_refuses_or_cannot(browser, provider):
    def callback(**params):
        state = parameters(go(browser, "/api/v1/auth/oidc/acme/login").headers["Location"])["state"]
        return go(browser, "/api/v1/auth/oidc/acme/callback", {"state": state, **params})

    for params in ({"error": "access_denied", "error_description": "<b>no</b>"}, {"code": "made-up"},
                   {"code": "x", "iss": "https://evil.example"}):
        answer = callback(**params)
        assert answer.status_code == 401 and answer.json()["code"] == "SIGN_IN_REFUSED" and "<b>" not in answer.text
    provider.down = True
    try:
        answer = callback(code="x")
        assert answer.status_code == 502 and answer.json()["code"] == "PROVIDER_UNAVAILABLE"
    finally:
        provider.down = False
    for path in ("/api/v1/auth/oidc/nobody/login", "/api/v1/auth/oidc/discord/login", "/api/v1/auth/oidc/nobody/callback"):
        assert go(browser, path).json()["code"] == "NO_SUCH_PROVIDER"
    answer = go(browser, "/api/v1/auth/oidc/acme/login", {"return_to": "https://evil.example/"})
    assert answer.status_code == 400 and answer.json()["code"] == "INVALID_RETURN_TO"


LIES = {
    "the nonce of another sign-in": {"lies": {"nonce": "another"}},
    "no nonce": {"lies": {"nonce": None}},
    "another issuer": {"lies": {"iss": "https://evil.example"}},
    "for somebody else": {"lies": {"aud": "them"}},
    "for several, asked by another": {"lies": {"aud": ["us", "them"], "azp": "them"}},
    "over": {"lies": {"exp": lambda now: now - 120}},
    "of tomorrow": {"lies": {"iat": lambda now: now + 86400}},
    "without an end": {"lies": {"exp": None}},
    "of nobody": {"lies": {"sub": ""}},
    "not signed": {"signing": "none"},
    "signed by the published key as a secret": {"signing": "HS256"},
    "signed by our own password": {"signing": "HS256 by password"},
    "signed by another key of that name": {"signing": "RS256 by another"},
    "under a name that is no key's": {"kid": "k0"},
}


@pytest.mark.parametrize("lie", LIES)
def test_an_id_token_that_proves_nothing_is_refused(browser, provider, lie):
    what = LIES[lie]
    published = provider.kid
    location = go(browser, "/api/v1/auth/oidc/acme/login").headers["Location"]
    params = provider.consent(location, sub=new_id())
    assert come_from_acme(browser, provider, sub=new_id()).status_code == 307  # its keys are known
    with provider.changed(**{name: value for name, value in what.items() if name != "kid"},
                          said_kid=what.get("kid", published)):
        answer = go(browser, "/api/v1/auth/oidc/acme/callback", params)
    assert answer.status_code == 401 and answer.json()["code"] == "SIGN_IN_REFUSED", answer.text
    assert "Location" not in answer.headers
    # The state is used up by it, and so is the code.
    again = go(browser, "/api/v1/auth/oidc/acme/callback", params)
    assert again.status_code == 400 and again.json()["code"] == "INVALID_STATE"


def test_a_code_that_was_used_brings_nobody_in(browser, provider):
    """With a fresh state, as a thief would have it who saw the address."""
    location = go(browser, "/api/v1/auth/oidc/acme/login").headers["Location"]
    params = provider.consent(location, sub=new_id())
    assert go(browser, "/api/v1/auth/oidc/acme/callback", params).status_code == 307
    state = parameters(go(browser, "/api/v1/auth/oidc/acme/login").headers["Location"])["state"]
    answer = go(browser, "/api/v1/auth/oidc/acme/callback", {"code": params["code"], "state": state})
    assert answer.status_code == 401 and answer.json()["code"] == "SIGN_IN_REFUSED"


def test_a_code_of_another_browsers_way_brings_nobody_in(browser, provider):
    """It is bound to the verifier that this browser's state leads to (PKCE)."""
    theirs = provider.consent(go(browser, "/api/v1/auth/oidc/acme/login").headers["Location"], sub=new_id())
    state = parameters(go(browser, "/api/v1/auth/oidc/acme/login").headers["Location"])["state"]
    answer = go(browser, "/api/v1/auth/oidc/acme/callback", {"code": theirs["code"], "state": state})
    assert answer.status_code == 401 and answer.json()["code"] == "SIGN_IN_REFUSED"


def test_keys_that_rotate_cost_nobody_a_refusal(browser, provider):
    who = new_id()
    assert come_from_acme(browser, provider, sub=who).status_code == 307
    provider.rotate("k" + secrets.token_hex(4))
    before = provider.seen.count("/keys")
    for _ in range(3):
        assert come_from_acme(browser, provider, sub=who).status_code == 307
    assert provider.seen.count("/keys") == before + 1


def test_a_provider_whose_answers_have_no_end_is_as_one_that_is_down(browser, provider):
    location = go(browser, "/api/v1/auth/oidc/acme/login").headers["Location"]
    params = provider.consent(location, sub=new_id())
    with provider.changed(padding_bytes=4 << 20):
        answer = go(browser, "/api/v1/auth/oidc/acme/callback", params)
    assert answer.status_code == 502 and answer.json()["code"] == "PROVIDER_UNAVAILABLE"


def test_one_code_for_many_makes_one_login(browser, provider):
    code = parameters(come_from_acme(browser, provider, sub=new_id()).headers["Location"])["code"]
    statuses = []

    def fetch():
        statuses.append(Api(browser.url).post("/api/v1/auth/exchange", {"code": code}).status_code)

    threads = [threading.Thread(target=fetch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [400] * 7


def test_an_unverified_address_takes_over_nothing(browser, provider):
    mail = secrets.token_hex(6) + "@example.org"
    owner = browser.register(email=mail)
    for verified in (False, True):  # here nobody has verified it, whatever is said there
        answer = come_from_acme(browser, provider, sub=new_id(), email=mail, email_verified=verified)
        result = browser.post("/api/v1/auth/exchange", {"code": parameters(answer.headers["Location"])["code"]}).json()
        assert result["user"]["id"] != owner["user"]["id"] and not result["user"].get("email")


def test_linking_and_unlinking(browser, provider, user):
    token, who = user["access_token"], new_id()
    assert browser.post("/api/v1/auth/identities/acme", {}, token).status_code in (200, 403)
    answer = browser.post("/api/v1/auth/identities/acme", {"password": PASSWORD}, token)
    assert answer.status_code == 200
    path = urllib.parse.urlsplit(answer.json()["url"])
    back = come_from_acme(browser, provider, f"{path.path}?{path.query}", sub=who, preferred_username="mine")
    assert back.status_code == 307 and back.headers["Location"] == APP + "?linked=acme"
    listed = browser.get("/api/v1/auth/identities", token).json()
    assert listed["has_password"] and [i["name"] for i in listed["identities"]] == ["mine"]
    code = parameters(come_from_acme(browser, provider, sub=who).headers["Location"])["code"]
    assert browser.post("/api/v1/auth/exchange", {"code": code}).json()["user"]["id"] == user["user"]["id"]
    gone = browser.call("DELETE", f"/api/v1/auth/identities/{listed['identities'][0]['id']}", token)
    assert gone.status_code == 204 and not gone.content
    assert browser.get("/api/v1/auth/identities", token).json()["identities"] == []


# ---------------------------------------------------------------------------------------------- GitHub
def test_github_opens_the_portal_to_developers(stack, browser, provider, user):
    who = int(new_id()[:9])

    def come(path="/auth/github", **person):
        location = go(browser, path).headers["Location"]
        assert parameters(location)["code_challenge_method"] == "S256"
        return go(browser, "/auth/github/callback", provider.consent(location, **person))

    stranger = come(id=who + 1, login="g" + secrets.token_hex(6))
    assert stranger.status_code == 403 and "dev_auth_token" not in stranger.headers.get("Set-Cookie", "")
    admin = "a" + secrets.token_hex(6)
    stack.atrium("user", "create", admin, "--role", "admin", "--password", PASSWORD)
    token = browser.login(admin).json()["access_token"]
    assert browser.call("PUT", f"/api/v1/auth/users/{user['user']['id']}/roles/developer", token).status_code == 204
    link = browser.post("/api/v1/auth/identities/github", {"password": PASSWORD}, user["access_token"]).json()["url"]
    path = urllib.parse.urlsplit(link)
    linked = come(f"{path.path}?{path.query}", id=who, login="dev")
    assert linked.status_code == 307 and linked.headers["Location"] == APP + "?linked=github"
    answer = come(id=who, login="dev")
    assert answer.status_code == 307 and answer.headers["Location"] == "/dev"
    assert "dev_auth_token=" in answer.headers["Set-Cookie"]
    assert go(browser, "/auth/github/callback", {"code": "x", "state": "y"}).json()["type"].endswith("validation-error")


# ---------------------------------------------------------------------------------------------- a provider that hangs
def test_a_provider_that_hangs_keeps_nobody_else_waiting(stack, provider, user):
    name, token = user["user"]["username"], user["access_token"]
    ways = []
    for _ in range(50):
        browser = Api(stack.url)
        ways.append((browser, provider.consent(go(browser, "/auth/discord/login").headers["Location"], id=new_id(),
                                               username="x")))
    provider.hang.set()
    statuses = []

    def come(browser, params):
        statuses.append(go(browser, "/auth/discord/callback", params, timeout=60).status_code)

    threads = [threading.Thread(target=come, args=way) for way in ways]
    try:
        for thread in threads:
            thread.start()
        poll(lambda: provider.waiting >= 8, seconds=5 * PATIENCE, what="calls to the provider")
        api = Api(stack.url)
        began = time.monotonic()
        for _ in range(5):
            assert api.login(name).status_code == 200
            assert api.me(token).status_code == 200
        assert time.monotonic() - began < 2 * PATIENCE
        assert provider.waiting >= 8
        # Nobody waits for ever: 10 s a call.
        poll(lambda: 500 in statuses, seconds=10 * PATIENCE, what="the end of the first calls")
    finally:
        provider.hang.clear()
        provider.released.set()
        for thread in threads:
            thread.join()
        provider.released.clear()
    assert len(statuses) == 50 and set(statuses) <= {307, 500, 503}
