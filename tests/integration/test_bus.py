"""What the bus shows and what it refuses, by credential."""
import base64
import json

import pytest

from api import claims
from nats_client import Nats, Refused
from polling import poll


# ---------------------------------------------------------------------------------------------- discovery
def test_every_service_answers_a_ping(bus):
    answers = [m.json() for m in bus("ops").request_many("$SRV.PING")]
    assert "auth" in {a["name"] for a in answers}
    for a in answers:
        assert a["type"] == "io.nats.micro.v1.ping_response"
        assert a["id"] and a["version"][0].isdigit()
    assert len({a["id"] for a in answers}) == len(answers)


def test_info_names_the_endpoints(bus):
    answers = [m.json() for m in bus("ops").request_many("$SRV.INFO.auth")]
    assert len(answers) == 1
    info = answers[0]
    assert info["type"] == "io.nats.micro.v1.info_response" and info["name"] == "auth"
    assert isinstance(info["description"], str) and isinstance(info.get("metadata", {}), dict)
    login = [e for e in info["endpoints"] if e["subject"].endswith("auth.v1.Login")]
    assert login and login[0]["queue_group"] == "auth" and login[0]["name"]


def requests_of(answer, method):
    return sum(e["num_requests"] for e in answer["endpoints"] if e["subject"].endswith(f".{method}"))


def test_stats_count_requests(bus, api, user):
    ops = bus("ops")

    def stats():
        answer = ops.request("$SRV.STATS.auth").json()
        assert answer["type"] == "io.nats.micro.v1.stats_response" and answer["started"]
        for endpoint in answer["endpoints"]:
            assert {"name", "subject", "num_requests", "num_errors", "processing_time", "average_processing_time"} \
                <= endpoint.keys()
        return answer

    before = requests_of(stats(), "GetMe")
    for _ in range(3):
        assert api.me(user["access_token"]).status_code == 200
    poll(lambda: requests_of(stats(), "GetMe") >= before + 3, what="three more requests are counted")


def test_one_instance_can_be_asked(bus):
    ops = bus("ops")
    who = ops.request("$SRV.PING.auth").json()["id"]
    assert ops.request(f"$SRV.INFO.auth.{who}").json()["id"] == who
    assert ops.request("$SRV.PING.nobody").status == "503"


# ---------------------------------------------------------------------------------------------- permissions
@pytest.mark.parametrize("user, password", [(None, None), ("auth", "wrong"), ("nobody", "x"), ("auth", "")])
def test_who_is_not_known_stays_outside(stack, user, password):
    with pytest.raises((Refused, ConnectionError)):
        Nats(stack.nats_url, user, password)


@pytest.mark.parametrize("who, subject, queue", [
    ("auth", "rpc.main.gateway.v1.X", ""),
    ("auth", "rpc.>", "auth"),
    ("auth", "rpc.main.auth.>", ""),         # without the queue group it would be a wire-tap
    ("auth", "rpc.main.chat.>", "auth"),
    ("auth", "svc.main.ops.chat.v1.X", "chat"),
    ("auth", "svc.>", ""),
    ("auth", "_INBOX.gateway.>", ""),
    ("auth", "_INBOX.>", ""),
    ("auth", "evt.>", ""),
    ("auth", ">", ""),
    ("gateway", "rpc.main.auth.>", "auth"),
    ("gateway", "svc.>", ""),
    ("gateway", "_INBOX.auth.>", ""),
    ("gateway", ">", ""),
    ("ops", "rpc.>", ""),
    ("ops", "_INBOX.gateway.>", ""),
])
def test_subscriptions_that_are_denied(bus, who, subject, queue):
    assert bus(who).denied_subscribe(subject, queue)


@pytest.mark.parametrize("who, subject", [
    ("auth", "rpc.main.auth.v1.Login"),
    ("auth", "rpc.main.chat.v1.SendMessage"),
    ("auth", "svc.main.auth.chat.v1.X"),     # no declared dependency
    ("auth", "svc.main.ops.auth.v1.CreateUser"),
    ("auth", "svc.main.gateway.auth.v1.ResolveToken"),
    ("auth", "_INBOX.gateway.chat.x"),
    ("auth", "evt.chat.message.created.1"),
    ("auth", "$JS.API.STREAM.DELETE.EVT_AUTH"),
    ("auth", "$JS.API.STREAM.CREATE.ANYTHING"),
    ("auth", "$JS.API.STREAM.UPDATE.EVT_AUTH"),  # a stream may take any subject: everyone's requests
    ("gateway", "svc.main.auth.auth.v1.CreateUser"),
    ("gateway", "evt.auth.login.ended.x"),
    ("gateway", "$JS.API.STREAM.PURGE.EVT_AUTH"),
    ("ops", "rpc.main.auth.v1.Login"),
    ("ops", "svc.main.auth.auth.v1.CreateUser"),
    ("ops", "evt.auth.login.ended.x"),
])
def test_publications_that_are_denied(bus, who, subject):
    assert bus(who).denied_publish(subject)


