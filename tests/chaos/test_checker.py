"""The checker itself: it says nothing about a good history, and finds each fault that is planted in it."""
import copy

import pytest

from chaos import CHECKS
from checker import judge
from client import op
from history import HUNG, LOST, Down, Fault, History
from streams import Event

T = 1_000_000.0


def at(start, end, made, status=200):
    made.start, made.end, made.status = T + start, T + end, status
    return made


def good_history():
    """A fault from 10 to 14, healthy at 16; nats killed at 10."""
    h = History()
    h.faults = [Fault("kill:nats", T + 10, [Down("nats", "kill", T + 10, T + 14)], T + 14, T + 16)]
    h.ops = [
        at(1, 1.1, op("register", "7", "gateway", 10.0, value="ann")),
        at(2, 2.1, op("profile", "7", "gateway", value="ann-1", safe=True)),
        at(3, 3.1, op("me", "7", "gateway-2", value="ann-1", safe=True, token="L1")),
        at(4, 4.1, op("profile", "7", "gateway", value="ann-2", safe=True)),
        at(5, 5.1, op("me", "7", "gateway-2", value="ann-2", safe=True, token="L1")),
        at(6, 6.1, op("logout", "L1", "gateway", good=(204,)), 204),
        at(9.9, 10.1, op("profile", "7", "gateway", value="ann-3", safe=True), 503),
        at(9.9, 10.1, op("logout", "L2", "gateway", good=(204,)), 504),
        at(11, 11.1, op("ended", "7", "gateway", safe=True, good=(200, 401), token="L1"), 503),
        at(12, 12.1, op("tick", "key0", "", 60.0, value=2), LOST),
        at(17, 17.1, op("me", "7", "gateway", value="ann-2", safe=True, token="L3")),
        at(18, 18.1, op("ended", "7", "gateway", safe=True, good=(200, 401), token="L1"), 401),
        at(20, 20.1, op("found", "7", "gateway", 10.0)),
    ]
    h.ops += [at(i, i + 0.1, op("tick", "key0", "", 60.0, value=number)) for i, number in ((8, 1), (15, 2), (16, 3))]
    h.ops += [
        at(1, 1.1, op("tus_append", "M1", "gateway", 60.0, value=10, good=(204,), relayed="media"), 204),
        at(2, 2.1, op("tus_head", "M1", "gateway", 60.0, value=10, relayed="media")),
        at(3, 3.1, op("tus_complete", "M1", "gateway-2", 60.0, value=20, good=(204,), relayed="media"), 204),
        at(4, 4.1, op("tus_head", "M1", "gateway", 60.0, value=20, relayed="media")),
        at(10, 10.1, op("tus_append", "M2", "gateway", 60.0, value=10, good=(204,), relayed="media"), 503),
        at(17, 17.1, op("item", "M1", "gateway", value="ready", safe=True)),
        at(19, 19.1, op("item", "M1", "gateway", value="ready", safe=True)),
        at(20, 20.1, op("settled", "M1", "gateway", value="ready", safe=True)),
    ]
    h.ops += [
        at(1, 1.1, op("guild", "G1", "gateway", good=(201,)), 201),
        at(2, 2.1, op("post", "C1", "gateway", value=1, good=(201,)), 201),
        at(10, 10.1, op("post", "C1", "gateway-2", value=2, good=(201,)), 503),
        at(17, 17.1, op("post", "C1", "gateway", value=3, good=(201,)), 201),
        at(20, 20.1, op("read_back", "C1", "", value=[1, 2, 3])),
    ]
    h.ops += [
        at(1, 1.1, op("submit", "E1", "gateway", 10.0, good=(201,)), 201),
        at(2, 2.1, op("changes", "feed", "gateway-2", value=(0, [(1, "create", "E1")]), safe=True)),
        at(10, 10.1, op("submit", "", "gateway-2", 10.0, good=(201,)), 503),
        at(17, 17.1, op("submit", "E2", "gateway", 10.0, good=(201,)), 201),
        at(20, 20.1, op("feed_read", "feed", "gateway", safe=True,
                        value=(0, [(1, "create", "E1"), (2, "create", None), (3, "create", "E2")]))),
    ]
    for asked in h.ops:
        asked.retry_after = asked.status == 503
    h.events = [Event("evt.auth.user.registered.7", "7", "e1", T + 1.2),
                Event("evt.auth.login.ended.L1", "L1", "e2", T + 6.1),
                *(Event("evt.auth.chaos.ticked.key0", "key0", f"t{n}", T + 8 + n, n) for n in (1, 2, 3)),
                Event("evt.chat.guild.created.G1", "G1", "g1", T + 1.2),
                *(Event(f"evt.events.event.created.E{n}", f"E{n}", f"v{n}", T + t) for n, t in ((1, 1.2), (2, 17.2))),
                Event("evt.media.item.uploaded.M1", "M1", "m1", T + 3.2),
                *(Event("evt.transcode.job.finished.M1", "M1", f"j{n}", T + 5 + n, job=f"J{n}") for n in (1, 2)),
                *(Event("evt.transcode.job.progressed.M1", "M1", "", T + 5) for _ in range(2))]
    return h


