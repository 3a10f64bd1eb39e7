"""What live connections are told of messages, reactions, pins and what was read: who sees it, once, and only when something
has changed."""
import pytest

from api import Api
from chat_api import VIEW, Person, everybody
from chat_live import barrier
from stack import Stack
from test_chat_attachments import bring
from test_chat_messages import messages, reaction

pytestmark = pytest.mark.local
HOST = "chat.test"


class Scene:
    def __init__(self, api, api2):
        self.owner, self.member = Person(api), Person(api2)
        self.guild = self.owner.guild()
        everybody(self.guild, self.owner, self.member)
        self.open, self.hidden = (self.owner.channel(self.guild, name) for name in ("open", "hidden"))
        self.owner.override(self.hidden, self.owner.everyone(self.guild), deny=VIEW)


@pytest.fixture
def scene(api, api2):
    return Scene(api, api2)


def test_all_that_happens_to_a_message_is_told_in_order(live, scene):
    one, two = live(scene.owner), live(scene.member, gateway=2)
    sent = scene.member.call("POST", messages(scene.open), {"content": "helo", "nonce": "n"}, 201)
    scene.member.call("PATCH", messages(scene.open, sent), {"content": "hello"})
    scene.owner.call("PUT", reaction(scene.open, sent, "x"), status=204)
    scene.owner.call("PUT", reaction(scene.open, sent, "x"), status=204)  # it is: nothing is told
    scene.owner.call("DELETE", reaction(scene.open, sent, "x"), status=204)
    scene.owner.call("DELETE", reaction(scene.open, sent, "x"), status=204)
    scene.owner.call("PUT", f"/channels/{scene.open['id']}/pins/{sent['id']}", status=204)
    scene.owner.call("DELETE", messages(scene.open, sent), status=204)
    want = ["MESSAGE_CREATE", "MESSAGE_UPDATE", "MESSAGE_REACTION_ADD", "MESSAGE_REACTION_REMOVE", "CHANNEL_PINS_UPDATE",
            "MESSAGE_DELETE", "MESSAGE_CREATE"]
    last = barrier(scene.owner, one, scene.open)
    for client in (one, two):
        client.wait_event("MESSAGE_CREATE", id=last)
        assert [t for t, _ in client.events if t in want] == want
        created = client.of("MESSAGE_CREATE")[0]
        assert created["content"] == "helo" and created["nonce"] == "n" and created["author_id"] == scene.member.id
        assert client.of("MESSAGE_UPDATE")[0]["content"] == "hello"
        where = {"message_id": sent["id"], "channel_id": scene.open["id"], "guild_id": scene.guild["id"]}
        assert client.of("MESSAGE_REACTION_ADD") == [{**where, "user_id": scene.owner.id, "emoji": "x"}]
        assert client.of("MESSAGE_REACTION_REMOVE") == [{**where, "user_id": scene.owner.id, "emoji": "x"}]
        assert client.of("CHANNEL_PINS_UPDATE")[0]["last_pin_timestamp"]
        assert client.of("MESSAGE_DELETE") == [{"id": sent["id"], "channel_id": scene.open["id"],
                                                "guild_id": scene.guild["id"]}]


def test_nothing_of_a_hidden_channel_is_told_to_others(live, scene):
    one, two = live(scene.owner), live(scene.member, gateway=2)
    barrier(scene.owner, two, scene.open)
    since = len(two.frames)  # that it was hidden is told to those who saw it, perhaps only now
    sent = scene.owner.say(scene.hidden, f"secret @{scene.member.name} @everyone")
    scene.owner.call("PUT", reaction(scene.hidden, sent, "x"), status=204)
    scene.owner.call("PUT", f"/channels/{scene.hidden['id']}/pins/{sent['id']}", status=204)
    scene.owner.call("PATCH", messages(scene.hidden, sent), {"content": "secret still"})
    one.wait_event("MESSAGE_UPDATE", id=sent["id"])
    barrier(scene.owner, two, scene.open)
    assert scene.hidden["id"] not in str(two.frames[since:])


