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
