"""Voice, with a stand-in for LiveKit that checks what it is told: tokens, who is thrown out, and its webhooks."""
import base64
import hashlib
import hmac
import http.server
import json
import threading
import time

import pytest

from api import Api, claims
from chat_api import CONNECT, SPEAK, Person, everybody
from polling import poll
from stack import Stack

pytestmark = pytest.mark.local
KEY, SECRET = "APItests", "a secret that the voice server shares with us"


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(text):
    return encode(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())


def mint(facts):
    text = f"{encode(json.dumps({'alg': 'HS256', 'typ': 'JWT'}).encode())}.{encode(json.dumps(facts).encode())}"
    return f"{text}.{sign(text)}"


def verify(token):
    """What a token of ours says, after its signature and times."""
    text, _, mac = token.rpartition(".")
    assert hmac.compare_digest(mac, sign(text))
    facts = claims(token)
    assert facts["iss"] == KEY and facts["nbf"] <= time.time() + 1 and time.time() < facts["exp"] < time.time() + 3600
    return facts


class LiveKit:
    """Room service calls, as (method, request); a call that is not signed by us is refused."""

    def __init__(self):
        self.calls, outer = [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                facts = verify(self.headers["Authorization"].removeprefix("Bearer "))
                method, asked = self.path.rsplit("/", 1)[1], json.loads(body)
                assert self.path == f"/twirp/livekit.RoomService/{method}"
                assert facts["video"]["room"] == asked["room"] and facts["video"]["roomAdmin"]
                outer.calls.append((method, asked))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"ws://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def livekit():
    server = LiveKit()
    yield server
    server.close()


@pytest.fixture(scope="module")
def own(livekit):
    stack = Stack(settings={"LIVEKIT_URL": livekit.url, "LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET})
    try:
        yield stack.up()
    finally:
        stack.destroy()


@pytest.fixture
def scene(own, clients):
    """Ann's guild with Bob in it, a voice channel that all may enter, and Ann's client."""
    ann, bob = Person(Api(own.url)), Person(Api(own.url))
    guild = ann.guild()
    everybody(guild, ann, bob)
    place = next(c for c in ann.channels(guild) if c["type"] == 2)
    ann.override(place, ann.everyone(guild), allow=CONNECT)
    return ann, bob, guild, place, clients.connect(own.url, ann.token)


def join(who, place):
    return who.call("POST", f"/channels/{place['id']}/voice/join")


def test_a_token_lets_one_into_one_room(scene, livekit):
    ann, bob, guild, place, client = scene
    joined = join(bob, place)
    facts = verify(joined["token"])
    assert joined["url"] == livekit.url and facts["sub"] == bob.id and facts["name"] == bob.name
    assert facts["video"] == {"room": f"voice-{place['id']}", "roomJoin": True, "canSubscribe": True, "canPublish": False}
    state = client.wait_event("VOICE_STATE_UPDATE", user_id=bob.id)
    assert state["guild_id"] == guild["id"] and state["channel_id"] == place["id"]
    assert state["session_id"] == f"voice-{place['id']}" and state["self_mute"] is False and state["self_deaf"] is False
    assert [s["user_id"] for s in joined["voice_states"]] == [bob.id]
    assert [s["user_id"] for s in ann.call("GET", f"/channels/{place['id']}/voice/states")] == [bob.id]
    ann.override(place, ann.everyone(guild), allow=CONNECT | SPEAK)
    assert verify(join(bob, place)["token"])["video"]["canPublish"] is True
    since = client.mark()
    bob.call("POST", f"/channels/{place['id']}/voice/leave", status=204)
    left = client.wait_event("VOICE_STATE_UPDATE", since, user_id=bob.id, channel_id=None)
    assert left == {"guild_id": guild["id"], "channel_id": None, "user_id": bob.id}


@pytest.mark.parametrize("how", ["kick", "ban", "leave", "channel", "guild"])
def test_who_is_gone_is_thrown_out(scene, livekit, how):
    ann, bob, guild, place, client = scene
    room = f"voice-{place['id']}"
    join(bob, place)
    since = client.mark()
    if how == "kick":
        ann.call("DELETE", f"/guilds/{guild['id']}/members/{bob.id}")
    elif how == "ban":
        ann.call("PUT", f"/guilds/{guild['id']}/bans/{bob.id}", {})
    elif how == "leave":
        bob.call("DELETE", f"/guilds/{guild['id']}/members/@me")
    elif how == "channel":
        ann.call("DELETE", f"/channels/{place['id']}")
    else:
        ann.call("DELETE", f"/guilds/{guild['id']}")
    wanted = ("DeleteRoom", {"room": room}) if how in ("channel", "guild") else \
        ("RemoveParticipant", {"room": room, "identity": bob.id})
    poll(lambda: wanted in livekit.calls, what=lambda: livekit.calls)
    if how != "guild":
        client.wait_event("VOICE_STATE_UPDATE", since, user_id=bob.id, channel_id=None)


def webhook(own, event, **changed):
    body = json.dumps(event).encode()
    facts = {"iss": KEY, "exp": int(time.time()) + 60, "sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
             **changed}
    return Api(own.url).call("POST", "/api/v1/voice/webhook", data=body,
                             headers={"Authorization": mint(facts), "Content-Type": "application/webhook+json"})


def test_what_livekit_tells_is_believed_when_it_is_signed(own, scene):
    _, bob, _, place, client = scene
    join(bob, place)
    since = client.mark()
    event = {"event": "participant_left", "room": {"name": f"voice-{place['id']}"}, "participant": {"identity": bob.id}}
    for changed in ({"iss": "another"}, {"exp": int(time.time()) - 1}, {"sha256": "AAAA"}):
        assert webhook(own, event, **changed).status_code == 401
    assert Api(own.url).post("/api/v1/voice/webhook", event).status_code == 401
    assert bob.call("GET", f"/channels/{place['id']}/voice/states")
    assert webhook(own, event).status_code == 204
    client.wait_event("VOICE_STATE_UPDATE", since, user_id=bob.id, channel_id=None)
    assert not bob.call("GET", f"/channels/{place['id']}/voice/states")
    assert webhook(own, {"event": "room_started"}).status_code == 204
