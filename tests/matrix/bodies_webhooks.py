"""Requests for test_callers.py: of the rpcs in webhooks.proto. Webhooks are the owner's, at a name that nobody has."""
import uuid

from bodies_media import owners


def webhook(scene):
    answer = scene.api.post("/media/webhooks", {"url": "https://receiver.invalid/"}, owners(scene))
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


BODIES = {
    "CreateWebhook": lambda s: {},
    "UpdateWebhook": lambda s: {"enabled": False},
}
VARIABLES = {"webhook_id": webhook, "delivery_id": lambda s: str(uuid.uuid4())}
