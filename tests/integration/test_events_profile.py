"""What a client of the original finds at the commons' own host: health in its five checks, the description's address on every
answer, and a clean no for what bots of OAuth try (events contract 2.1, 2.5, 3.2, 18)."""
import pytest

from api import Api
from stack import running

pytestmark = pytest.mark.local
HOST = {"Host": "events.test"}
DESCRIPTION = '</api/v1/openapi.json>; rel="service-desc"; type="application/json"'


@pytest.fixture(scope="module")
def stack():
    with running(settings={"GATEWAY_HOSTS": "events.test=events"}) as own:
        yield own


@pytest.fixture
def own(stack):
    api = Api(stack.url)
    api.session.headers.update(HOST)
    return api


# Section 2 of the contract: path, who may, methods. Who: "-" anybody, "key" an agent's key, "admin". What is "should" and "later"
# there and not here (scraping) is not routed.
ULID, UUID = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "00000000-0000-7000-8000-000000000000"
ROUTES = [(path, dict(methods)) for path, *methods in [
    ("/api/v1/events", ("GET", "-"), ("POST", "key")), (f"/api/v1/events/{ULID}", ("GET", "-")), ("/api/v1/events.ics", ("GET", "-")),
    (f"/api/v1/events/{ULID}/ics", ("GET", "-")), ("/api/v1/places", ("GET", "-")), (f"/api/v1/places/{ULID}", ("GET", "-")),
    ("/api/v1/organizations", ("GET", "-")), (f"/api/v1/organizations/{ULID}", ("GET", "-")),
    (f"/api/v1/batch-status/{ULID}", ("GET", "-")), ("/api/v1/feeds/changes", ("GET", "-")), ("/api/v1/stats", ("GET", "-")),
    ("/api/v1/geocode", ("GET", "-")), ("/api/v1/reverse-geocode", ("GET", "-")), ("/api/v1/openapi.json", ("GET", "-")), ("/api/v1/openapi.yaml", ("GET", "-")), ("/api/docs", ("GET", "-")),
    ("/api/v1/accept-invitation", ("POST", "-")), (f"/events/{ULID}", ("GET", "-")), (f"/places/{ULID}", ("GET", "-")),
    (f"/organizations/{ULID}", ("GET", "-")), ("/.well-known/sel-profile", ("GET", "-")), ("/robots.txt", ("GET", "-")),
    ("/sitemap.xml", ("GET", "-")), ("/llms.txt", ("GET", "-")), ("/", ("GET", "-")), ("/health", ("GET", "-")),
    ("/healthz", ("GET", "-")), ("/readyz", ("GET", "-")), ("/version", ("GET", "-")), ("/metrics", ("GET", "-")),
    ("/api/v1/events:batch", ("POST", "key")), ("/api/v1/federation/sync", ("POST", "key")), ("/api/v1/auth/token", ("POST", "admin key")),
    ("/api/v1/admin/login", ("POST", "-")), ("/api/v1/admin/logout", ("POST", "-")), ("/api/v1/admin/stats", ("GET", "admin")),
    ("/api/v1/admin/events", ("GET", "admin")), ("/api/v1/admin/events/pending", ("GET", "admin")),
    (f"/api/v1/admin/events/{ULID}", ("PUT", "admin"), ("DELETE", "admin")),
    (f"/api/v1/admin/events/{ULID}/publish", ("POST", "admin")), (f"/api/v1/admin/events/{ULID}/unpublish", ("POST", "admin")),
    ("/api/v1/admin/events/consolidate", ("POST", "admin")), (f"/api/v1/admin/events/{ULID}/occurrences", ("POST", "admin")),
    (f"/api/v1/admin/events/{ULID}/occurrences/{UUID}", ("PUT", "admin"), ("DELETE", "admin")),
    ("/api/v1/admin/review-queue", ("GET", "admin")), ("/api/v1/admin/review-queue/1", ("GET", "admin")),
    *[(f"/api/v1/admin/review-queue/1/{verb}", ("POST", "admin")) for verb in ("approve", "reject", "fix")],
    ("/api/v1/admin/duplicates", ("GET", "admin")),
    *[(f"/api/v1/admin/{kind}/{ULID}", ("GET", "admin"), ("PUT", "admin"), ("DELETE", "admin")) for kind in ("places", "organizations")],
    *[(f"/api/v1/admin/{kind}/{ULID}/similar", ("GET", "admin")) for kind in ("places", "organizations")],
    *[(f"/api/v1/admin/{kind}/merge", ("POST", "admin")) for kind in ("places", "organizations")],
    ("/api/v1/admin/api-keys", ("GET", "admin"), ("POST", "admin")), (f"/api/v1/admin/api-keys/{UUID}", ("DELETE", "admin")),
    ("/api/v1/admin/users", ("GET", "admin"), ("POST", "admin")),
    (f"/api/v1/admin/users/{UUID}", ("GET", "admin"), ("PUT", "admin"), ("DELETE", "admin")),
    *[(f"/api/v1/admin/users/{UUID}/{verb}", ("POST", "admin")) for verb in ("activate", "deactivate", "resend-invitation")],
    (f"/api/v1/admin/users/{UUID}/activity", ("GET", "admin")),
    ("/api/v1/admin/federation/nodes", ("GET", "admin"), ("POST", "admin")),
    (f"/api/v1/admin/federation/nodes/{UUID}", ("GET", "admin"), ("PUT", "admin"), ("DELETE", "admin")),
    ("/api/v1/admin/developers/invite", ("POST", "admin")), ("/api/v1/admin/developers", ("GET", "admin")),
    (f"/api/v1/admin/developers/{UUID}", ("GET", "admin"), ("PUT", "admin"), ("DELETE", "admin")),
    ("/api/v1/admin/reports/daily-usage", ("GET", "admin")),
    ("/api/v1/dev/login", ("POST", "-")), ("/api/v1/dev/logout", ("POST", "-")), ("/api/v1/dev/accept-invitation", ("POST", "-")),
    ("/api/v1/dev/api-keys", ("GET", "dev"), ("POST", "dev")), (f"/api/v1/dev/api-keys/{UUID}", ("DELETE", "dev")),
    (f"/api/v1/dev/api-keys/{UUID}/usage", ("GET", "dev")),
]]