def find(h, kind, **fields):
    return next(o for o in h.ops if o.kind == kind and all(getattr(o, k) == v for k, v in fields.items()))


def lose_account(h):
    h.ops.remove(find(h, "found"))


def lose_write(h):
    find(h, "me", token="L3").value = "ann-1"


def invent_value(h):
    find(h, "me", token="L3").value = "bob"


def hang(h):
    find(h, "profile", value="ann-3").status = HUNG


def answer_late(h):
    find(h, "profile", value="ann-3").end += 10


def honour_revoked(h):
    find(h, "ended", status=401).status = 200


def pass_revoked_on(h):
    asked = find(h, "ended", status=503)
    asked.status, asked.end, asked.gateway = 504, asked.start + 5, "gateway-2"
    h.faults[0].downs.append(Down("gateway-2", "cut", T + 10, T + 14))


def forget_retry_after(h):
    find(h, "profile", value="ann-3").retry_after = False


def fail_in_calm(h):
    find(h, "me", token="L3").status = 503
    find(h, "me", token="L3").retry_after = True


def fail_otherwise(h):
    find(h, "profile", value="ann-3").status = 500


def give_up_early(h):
    find(h, "profile", value="ann-3").status = 504


def wait_for_a_lost_bus(h):
    asked = find(h, "profile", value="ann-3")
    asked.status, asked.end = 504, asked.start + 5


def break_connection(h):
    find(h, "profile", value="ann-3").status = LOST


def refuse_live_token(h):
    find(h, "me", token="L3").status = 401


def stay_ill(h):
    h.faults[0].healthy = float("inf")


def lose_message(h):
    find(h, "read_back").value = [2, 3]


def double_message(h):
    find(h, "read_back").value = [1, 2, 2, 3]


def invent_message(h):
    find(h, "read_back").value = [1, 2, 3, 4]


def swap_messages(h):
    find(h, "read_back").value = [3, 2, 1]


def not_read_back(h):
    h.ops.remove(find(h, "read_back"))


def lose_event(h):
    h.events = [e for e in h.events if e.key != "L1"]


def delay_event(h):
    next(e for e in h.events if e.key == "7").time += 100


def double_event(h):
    h.events.append(copy.copy(h.events[0]))


def swap_events(h):
    h.events[3], h.events[4] = h.events[4], h.events[3]


def leave_gap(h):
    del h.events[3]


def lose_last(h):
    del h.events[4]


def shorten_upload(h):
    find(h, "tus_head", value=20).value = 15


def lengthen_upload(h):
    find(h, "tus_head", value=20).value = 25


def lose_item(h):
    h.ops.remove(find(h, "settled"))


