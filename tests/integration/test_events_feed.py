"""The change feed: every change once and in order, by page and by stream, over crashes; webhooks; events on the bus."""
import concurrent.futures
import datetime
import re
import threading
import time

import pytest

from api import Api
from events_feed import FEED, HOOKS, STREAM, Commons, Watch, cursor, happening, number
from nats_client import Nats
from polling import PATIENCE, poll
from receiver import Receiver, verified
from stack import running
from uploads import kill, start

SETTINGS = {"GATEWAY_EVENT_STREAMS_PER_CALLER": "2000", "FEED_STREAMS_PER_ADDRESS": "2000",
            "WEBHOOK_RETRY": "50ms", "WEBHOOK_ATTEMPTS": "3", "WEBHOOK_TIMEOUT": "2s"}
WRITERS, EACH = 50, 6
CROWD = 1000
TOLD_S = 2 * PATIENCE  # a webhook is told within two seconds


@pytest.fixture(scope="module")
def receiver():
    own = Receiver()
    yield own
    own.close()


@pytest.fixture(scope="module")
def stack(receiver):
    with running(gateways=2, settings={**SETTINGS, "WEBHOOK_ALLOWED": receiver.address}) as own:
        yield own


@pytest.fixture(scope="module")
def commons(stack):
    return Commons(stack)


@pytest.fixture
def here(commons):
    """Where the feed is before the test."""
    return commons.position()


def of(commons, since, count, **params):
    """So many changes since then, when they are there."""
    return poll(lambda: len(found := commons.all_since(since, **params)) >= count and found, what=f"{count} changes")


# ---------------------------------------------------------------------------------------------- pages
def test_an_event_becomes_is_changed_and_goes(commons, here):
    ulid = commons.submit()
    commons.rename(ulid, "Another name for it, of some length")
    commons.delete(ulid)
    created, updated, deleted = of(commons, here, 3)
    assert [c["action"] for c in (created, updated, deleted)] == ["create", "update", "delete"]
    assert {c["event_ulid"] for c in (created, updated, deleted)} == {ulid}
    numbers = [c["sequence_number"] for c in (created, updated, deleted)]
    assert numbers == sorted(set(numbers)) and numbers[0] > number(here)  # its place has one, too
    assert created["changed_fields"] == {} and "snapshot" not in created
    assert "name" in updated["changed_fields"] and "/name" in updated["changed_pointers"]
    assert deleted["changed_fields"]["deleted_at"] and deleted["tombstone"]
    for change in (created, updated, deleted):
        assert change["uri"].endswith(f"/events/{ulid}") and change["federation_uri"] == change["uri"]
        assert change["license_status"] == "cc0" and change["license_url"].startswith("https://creativecommons.org/")
        assert change["changed_at"].endswith("Z") and "source_timestamp" not in change or change["source_timestamp"]
        assert len(change["id"]) == len(change["event_id"]) == 36


def test_a_snapshot_is_of_that_moment(commons, here):
    body = happening()
    ulid = commons.submit(body)
    commons.rename(ulid, "Another name for it, of some length")
    created, updated = of(commons, here, 2, include_snapshot="true")
    assert created["snapshot"]["name"] == body["name"]
    assert updated["snapshot"]["name"] == "Another name for it, of some length"
    assert created["snapshot"]["@id"].endswith(ulid)


def test_a_second_delete_is_no_change(commons, here):
    ulid = commons.submit()
    commons.delete(ulid)
    commons.api.call("DELETE", f"/api/v1/admin/events/{ulid}", commons.admin)
    other = commons.submit()
    found = of(commons, here, 3)
    assert [(c["action"], c["event_ulid"]) for c in found] == [("create", ulid), ("delete", ulid), ("create", other)]


