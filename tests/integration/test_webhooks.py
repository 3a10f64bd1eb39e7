"""Webhooks: messages that are signed, tried again, dead in the end, and never sent to an address of our own."""
import socket

import pytest

from api import PASSWORD, Api
from media_api import Library, error
from polling import poll
from receiver import Receiver, verified
from stack import running
from uploads import kill, start

SETTINGS = {"WEBHOOK_RETRY": "50ms", "WEBHOOK_ATTEMPTS": "3", "WEBHOOK_TIMEOUT": "2s", "MEDIA_SWEEP_INTERVAL": "1s"}


@pytest.fixture(scope="module")
def receiver():
    own = Receiver()
    yield own
    own.close()


@pytest.fixture(scope="module")
def closed():
    """A port that nobody listens at."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{s.getsockname()[1]}"


@pytest.fixture(scope="module")
def stack(receiver, closed):
    with running(settings={**SETTINGS, "WEBHOOK_ALLOWED": f"{receiver.address},{closed}"}) as own:
        yield own


@pytest.fixture
def mine(stack, receiver):
    with receiver.lock:
        receiver.messages.clear()
        receiver.answers.clear()
    return Library(Api(stack.url))


def hook(mine, url, **fields):
    return mine.ok("POST", "/media/webhooks", {"url": url, **fields})


def told(receiver, path, made, count):
    """So many messages, by type."""
    messages = poll(lambda: len(receiver.to(path)) >= count and receiver.to(path), 20, f"{count} messages to {path}")
    return [verified(m, made["secret"]) for m in messages]


def deliveries(mine, made, **params):
    return mine.ok("GET", f"/media/webhooks/{made['id']}/deliveries", params=params)["deliveries"]


def test_all_that_happens_to_an_item_is_told_and_signed(mine, receiver):
    made = hook(mine, receiver.url + "/all")
    assert made["secret"].startswith("whsec_") and made["enabled"] and made["types"] == []
    media_id = mine.upload(b"not a film", filename="a.txt")
    mine.settled(media_id)
    mine.ok("DELETE", f"/media/{media_id}")
    mine.ok("POST", f"/media/{media_id}/restore")
    mine.ok("DELETE", f"/media/{media_id}", params={"permanent": "true"})
    poll(lambda: {"media.item.deleted"} <= {d["type"] for d in deliveries(mine, made, page_size=100)}
         and not deliveries(mine, made, state="pending"), 30, "all of it to be told")
    messages = told(receiver, "/all", made, 5)
    assert len({i for i, _ in messages}) == len(messages)
    types = [b["type"] for _, b in messages]
    assert {"media.item.queued", "media.item.trashed", "media.item.restored", "media.item.deleted"} < set(types)
    assert {b["data"]["media_id"] for _, b in messages} == {media_id}
    assert all(set(b) == {"type", "timestamp", "data"} for _, b in messages)
    settled = [b for _, b in messages if b["type"] in ("media.item.ready", "media.item.failed")]
    assert len(settled) == 1
    listed = mine.ok("GET", "/media/webhooks")["webhooks"]
    assert [w["id"] for w in listed] == [made["id"]] and "secret" not in listed[0]


def test_only_the_types_that_were_wished_for_are_told(mine, receiver):
    made = hook(mine, receiver.url + "/some", types=["media.item.trashed"])
    media_id = mine.upload(b"some", filename="a.txt")
    mine.settled(media_id)
    mine.ok("DELETE", f"/media/{media_id}")
    assert [b["type"] for _, b in told(receiver, "/some", made, 1)] == ["media.item.trashed"]
    for fields in ({"types": ["media.item.nothing"]}, {"url": ""}, {"url": "ftp://a/"}):
        error(mine.call("POST", "/media/webhooks", {"url": "https://a.example/", **fields}), 400, "invalid_argument")


def test_a_receiver_that_fails_first_gets_the_same_message_again(mine, receiver):
    made = hook(mine, receiver.url + "/again", types=["media.item.trashed"])
    receiver.answers[:] = [500, 302]
    mine.ok("POST", f"/media/webhooks/{made['id']}/test")
    messages = told(receiver, "/again", made, 3)
    assert len({i for i, _ in messages}) == 1 and messages[0][1]["type"] == "webhook.test"
    last, = poll(lambda: deliveries(mine, made, state="delivered"), what="the delivery to be noted")
    assert (last["attempts"], last["last_status"], last["message_id"]) == (3, 200, messages[0][0])
    assert "failing_since" not in mine.ok("GET", "/media/webhooks")["webhooks"][0]


def test_what_cannot_be_delivered_is_dead_and_can_be_sent_again(mine, receiver):
    made = hook(mine, receiver.url + "/dead", types=["media.item.trashed"])
    receiver.answers[:] = [503] * 3
    mine.ok("POST", f"/media/webhooks/{made['id']}/test")
    dead, = poll(lambda: deliveries(mine, made, state="dead"), what="the message to be dead")
    assert (dead["attempts"], dead["last_status"], dead["last_error"]) == (3, 503, "it answered 503")
    assert len(told(receiver, "/dead", made, 3)) == 3
    assert "failing_since" in mine.ok("GET", "/media/webhooks")["webhooks"][0]
    mine.ok("POST", f"/media/webhooks/{made['id']}/deliveries/{dead['id']}/redeliver")
    assert told(receiver, "/dead", made, 4)[3][0] == dead["message_id"]
    poll(lambda: deliveries(mine, made, state="delivered"), what="the delivery to be noted")
    assert not deliveries(mine, made, state="dead")


def test_deliveries_are_listed_in_pages(mine, receiver):
    made = hook(mine, receiver.url + "/pages", types=["media.item.trashed"])
    for _ in range(5):
        mine.ok("POST", f"/media/webhooks/{made['id']}/test")
    poll(lambda: len(deliveries(mine, made, state="delivered")) == 5, 20, "five deliveries")
    seen, cursor = [], {}
    while True:
        page = mine.ok("GET", f"/media/webhooks/{made['id']}/deliveries", params={"page_size": 2, **cursor})
        seen += [d["id"] for d in page["deliveries"]]
        if "next_cursor" not in page:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len(seen) == len(set(seen)) == 5
    for params in ({"cursor": "bm9uZQ"}, {"state": "gone"}):
        error(mine.call("GET", f"/media/webhooks/{made['id']}/deliveries", params=params), 400, "invalid_argument")


def test_addresses_of_our_own_are_refused(mine, stack, receiver):
    for url in ("http://127.0.0.1:1/", f"http://localhost:{stack.ports['NATS_PORT']}/", "http://10.0.0.1/", "http://[::1]/",
                "http://0x7f000001/", "http://169.254.169.254/latest"):
        message = error(mine.call("POST", "/media/webhooks", {"url": url}), 400, "invalid_argument")["message"]
        assert message == "url: the address is not one of the public internet", url
    # A name is found out when it is resolved: ip6-localhost is in /etc/hosts, or resolves to nothing.
    made = hook(mine, "http://ip6-localhost:1/")
    mine.ok("POST", f"/media/webhooks/{made['id']}/test")
    dead, = poll(lambda: deliveries(mine, made, state="dead"), what="the message to be dead")
    assert "last_status" not in dead and "http:" in dead["last_error"]
    # A redirect is no way around.
    made = hook(mine, receiver.url + "/away", types=["media.item.trashed"])
    receiver.answers[:] = [f"{receiver.url}/secret"] * 3
    mine.ok("POST", f"/media/webhooks/{made['id']}/test")
    dead, = poll(lambda: deliveries(mine, made, state="dead"), what="the message to be dead")
    assert dead["last_status"] == 302 and not receiver.to("GET /secret") and not receiver.to("/secret")


def test_what_is_gone_is_switched_off_and_may_be_switched_on(mine, receiver):
    made = hook(mine, receiver.url + "/gone", types=["media.item.trashed"])
    receiver.answers[:] = [410]
    mine.ok("POST", f"/media/webhooks/{made['id']}/test")
    off = poll(lambda: next((w for w in mine.ok("GET", "/media/webhooks")["webhooks"] if not w["enabled"]), None),
               what="the webhook to be off")
    assert off["disabled_why"] == "it answered 410 Gone"
    media_id = mine.upload(b"untold", filename="a.txt")
    mine.settled(media_id)
    mine.ok("DELETE", f"/media/{media_id}")
    assert [d["type"] for d in deliveries(mine, made)] == ["webhook.test"]
    on = mine.ok("PATCH", f"/media/webhooks/{made['id']}", {"enabled": True, "types": ["media.item.restored"]})
    assert on["enabled"] and "disabled_why" not in on and "failing_since" not in on
    mine.ok("POST", f"/media/{media_id}/restore")
    poll(lambda: "media.item.restored" in [b["type"] for _, b in told(receiver, "/gone", made, 2)], what="it to be told")


def test_a_secret_can_be_changed_and_lies_sealed(mine, receiver, database):
    made = hook(mine, receiver.url + "/secret", types=["media.item.trashed"])
    sealed, = database.rows("SELECT secret FROM media.webhook WHERE id = %s", made["id"])[0]
    assert made["secret"].encode() not in bytes(sealed) and len(bytes(sealed)) == 24 + 16 + 32
    again = mine.ok("POST", f"/media/webhooks/{made['id']}/secret")
    assert again["secret"] != made["secret"]
    mine.ok("POST", f"/media/webhooks/{made['id']}/test")
    told(receiver, "/secret", again, 1)
    with pytest.raises(AssertionError):
        verified(receiver.to("/secret")[0], made["secret"])


def test_nothing_is_lost_when_the_service_dies(mine, stack, receiver, closed):
    made = hook(mine, receiver.url + "/crash", types=["media.item.trashed"])
    away = hook(mine, f"http://{closed}/", types=["media.item.trashed"])
    receiver.answers[:] = [500]
    mine.ok("POST", f"/media/webhooks/{made['id']}/test")
    mine.ok("POST", f"/media/webhooks/{away['id']}/test")
    told(receiver, "/crash", made, 1)
    kill(stack, "media")
    start(stack, "media")
    told(receiver, "/crash", made, 2)
    poll(lambda: deliveries(mine, made, state="delivered"), 60, "the message to arrive")
    poll(lambda: deliveries(mine, away, state="dead"), 120, "the other to be dead")


def test_others_see_nothing_of_it_and_it_goes_with_its_owner(mine, stack, receiver, database):
    made = hook(mine, receiver.url + "/mine")
    other = Library(Api(stack.url))
    path = f"/media/webhooks/{made['id']}"
    for method, below in (("PATCH", ""), ("DELETE", ""), ("POST", "/test"), ("POST", "/secret"), ("GET", "/deliveries")):
        error(other.call(method, path + below, {} if method == "PATCH" else None), 404, "not_found")
    assert other.ok("GET", "/media/webhooks")["webhooks"] == []
    assert mine.ok("DELETE", path) == {"success": True}
    error(mine.call("GET", path + "/deliveries"), 404, "not_found")
    for _ in range(20):
        hook(mine, receiver.url + "/many")
    error(mine.call("POST", "/media/webhooks", {"url": receiver.url}), 400, "invalid_argument")
    user = int(mine.user["user"]["id"])
    done = mine.call("POST", "/api/v1/auth/account/delete", {"password": PASSWORD})
    assert done.status_code == 202, done.text
    poll(lambda: not database.rows("SELECT 1 FROM media.webhook WHERE owner_id = %s", user), 30, "the webhooks to go")