# Words that stand where ids stand elsewhere: what those have is there, too.
AS_IDS = {"/api/v1/admin/events/consolidate": {"PUT", "DELETE"}, "/api/v1/admin/events/pending": {"PUT", "DELETE"},
          "/api/v1/admin/places/merge": {"GET", "HEAD", "PUT", "DELETE"}, "/api/v1/admin/organizations/merge": {"GET", "HEAD", "PUT", "DELETE"},
          "/api/v1/admin/developers/invite": {"GET", "HEAD", "PUT", "DELETE"}}


@pytest.mark.parametrize("path, methods", ROUTES, ids=lambda v: v if isinstance(v, str) else "")
def test_each_route_has_its_methods_and_no_others(own, path, methods):
    known, also = set(methods) | ({"HEAD"} if "GET" in methods else set()), AS_IDS.get(path, set())
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        answer = own.call(method, path, json={} if method in ("POST", "PUT", "PATCH", "DELETE") else None)
        if method in also:
            continue
        if method not in known:
            assert answer.status_code == 405, (method, answer.text[:200])
            allowed = [m.strip() for m in answer.headers["Allow"].split(",")]
            assert allowed == sorted(allowed) and known <= set(allowed) <= known | also | {"OPTIONS", "HEAD"}, allowed
            if method != "HEAD":
                assert answer.headers["Content-Type"] == "application/problem+json"
                assert answer.json()["type"].endswith("/method-not-allowed") and answer.json()["status"] == 405
        elif methods[method if method != "HEAD" else "GET"] == "-":
            assert answer.status_code not in (401, 403, 405, 500, 501, 503), (method, answer.text[:200])
        else:
            assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer"), (method, answer.text[:200])
            assert method == "HEAD" or answer.json()["type"].endswith("/unauthorized")
    options = own.call("OPTIONS", path)
    assert options.status_code == 204 and known <= {m.strip() for m in options.headers["Allow"].split(",")}, options.headers