def test_pages_join_and_the_end_is_a_place_to_go_on_from(commons, here):
    ulids = [commons.submit() for _ in range(5)]
    of(commons, here, 5)
    since, walked = here, []
    while True:
        page = commons.changes(since=since, limit=2)
        assert page["cursor"] == since and len(page["changes"]) <= 2
        walked += [c["event_ulid"] for c in page["changes"]]
        since = page["next_cursor"]
        if not page["has_more"]:
            break
    assert walked == ulids
    assert commons.changes(since=since) == {"cursor": since, "changes": [], "next_cursor": since, "has_more": False}
    assert commons.changes(since=since, legacy_end="1")["next_cursor"] == ""
    one = commons.submit()
    assert [c["event_ulid"] for c in of(commons, since, 1)] == [one]


def test_the_beginning_has_the_contracts_cursor(commons):
    assert commons.changes(limit=1)["cursor"] == cursor(0)
    assert commons.changes(after=cursor(0), limit=1) == commons.changes(since=cursor(0), limit=1)


def test_a_time_is_a_place_to_begin(commons, here):
    commons.submit()
    of(commons, here, 1)
    then = (datetime.datetime.now(datetime.timezone.utc)).isoformat().replace("+00:00", "Z")
    ulid = commons.submit()
    assert [c["event_ulid"] for c in of(commons, then, 1)] == [ulid]
    assert commons.changes(since="2999-01-01T00:00:00Z")["changes"] == []


def test_filters_leave_out_and_lose_no_place(commons, here):
    ulid = commons.submit()
    commons.rename(ulid, "Another name for it, of some length")
    of(commons, here, 2)
    page = commons.changes(since=here, action="update")
    assert [c["action"] for c in page["changes"]] == ["update"]
    assert number(page["next_cursor"]) >= number(here) + 2
    assert commons.changes(since=here, action="delete")["changes"] == []
    kinds = {c["entity"] for c in commons.all_since(here, entity="all")}
    assert kinds >= {"event", "place"}
    assert {c["entity"] for c in commons.all_since(here, entity="place")} == {"place"}


@pytest.mark.parametrize("params, code", [
    ({"since": "nonsense"}, "validation-error"), ({"since": "c2VxXzF4"}, "validation-error"),
    ({"since": cursor(-1)}, "validation-error"), ({"since": "2026-01-01"}, "validation-error"),
    ({"after": "!"}, "validation-error"), ({"since": "A" * 5000}, "validation-error"),
    ({"limit": "0"}, "validation-error"), ({"limit": "201"}, "validation-error"), ({"limit": "x"}, "validation-error"),
    ({"action": "renamed"}, "validation-error"), ({"entity": "cat"}, "validation-error"),
    ({"since": cursor(2 ** 40)}, "cursor-expired"), ({"since": cursor(2 ** 62)}, "cursor-expired"),
])
def test_what_cannot_be_asked_is_a_problem(commons, params, code):
    for path in (FEED, STREAM):
        answer = commons.api.get(path, params=params)
        assert answer.status_code == 400, answer.text
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert answer.json()["type"] == f"https://sel.events/problems/{code}"