def leave_item_waiting(h):
    find(h, "settled").value = "queued"
    for asked in [o for o in h.ops if o.kind == "item"]:
        h.ops.remove(asked)


def fall_back(h):
    [o for o in h.ops if o.kind == "item"][1].value = "processing"


def finish_twice(h):
    h.events.append(Event("evt.transcode.job.finished.M1", "M1", "j3", T + 9, job="J1"))


def lose_uploaded(h):
    h.events = [e for e in h.events if e.id != "m1"]


def break_off(h):
    find(h, "tus_append", key="M2").status = 502


def lose_change(h):
    find(h, "feed_read").value = (0, [(1, "create", "E1"), (2, "create", None)])


def skip_number(h):
    find(h, "feed_read").value = (0, [(1, "create", "E1"), (3, "create", None), (4, "create", "E2")])


def double_change(h):
    find(h, "feed_read").value = (0, [(1, "create", "E1"), (2, "create", "E2"), (3, "create", "E2")])


def number_again(h):
    find(h, "feed_read").value = (0, [(1, "create", None), (2, "create", "E1"), (3, "create", "E2")])


def skip_in_page(h):
    find(h, "changes").value = (0, [(1, "create", "E1"), (3, "create", "E2")])


def lose_created(h):
    h.events = [e for e in h.events if e.id != "v2"]


PLANTED = [
    (lose_change, "acknowledged write lost"), (skip_number, "gap in the feed"), (double_change, "change twice"),
    (number_again, "number given twice"), (skip_in_page, "gap in a page"), (lose_created, "event lost"),
    (shorten_upload, "upload went back"), (lengthen_upload, "value from nowhere"), (lose_item, "acknowledged write lost"),
    (leave_item_waiting, "not ready"), (fall_back, "fell back"), (finish_twice, "job finished twice"),
    (lose_uploaded, "event lost"), (break_off, "wrong answer"),
    (lose_account, "acknowledged write lost"), (lose_write, "acknowledged write lost"),
    (invent_value, "value from nowhere"), (hang, "hung"), (answer_late, "late"),
    (honour_revoked, "revoked token honoured"), (pass_revoked_on, "revoked token honoured"),
    (forget_retry_after, "no Retry-After"), (fail_in_calm, "failed without a fault"), (fail_otherwise, "wrong answer"),
    (give_up_early, "wrong 504"), (wait_for_a_lost_bus, "wrong 504"), (break_connection, "connection lost"),
    (refuse_live_token, "failed without a fault"), (stay_ill, "not healthy again"), (lose_event, "event lost"),
    (delay_event, "event late"), (double_event, "event twice"), (swap_events, "events out of order"),
    (leave_gap, "event lost"), (lose_last, "event lost"), (lose_message, "acknowledged write lost"),
    (double_message, "message twice"), (invent_message, "value from nowhere"), (swap_messages, "out of order"),
    (not_read_back, "not read back"),
]


def test_a_good_history_is_good():
    assert judge(good_history(), CHECKS) == []


@pytest.mark.parametrize("plant, found", PLANTED, ids=[plant.__name__ for plant, _ in PLANTED])
def test_a_planted_fault_is_found(plant, found):
    h = good_history()
    plant(h)
    assert {check for check, _ in judge(h, CHECKS)} == {found}


def test_a_data_plane_that_is_killed_may_break_off():
    h = good_history()
    break_off(h)
    h.faults[0].downs.append(Down("media", "kill", T + 9, T + 14))
    assert judge(h, CHECKS) == []


def test_a_stopped_gateway_may_let_wait():
    h = good_history()
    h.faults[0].downs.append(Down("gateway", "stop", T + 10, T + 14))
    find(h, "profile", value="ann-3").end += 4
    assert judge(h, CHECKS) == []
    find(h, "profile", value="ann-3").end += 10
    assert {check for check, _ in judge(h, CHECKS)} == {"late"}