def test_what_was_read_is_told_to_ones_own_sessions_alone(live, scene):
    one, other, two = live(scene.member), live(scene.member, gateway=2), live(scene.owner)
    a, b = scene.owner.say(scene.open, f"@{scene.member.name}"), scene.owner.say(scene.open, "b")
    ack = f"/channels/{scene.open['id']}/ack/"
    scene.member.call("PUT", ack + a["id"], status=204)
    scene.member.call("PUT", ack + b["id"], status=204)
    scene.member.call("PUT", ack + a["id"], status=204)  # not back: nothing is told
    last = barrier(scene.owner, two, scene.open)
    for client in (one, other):
        client.wait_event("MESSAGE_CREATE", id=last)
        client.wait_event("MESSAGE_ACK", message_id=b["id"])
        assert client.of("MESSAGE_ACK") == [{"channel_id": scene.open["id"], "message_id": m["id"], "mention_count": 0}
                                            for m in (a, b)]
    assert not two.of("MESSAGE_ACK")


def test_many_that_go_at_once_are_one_event(live, scene):
    client = live(scene.member)
    ids = [scene.owner.say(scene.open, str(i))["id"] for i in range(3)]
    scene.owner.call("POST", messages(scene.open, rest="/bulk-delete"), {"messages": ids}, 204)
    gone = client.wait_event("MESSAGE_DELETE_BULK")
    assert gone == {"ids": ids, "channel_id": scene.open["id"], "guild_id": scene.guild["id"]}
    assert not client.of("MESSAGE_DELETE")


def test_groups_tell_who_comes_and_who_goes(live, api, api2):
    ann, bob, eve = Person(api), Person(api2), Person(api)
    client, late = live(bob, gateway=2), live(eve)
    group = ann.call("POST", "/users/@me/channels", {"recipient_ids": [bob.id]})
    client.wait_event("CHANNEL_CREATE", id=group["id"])
    ann.call("PUT", f"/channels/{group['id']}/recipients/{eve.id}", status=204)
    late.wait_event("CHANNEL_CREATE", id=group["id"])
    assert len(client.wait_event("CHANNEL_UPDATE", id=group["id"])["recipients"]) == 3
    said = ann.say(group, "to three")
    late.wait_event("MESSAGE_CREATE", id=said["id"])
    ann.call("DELETE", f"/channels/{group['id']}/recipients/{eve.id}", status=204)
    late.wait_event("CHANNEL_DELETE", id=group["id"])
    said = ann.say(group, "to two")
    client.wait_event("MESSAGE_CREATE", id=said["id"])
    own = eve.dm(bob)
    barrier(eve, late, own)
    assert said["id"] not in str(late.frames)


def test_the_browsers_client_gets_what_it_knows(clients):
    """Dialect W: a delete for each message, and an upload that no message names becomes one by itself."""
    own = Stack(gateways=1, settings={"GATEWAY_HOSTS": f"{HOST}=chat-web"})
    try:
        own.up()
        plain = Person(Api(own.url))
        guild = plain.guild()
        channel = plain.channel(guild, "files")
        client = clients.connect(own.url, plain.token, host=HOST)
        ids = [plain.say(channel, str(i))["id"] for i in range(2)]
        since = client.mark()
        plain.call("POST", messages(channel, rest="/bulk-delete"), {"messages": ids}, 204)
        for id_ in ids:
            client.wait_event("MESSAGE_DELETE", since, id=id_)
        assert not client.of("MESSAGE_DELETE_BULK")
        plain.api.session.headers["Host"] = HOST
        answer = bring(plain, channel)
        assert answer.status_code == 201 and answer.json()["message_id"] == "0"
        alone = client.wait_event("MESSAGE_CREATE", since, timeout=20, content="")
        assert [a["id"] for a in alone["attachments"]] == [answer.json()["id"]] and alone["author_id"] == plain.id
    finally:
        own.destroy()