# ---------------------------------------------------------------------------------------------- no gaps
@pytest.mark.local
def test_fifty_writers_and_a_poller_with_a_service_killed_between(stack, commons, here):
    """Each change seen once, in order, without a number missing; and the end is where it goes on."""
    seen, done, asked = [], threading.Event(), [here]
    accepted, lock = set(), threading.Lock()
    killed = threading.Event()

    def follow():
        """Trusts what it is given: never looks back."""
        api = Api(stack.url2)
        while True:
            last = done.is_set()
            answer = api.get(FEED, params={"since": asked[0], "limit": 200})
            if answer.status_code == 200:
                page = answer.json()
                seen.extend(page["changes"])
                asked[0] = page["next_cursor"]
                if last and not page["has_more"]:
                    return
            else:
                assert answer.status_code in (503, 504), answer.text

    def write(_):
        api = Api(stack.url)
        for _ in range(EACH):
            answer = api.post("/api/v1/events", happening(), commons.key)
            if answer.status_code == 201:
                with lock:
                    accepted.add(answer.json()["@id"].rsplit("/", 1)[1])
                    if len(accepted) > WRITERS:
                        killed.set()
            else:  # its answer was lost, or the service was away
                assert answer.status_code in (503, 504), answer.text
                time.sleep(0.2)

    follower = concurrent.futures.ThreadPoolExecutor(1).submit(follow)
    with concurrent.futures.ThreadPoolExecutor(WRITERS) as writers:
        all_written = [writers.submit(write, n) for n in range(WRITERS)]
        assert killed.wait(60)
        kill(stack, "events")
        start(stack, "events")
        for written in all_written:
            written.result()
    # What was committed and not numbered when it died is numbered when somebody looks.
    poll(lambda: accepted <= {c["event_ulid"] for c in commons.all_since(here)}, 30, "all to be in the feed")
    done.set()
    follower.result(60)
    numbers = [c["sequence_number"] for c in seen]
    assert numbers == sorted(set(numbers))
    ulids = [c["event_ulid"] for c in seen if c["action"] == "create"]
    assert len(ulids) == len(set(ulids)) and accepted <= set(ulids)
    whole = [c["sequence_number"] for c in commons.all_since(here, entity="all")]
    assert whole == list(range(number(here) + 1, number(here) + 1 + len(whole))), "a number is missing"
    assert len(accepted) > WRITERS
    ulid = commons.submit()
    assert [c["event_ulid"] for c in of(commons, asked[0], 1)] == [ulid]


# ---------------------------------------------------------------------------------------------- withheld
def test_what_is_taken_down_is_in_no_document(commons, receiver, here):
    made = hook(commons, receiver.url + "/withheld", types=["events.event.created"])
    body = happening()
    ulid = commons.submit(body)
    poll(lambda: receiver.to("/withheld"), TOLD_S, "the message")
    watch = Watch(commons.api.url)  # so that there is a ring
    path = f"/api/v1/admin/events/{ulid}/takedown"
    assert commons.api.post(path, {"reason": "rights"}, commons.admin).status_code == 200
    created, deleted = of(commons, here, 2, include_snapshot="true")
    assert created["snapshot"] is None and (created["action"], deleted["action"]) == ("create", "delete")
    again = Watch(commons.api.url, f"{FEED}?since={here}&include_snapshot=true")
    assert again.next()[0] == "position" and again.next()[1]["snapshot"] is None
    deliveries = f"{HOOKS}/{made['id']}/deliveries"
    done = commons.api.get(deliveries, commons.key).json()["items"][0]["id"]
    assert commons.api.post(f"{deliveries}/{done}/redeliver", None, commons.key).status_code == 202
    messages = poll(lambda: len(found := receiver.to("/withheld")) == 2 and found, TOLD_S, "the same again")
    first, second = (verified(m, made["secret"])[1]["data"] for m in messages)
    assert first.pop("snapshot")["name"] == body["name"] and second.pop("snapshot") is None and first == second
    assert commons.api.call("DELETE", path, commons.admin).status_code == 200
    created, _, back = of(commons, here, 3, include_snapshot="true")
    assert created["snapshot"]["name"] == back["snapshot"]["name"] == body["name"]
    for one in (watch, again):
        one.close()
    drop(commons, made)


def test_who_does_not_read_holds_up_nobody(commons, here):
    filler = {"description": "Much is said of it. " * 200}
    for _ in range(20):
        commons.submit(happening(**filler))
    of(commons, here, 20)
    idle = [Watch(commons.api.url, f"{FEED}?since={cursor(0)}&include_snapshot=true&entity=all") for _ in range(30)]
    began = time.time()
    late = Watch(commons.api.url, f"{FEED}?since={here}")
    assert late.next()[0] == "position"
    assert len({late.next()[1]["event_ulid"] for _ in range(20)}) == 20
    ulid = commons.submit()
    assert late.next()[1]["event_ulid"] == ulid
    assert time.time() - began < TOLD_S
    for one in (late, *idle):
        one.close()