@pytest.mark.parametrize("who, subject, queue", [
    ("auth", "rpc.main.auth.v1.NoSuchMethod", "auth"),
    ("auth", "_INBOX.auth.>", ""),
    ("gateway", "_INBOX.gateway.>", ""),
    ("ops", "_INBOX.ops.>", ""),
])
def test_subscriptions_that_are_granted(bus, who, subject, queue):
    assert not bus(who).denied_subscribe(subject, queue)


def test_an_operator_may_not_act_as_a_user(bus):
    answer = bus("ops").request("svc.main.ops.auth.v1.GetMe", callee="auth")
    assert answer.headers["Nats-Service-Error-Code"] in ("16", "7")
    assert answer.headers["Nats-Service-Error"]


def test_what_only_the_gateway_may_ask_is_denied_to_others(bus):
    answer = bus("ops").request("svc.main.ops.auth.v1.ResolveToken", b"\x0a\x01x", callee="auth")
    assert answer.headers["Nats-Service-Error-Code"] == "7"


def test_a_body_that_is_no_message_is_refused(bus):
    answer = bus("ops").request("svc.main.ops.auth.v1.CreateUser", b"\xff\xff\xff\xff", callee="auth")
    assert answer.headers["Nats-Service-Error-Code"] == "3"
    assert b"INVALID_BODY" in answer.body


def test_nobody_serves_an_unknown_method(bus):
    assert bus("ops").request("svc.main.ops.auth.v1.NoSuchMethod", callee="auth").status == "503"


# ---------------------------------------------------------------------------------------------- events
def test_the_end_of_a_login_is_an_event(bus, api, user):
    login = claims(user["access_token"])["sid"]
    ops = bus("ops")
    assert api.post("/api/v1/auth/logout", {}, user["access_token"]).status_code == 204

    def stored():
        query = json.dumps({"last_by_subj": f"evt.auth.login.ended.{login}"}).encode()
        return ops.request("$JS.API.STREAM.MSG.GET.EVT_AUTH", query).json().get("message")

    message = poll(stored, what="the event is in the stream")
    headers = base64.b64decode(message["hdrs"]).decode()
    fields = dict(line.split(": ", 1) if ": " in line else line.split(":", 1)
                  for line in headers.split("\r\n")[1:] if line)
    lower = {k.lower(): v for k, v in fields.items()}
    assert lower["ce-specversion"] == "1.0" and lower["ce-type"] == "atrium.auth.login.ended"
    assert lower["ce-id"] == lower["nats-msg-id"] and lower["ce-source"] and lower["ce-time"]
    assert login.encode() in base64.b64decode(message["data"])


# ---------------------------------------------------------------------------------------------- the command line
@pytest.mark.local
def test_atrium_call(stack, name):
    made = stack.atrium("call", "auth.v1.CreateUser", json.dumps({"username": name, "role": "operator"}))
    reply = json.loads(made)
    assert reply["user"]["username"] == name and reply["user"]["role"] == "operator" and reply["password"]
    again = stack.run("call", "auth.v1.CreateUser", json.dumps({"username": name}))
    assert again.returncode == 1 and "USERNAME_TAKEN" in again.stderr


@pytest.mark.local
@pytest.mark.parametrize("words, said", [
    (("call", "auth.v1.NoSuchMethod"), "no rpc"),
    (("call", "auth.v1.CreateUser", "{not json"), "not JSON"),
    (("call", "auth.v1.CreateUser", '{"nobody":1}'), "no such member"),
    (("call", "auth.v1.CreateUser", '{"username":5}'), "string"),
    (("call", "CreateUser"), "auth.v1.CreateUser"),
    (("call", "auth.v1.GetMe"), "PERMISSION_DENIED"),
])
def test_atrium_call_tells_what_is_wrong(stack, words, said):
    done = stack.run(*words)
    assert done.returncode != 0
    assert said in done.stderr, done.stderr


@pytest.mark.local
def test_atrium_srv(stack):
    assert "auth" in stack.atrium("srv", "ping")
    assert "auth.v1.Login" in stack.atrium("srv", "info", "auth")
    assert "num_requests" in stack.atrium("srv", "stats", "auth")
    assert stack.run("srv", "ping", "nobody").returncode == 1


@pytest.mark.local
def test_atrium_migrate_status(stack):
    rows = stack.atrium("migrate", "--status")
    assert "auth" in rows and "0001_accounts" in rows and "still to come" not in rows


@pytest.mark.local
@pytest.mark.parametrize("words", [(), ("up",), ("down",), ("status",), ("logs",), ("restart",), ("migrate",), ("call",),
                                   ("user", "create"), ("srv", "ping"), ("config", "example")])
def test_every_command_has_help(stack, words):
    assert len(stack.atrium(*words, "--help")) > 20


@pytest.mark.local
def test_config_example_lists_every_setting(stack):
    example = stack.atrium("config", "example")
    for setting in ("NATS_URL", "DATABASE_URL", "JWT_SECRET", "SERVER_ADDR", "SHUTDOWN_TIMEOUT"):
        assert setting in example
