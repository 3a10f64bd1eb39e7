"""Requests for test_callers.py: of the rpcs of events' feed.proto, webhooks.proto and federation.proto."""
import uuid

from bodies_media import owners


def subscription(scene):
    answer = scene.api.post("/api/v1/feeds/webhooks", {"url": "https://receiver.invalid/"}, owners(scene))
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def nobodys(scene):
    return str(uuid.uuid4())


BODIES = {
    "CreateSubscription": lambda s: {},
    "UpdateSubscription": lambda s: {"enabled": False},
    "CreateNode": lambda s: {},
    "SyncEvents": lambda s: {},
    "AnnounceEvent": lambda s: {"channel_id": "1"},
    "UpdateNode": lambda s: {},
}
VARIABLES = {"subscription_id": subscription, "RedeliverToSubscription.delivery_id": nobodys,
             "AnnounceEvent.event_ulid": lambda s: "01ARZ3NDEKTSV4RRFFQ69G5FAV",
             "GetNode.id": nobodys, "UpdateNode.id": nobodys, "DeleteNode.id": nobodys}
# A stream that goes well goes on.
QUERIES = {"WatchChanges": {"since": "nonsense"}}