# ---------------------------------------------------------------------------------------------- streams
def test_a_stream_begins_now_and_says_where(commons, here):
    watch = Watch(commons.api.url)
    assert b" 200 " in watch.head and b"text/event-stream" in watch.head
    kind, data = watch.next()
    assert kind == "position" and number(data["cursor"]) >= number(here) and watch.last == data["cursor"]
    ulid = commons.submit()
    kind, data = watch.next()
    assert (kind, data["action"], data["event_ulid"]) == ("message", "create", ulid)
    assert watch.last == cursor(data["sequence_number"]) and "snapshot" not in data
    watch.close()


def test_a_stream_goes_on_where_it_was_left(commons, here):
    ulids = [commons.submit() for _ in range(3)]
    of(commons, here, 3)
    watch = Watch(commons.api.url, last=here)
    assert watch.next()[0] == "position"
    assert [watch.next()[1]["event_ulid"] for _ in ulids[:2]] == ulids[:2]
    last = watch.last
    watch.close()
    watch = Watch(commons.api.url, STREAM, last=last)
    assert watch.next()[0] == "position" and watch.next()[1]["event_ulid"] == ulids[2]
    watch.close()
    watch = Watch(commons.api.url, f"{FEED}?since={here}&include_snapshot=true&action=create")
    watch.next()
    assert watch.next()[1]["snapshot"]["@id"].endswith(ulids[0])
    watch.close()


def test_a_stream_wants_what_it_asked_for(commons, here):
    watch = Watch(commons.api.url, f"{FEED}?since={here}&action=update")
    watch.next()
    ulid = commons.submit()
    commons.rename(ulid, "Another name for it, of some length")
    assert watch.next()[1]["action"] == "update"
    watch.close()


def test_last_event_id_that_is_none(commons):
    watch = Watch(commons.api.url, last="nonsense")
    assert b" 400 " in watch.head
    watch.close()


@pytest.mark.local
def test_a_stream_over_a_restart_loses_and_repeats_nothing(stack, commons, here):
    submitted, seen, last = [], [], here
    stop = threading.Event()

    def write():
        while not stop.is_set():
            answer = commons.api.post("/api/v1/events", happening(), commons.key)
            if answer.status_code == 201:
                submitted.append(answer.json()["@id"].rsplit("/", 1)[1])
            time.sleep(0.02)

    writer = concurrent.futures.ThreadPoolExecutor(1).submit(write)
    for turn in range(3):
        watch = poll(lambda since=last: (w := Watch(stack.url2, last=since)) and b" 200 " in w.head and w, 30)
        until = len(seen) + 20
        while (event := watch.next()) is not None:
            last = watch.last
            if event[0] == "message":
                seen.append(event[1])
            if event[0] == "error" or len(seen) == until:
                break
        if turn == 0:
            kill(stack, "events")
            start(stack, "events")
        elif turn == 1:
            stack.atrium("restart", "events")
        watch.close()
    stop.set()
    writer.result()
    watch = Watch(stack.url2, last=last)
    while len(seen) < len(submitted) or submitted[-1] not in {c["event_ulid"] for c in seen}:
        event = watch.next()
        if event[0] == "message":
            seen.append(event[1])
    watch.close()
    numbers = [c["sequence_number"] for c in seen]
    assert numbers == sorted(set(numbers))
    ulids = [c["event_ulid"] for c in seen]
    assert len(set(ulids)) == len(ulids) and set(submitted) <= set(ulids)


def test_a_thousand_watch_at_once(commons, here):
    """Of one gateway and one instance: each gets every change, in the same order, without waiting for the others."""
    watches = [Watch(commons.api.url, f"{FEED}?since={here}", timeout=TOLD_S * PATIENCE) for _ in range(CROWD)]
    for watch in watches:
        assert watch.next()[0] == "position"
    ulid = commons.submit()
    for i in range(3):
        commons.rename(ulid, f"Name {i} of what a thousand watch")
    commons.delete(ulid)
    done = time.monotonic()
    wanted = [(c["action"], c["sequence_number"]) for c in of(commons, here, 5)]
    assert [action for action, _ in wanted] == ["create", "update", "update", "update", "delete"]
    for watch in watches:
        got = [watch.next()[1] for _ in wanted]
        assert [(c["action"], c["sequence_number"]) for c in got] == wanted
        assert {c["event_ulid"] for c in got} == {ulid}
        watch.close()
    assert time.monotonic() - done < TOLD_S * PATIENCE


