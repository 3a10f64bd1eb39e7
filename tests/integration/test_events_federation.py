"""Other nodes: the registry, and what they send."""
import secrets

import pytest

from events_feed import NODES, Commons
from stack import running


@pytest.fixture(scope="module")
def stack():
    with running() as own:
        yield own


@pytest.fixture(scope="module")
def commons(stack):
    return Commons(stack)


def node(**fields):
    domain = f"{secrets.token_hex(6)}.example.org"
    return {"NodeDomain": domain, "NodeName": "A node", "BaseURL": f"https://{domain}", "FederationStatus": "active",
            "SyncDirection": "bidirectional", **fields}


def make(commons, **fields):
    answer = commons.api.post(NODES, node(**fields), commons.admin)
    assert answer.status_code == 201, answer.text
    return answer.json()


# ---------------------------------------------------------------------------------------------- the registry
def test_a_node_is_registered_and_shown(commons):
    made = make(commons, GeographicScope="Ontario", TrustLevel=7, ContactEmail="ops@example.org")
    assert len(made["ID"]) == 36 and made["ID"] != "00000000-0000-0000-0000-000000000000"
    assert {"ID", "NodeDomain", "NodeName", "BaseURL", "APIVersion", "GeographicScope", "TrustLevel", "FederationStatus",
            "SyncEnabled", "SyncDirection", "LastSyncAt", "LastSuccessfulSyncAt", "SyncCursor", "RequiresAuth",
            "ContactEmail", "ContactName", "IsOnline", "LastHealthCheckAt", "LastErrorAt", "LastErrorMessage", "Notes",
            "CreatedAt", "UpdatedAt"} <= made.keys()
    assert (made["TrustLevel"], made["LastSyncAt"], made["IsOnline"]) == (7, None, False)
    path = f"{NODES}/{made['ID']}"
    assert commons.api.get(path, commons.admin).json() == made
    assert made in commons.api.get(NODES, commons.admin, params={"limit": 200}).json()["items"]
    changed = commons.api.call("PUT", path, commons.admin, json={"federation_status": "paused"})
    assert changed.status_code == 200 and changed.json()["FederationStatus"] == "paused"
    assert changed.json()["GeographicScope"] == "Ontario"
    assert commons.api.call("DELETE", path, commons.admin).status_code == 204
    assert commons.api.get(path, commons.admin).status_code == 404
    assert commons.api.call("DELETE", path, commons.admin).status_code == 404


def test_fields_are_read_by_their_own_names_too(commons):
    body = node()
    answer = commons.api.post(NODES, {"node_domain": body["NodeDomain"].upper(), "node_name": "x", "base_url": body["BaseURL"],
                                      "federation_status": "pending", "sync_direction": "disabled"}, commons.admin)
    assert answer.status_code == 201 and answer.json()["NodeDomain"] == body["NodeDomain"]
    assert answer.json()["TrustLevel"] == 5


def test_a_domain_is_taken_once(commons):
    made = make(commons)
    again = commons.api.post(NODES, node(NodeDomain=made["NodeDomain"]), commons.admin)
    assert again.status_code == 409 and again.json()["type"].endswith("/duplicate")
    other = make(commons)
    taken = commons.api.call("PUT", f"{NODES}/{other['ID']}", commons.admin, json={"NodeDomain": made["NodeDomain"]})
    assert taken.status_code == 409


def test_all_that_is_wrong_is_told_at_once(commons):
    answer = commons.api.post(NODES, {"NodeDomain": "no host", "BaseURL": "gopher://x", "TrustLevel": 11}, commons.admin)
    assert answer.status_code == 400 and answer.json()["type"].endswith("/validation-error")
    pointers = {e["pointer"] for e in answer.json()["errors"]}
    assert pointers >= {"/NodeDomain", "/NodeName", "/BaseURL", "/TrustLevel", "/FederationStatus", "/SyncDirection"}


@pytest.mark.parametrize("fields", [
    {"NodeDomain": "-x.example"}, {"NodeDomain": "x..example"}, {"NodeDomain": "x.example:0"}, {"NodeDomain": "x.example:99999"},
    {"NodeDomain": "x" * 300}, {"NodeName": "x" * 201}, {"TrustLevel": 0}, {"FederationStatus": "happy"},
    {"SyncDirection": "sideways"}, {"Notes": "x" * 5001}, {"KeyIDs": ["nonsense"]}, {"BaseURL": "https://"},
])
def test_what_cannot_be_a_node(commons, fields):
    answer = commons.api.post(NODES, node(**fields), commons.admin)
    assert answer.status_code == 400 and answer.json()["type"].endswith("/validation-error"), answer.text


def test_nodes_are_for_administrators(commons):
    user = commons.api.register()["access_token"]
    for token, status in ((None, 401), (user, 403), (commons.key, 403)):
        assert commons.api.get(NODES, token).status_code == status
        assert commons.api.post(NODES, node(), token).status_code == status


def test_pages_of_nodes_join(commons):
    made = [make(commons)["ID"] for _ in range(3)]
    found, after = [], ""
    while True:
        page = commons.api.get(NODES, commons.admin, params={"limit": 2, "after": after}).json()
        found += [n["ID"] for n in page["items"]]
        after = page["next_cursor"]
        if not after:
            break
    assert len(found) == len(set(found)) and found[-3:] == made
    assert commons.api.get(NODES, commons.admin, params={"after": "x"}).status_code == 400