@pytest.mark.parametrize("path", ["/api", "/api/v1", "/api/v1/nothing", "/api/v1/admin/nothing", f"/api/v1/events/{ULID}/nothing", "/nothing"])
def test_what_is_not_there_is_a_problem(own, path):
    answer = own.get(path)
    assert answer.status_code == 404 and answer.headers["Content-Type"] == "application/problem+json", answer.text
    assert answer.json()["type"].endswith("/not-found") and answer.json()["instance"] == path


@pytest.mark.parametrize("path", ["/api/v1/events", "/events", "/api/v1/events/x", "/api/v1/nothing"])
def test_heads_that_every_answer_has(own, path):
    answer = own.get(path, headers={"X-Request-ID": "mine-7", "Origin": "http://localhost:3000"})
    assert answer.headers["X-Request-ID"] == "mine-7"
    assert answer.headers["X-Frame-Options"] == "DENY" and answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert answer.headers["Content-Security-Policy"].startswith("default-src")
    assert own.get(path).headers["X-Request-ID"] != own.get(path).headers["X-Request-ID"]


@pytest.mark.parametrize("path", ["/authorize", "/token", "/register"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_there_is_nothing_to_authorize_at(own, method, path):
    """Not a page, not a 405, not a redirect: a probe is told once and goes."""
    for query in ("", "?response_type=code&client_id=x&redirect_uri=https://evil.example/"):
        answer = own.call(method, path + query, json={"grant_type": "x"}, allow_redirects=False)
        assert answer.status_code == 404, answer.text
        assert answer.headers["Content-Type"] == "application/problem+json" and "Location" not in answer.headers
        assert answer.json()["type"] == "https://sel.events/problems/not-found" and "evil" not in answer.text


def test_health_has_five_checks(own, stack):
    answer = own.get("/health")
    body = answer.json()
    assert answer.status_code == 200 and body["status"] == "healthy", body
    assert set(body) == {"status", "version", "git_commit", "slot", "docs_url", "checks", "timestamp"}
    assert list(body["checks"]) == ["database", "migrations", "job_queue", "jsonld_contexts", "http_endpoint"]
    for check in body["checks"].values():
        assert check["status"] == "pass" and check["message"] and check["latency_ms"] >= 0 and isinstance(check["details"], dict)
    assert body["checks"]["migrations"]["details"]["applied"] > 0
    assert own.call("HEAD", "/health").status_code == 200
    assert own.post("/health").status_code == 405
    assert Api(stack.url).get("/health").json()["status"] == "ok", "elsewhere it is the gateway's"


@pytest.mark.parametrize("path, status", [
    ("/api/v1/events", 200), ("/api/v1/stats", 200), ("/api/v1/events/x", 400), ("/api/v1/events/01ARZ3NDEKTSV4RRFFQ69G5FAV", 404),
    ("/api/v1/nothing", 404), ("/api/v1/admin/events", 401), ("/api/v1/exports/events.ndjson", 200), ("/api/v1/openapi.json", 200)])
def test_every_answer_says_where_its_description_is(own, path, status):
    answer = own.get(path)
    assert answer.status_code == status and DESCRIPTION in answer.headers["Link"], answer.headers
    assert own.get("/api/v1/openapi.json").json()["openapi"].startswith("3.")


def test_pages_do_not(own):
    assert "service-desc" not in own.get("/events").headers.get("Link", "")
    assert 'rel="alternate"' in own.get("/api/v1/events").headers["Link"], "beside the calendar's"