# ---------------------------------------------------------------------------------------------- webhooks
def hook(commons, url, key=None, **fields):
    answer = commons.api.post(HOOKS, {"url": url, **fields}, key or commons.key)
    assert answer.status_code == 201, answer.text
    return answer.json()


def drop(commons, made):
    assert commons.api.call("DELETE", f"{HOOKS}/{made['id']}", commons.key).status_code == 204


def test_a_webhook_is_told_of_what_it_wants(commons, receiver):
    music = hook(commons, receiver.url + "/music", types=["events.event.created"],
                 filter={"domains": ["music"], "bbox": [-80, 43, -79, 44]})
    words = hook(commons, receiver.url + "/words", filter={"keywords": ["Polka"]})
    elsewhere = hook(commons, receiver.url + "/elsewhere", filter={"bbox": [170, -20, -170, 20]})
    began = time.time()
    one = commons.submit(happening())
    two = commons.submit({**happening(keywords=["polka", "waltz"]), "@type": "SportsEvent"})
    messages = poll(lambda: receiver.to("/music"), TOLD_S, "the first message")
    _, body = verified(messages[0], music["secret"])
    assert messages[0][0] - began < TOLD_S
    assert body["type"] == "events.event.created" and body["data"]["event_ulid"] == one
    assert body["data"]["snapshot"]["@id"].endswith(one) and body["data"]["sequence_number"] > 0
    headers = {k.lower(): v for k, v in messages[0][2].items()}
    assert headers["ce-id"] == headers["webhook-id"] == body["data"]["id"]
    assert (headers["ce-specversion"], headers["ce-type"]) == ("1.0", "events.event.created")
    assert headers["ce-source"] and headers["ce-time"].endswith("Z")
    told = poll(lambda: receiver.to("/words"), TOLD_S, "the other's message")
    assert {verified(m, words["secret"])[1]["data"]["event_ulid"] for m in told} == {two}
    commons.delete(one)
    commons.rename(two, "Another name for it, of some length")
    poll(lambda: len(receiver.to("/words")) == 2, TOLD_S, "the update")
    assert len(receiver.to("/music")) == 1 and not receiver.to("/elsewhere")
    for made in (music, words, elsewhere):
        drop(commons, made)


def test_the_id_of_a_message_is_the_same_for_all_its_tries(commons, receiver):
    with receiver.lock:
        receiver.answers[:] = [500, 503]
    made = hook(commons, receiver.url + "/again", types=["events.event.created"])
    commons.submit()
    tries = poll(lambda: len(receiver.to("/again")) == 3 and receiver.to("/again"), TOLD_S, "three tries")
    assert len({verified(m, made["secret"])[0] for m in tries}) == 1
    path = f"{HOOKS}/{made['id']}/deliveries"
    listed = poll(lambda: commons.api.get(path, commons.key, params={"state": "delivered"}).json()["items"])
    assert listed[0]["attempts"] == 3
    drop(commons, made)


def test_what_cannot_be_delivered_is_dead_and_can_be_sent_again(commons, receiver):
    with receiver.lock:
        receiver.answers[:] = [500] * 3
    made = hook(commons, receiver.url + "/dead", types=["events.event.created"])
    commons.submit()
    path = f"{HOOKS}/{made['id']}/deliveries"
    dead = poll(lambda: commons.api.get(path, commons.key, params={"state": "dead"}).json()["items"], TOLD_S)
    again = commons.api.post(f"{path}/{dead[0]['id']}/redeliver", None, commons.key)
    assert again.status_code == 202, again.text
    poll(lambda: commons.api.get(path, commons.key, params={"state": "delivered"}).json()["items"], TOLD_S)
    drop(commons, made)


@pytest.mark.parametrize("fields", [
    {"url": "http://127.0.0.1:1/"}, {"url": "http://[::1]/"}, {"url": "http://169.254.169.254/latest"},
    {"url": "http://10.0.0.1/"}, {"url": "ftp://example.org/"}, {"url": "https://u:p@example.org/"}, {"url": ""},
    {"url": "https://example.org/", "types": ["events.cat.created"]},
    {"url": "https://example.org/", "filter": {"domains": ["cats"]}},
    {"url": "https://example.org/", "filter": {"bbox": [1, 2, 3]}},
    {"url": "https://example.org/", "filter": {"bbox": [0, 91, 0, 92]}},
    {"url": "https://example.org/", "filter": {"keywords": ["x"] * 51}},
])
def test_what_cannot_be_a_webhook(commons, fields):
    answer = commons.api.post(HOOKS, fields, commons.key)
    assert answer.status_code == 400 and answer.json()["type"].endswith("/validation-error"), answer.text


def test_webhooks_are_their_owners(commons, stack):
    made = hook(commons, "https://example.org/hook")
    stranger = commons.api.register()["access_token"]
    for method, path in (("PATCH", ""), ("DELETE", ""), ("POST", "/test"), ("POST", "/secret"), ("GET", "/deliveries")):
        answer = commons.api.call(method, f"{HOOKS}/{made['id']}{path}", stranger,
                                  json={} if method in ("PATCH", "POST") else None)
        assert answer.status_code == 404, (method, path, answer.text)
    assert commons.api.get(HOOKS, stranger).json() == {"items": [], "next_cursor": ""}
    assert commons.api.get(HOOKS).status_code == 401
    drop(commons, made)


# ---------------------------------------------------------------------------------------------- the bus
@pytest.mark.local
def test_changes_are_told_on_the_bus_in_order(stack, commons):
    told = stack.atrium("bus", "user", "add", "follower", "--read", "evt.events.>")
    ops = Nats(stack.nats_url, "follower", re.search(r"^password +(\S+)$", told, re.M).group(1))
    sid = ops.subscribe("evt.events.event.>")
    ops.flush()
    ulid = commons.submit()
    commons.rename(ulid, "Another name for it, of some length")
    commons.delete(ulid)
    subjects = []
    while len(subjects) < 3:
        message = ops.next(sid, 10)
        assert message, subjects
        if message.subject.endswith(ulid):
            subjects.append(message.subject)
            assert message.headers["ce-subject"] == ulid
    assert subjects == [f"evt.events.event.{verb}.{ulid}" for verb in ("created", "updated", "deleted")]
    ops.close()


# ---------------------------------------------------------------------------------------------- chat
def test_an_event_is_announced_in_a_channel(commons):
    """As its caller, and without what chat would take for a mention or for markup."""
    me, stranger = (commons.api.register()["access_token"] for _ in range(2))
    guild = commons.api.post("/api/v1/guilds", {"name": "Guild"}, me).json()["data"]["id"]
    channels = commons.api.get(f"/api/v1/guilds/{guild}/channels", me).json()["data"]
    channel = next(c["id"] for c in channels if c["type"] == 0)
    ulid = commons.submit(happening("A *bold* @everyone name of some length"))
    path = f"/api/v1/events/{ulid}/announce"
    answer = commons.api.post(path, {"channel_id": channel, "text": "look"}, me)
    assert answer.status_code == 201, answer.text
    message = commons.api.get(f"/api/v1/channels/{channel}/messages", me).json()[0]
    assert message["id"] == answer.json()["message_id"] and not message["mention_everyone"]
    assert message["content"].startswith("look\n**A \\*bold\\* @") and message["content"].endswith(f"/events/{ulid}")
    assert commons.api.post(path, {"channel_id": channel}, stranger).status_code == 403
    assert commons.api.post(path, {}, me).status_code == 400
    assert commons.api.post(path, {"channel_id": channel}).status_code == 401
    commons.delete(ulid)
    assert commons.api.post(path, {"channel_id": channel}, me).status_code == 410
