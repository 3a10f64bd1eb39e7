"""Judges a history. Each check yields what is wrong, as (check, text); none yields nothing when all went well.

These hold for every domain; what a domain promises besides, its module says in CHECKS (auth_domain.py)."""
from history import HUNG, LOST

RECOVERY_S = 10             # the project's bound
PATIENCE = 5                # what tests allow of it
SLACK_S = 3.0               # for a busy machine, beside a request's own timeout
WHOLE_TIMEOUT = 0.9         # 504 is for who has waited so much of it
REVOKED_S = 3.0             # REVOCATIONS_FRESH_MS: a token may pass no longer than this after its end was known
EVENT_S = RECOVERY_S * PATIENCE


def stopped_meanwhile(history, op):
    """How long the gateway that was asked did not run while it was: nobody answers then."""
    return sum(max(0.0, min(op.end, d.ended) - max(op.start, d.began))
               for d in history.downs(op.gateway) if d.how == "stop")


def check_answered(history):
    """Every request is answered within its timeout."""
    for op in history.ops:
        took = op.end - op.start
        if op.status == HUNG:
            yield "hung", f"{op.kind} {op.key}: no answer in {took:.1f} s"
        elif took > op.timeout + SLACK_S + stopped_meanwhile(history, op):
            yield "late", f"{op.kind} {op.key}: {op.status} after {took:.1f} s, of {op.timeout:.0f}"


def may_be_lost(history, op):
    """Its gateway was killed or restarted, or died while it was stopped."""
    return any(d.how != "cut" and op.end >= d.began and op.start <= d.ended for d in history.downs(op.gateway))


def may_be_504(history, op, fault):
    """Who waited in vain is told so; and, at once, whose answer was lost with the bus, when it must not be repeated.
    Where only the bus went away, nobody waits."""
    if op.safe and all(d.target == "nats" and d.how in ("kill", "restart") for d in fault.downs):
        return False
    waited = op.end - op.start >= op.timeout * WHOLE_TIMEOUT
    bus_lost = any(op.end >= d.began and op.start <= (d.began + SLACK_S if d.how == "kill" else d.ended)
                   for d in history.downs("nats") if d.how in ("kill", "restart"))
    return waited or (bus_lost and not op.safe)


def may_be_502(history, op):
    """What was passed to a data plane that died meanwhile."""
    return any(d.how in ("kill", "restart") and op.end >= d.began and op.start <= d.ended
               for d in history.downs(op.relayed))


def check_answers(history):
    """Meanwhile: good, or 503 with Retry-After; no other failure. Without a fault: good."""
    for op in history.ops:
        if op.acknowledged or op.status == HUNG or op.status in op.refused:
            continue
        fault = history.fault_of(op)
        where = f"{op.kind} {op.key} at {op.gateway or 'the database'}"
        if op.status == 503 and not op.retry_after:
            yield "no Retry-After", where
        elif not fault:
            yield "failed without a fault", f"{where}: {op.status} {op.value or ''}"
        elif op.status == LOST and op.gateway and not may_be_lost(history, op):
            yield "connection lost", f"{where} in {fault.name}"
        elif op.status == 504 and not may_be_504(history, op, fault):
            yield "wrong 504", f"{where} in {fault.name}: after {op.end - op.start:.1f} s"
        elif op.status == 502 and may_be_502(history, op):
            continue
        elif op.status not in (LOST, 503, 504):
            yield "wrong answer", f"{where} in {fault.name}: {op.status} {op.value or ''}"


def check_recovery(history):
    """Everything works again soon after the fault, without help."""
    for fault in history.faults:
        took = fault.healthy - fault.ended
        if took > RECOVERY_S * PATIENCE:
            yield "not healthy again", f"{fault.name}: {took:.1f} s"


def check_registers(history, write, read, accept=lambda op: True):
    """Values that one writer replaces: a read gives the latest that was acknowledged, or one that is in doubt."""
    writes = {}
    for op in history.ops:
        if op.kind in write and (op.acknowledged or op.in_doubt):
            writes.setdefault(op.key, {})[op.value] = op
    for op in history.ops:
        if op.kind not in read or not op.acknowledged or not accept(op):
            continue
        mine = writes.get(op.key, {})
        wrote = mine.get(op.value)
        if wrote is None or wrote.start > op.end:
            yield "value from nowhere", f"{op.key}: {op.value!r}"
        elif wrote.acknowledged:
            newer = [w for w in mine.values() if w.acknowledged and w.start > wrote.end and w.end < op.start]
            if newer:
                yield "acknowledged write lost", f"{op.key}: {newer[-1].value!r} was answered, {op.value!r} is read"


def check_present(history, kind, read, subject):
    """What was acknowledged is there at the end: `read` ops say so."""
    found = {op.key for op in history.ops if op.kind == read and op.acknowledged}
    for op in history.ops:
        if op.kind == kind and op.acknowledged and op.key not in found:
            yield "acknowledged write lost", f"{subject} {op.key}"


def check_revoked(history, end, use):
    """A token is honoured no longer than REVOKED_S after its end was answered and its event is out: 401, or 503."""
    out = {e.key: e.time for e in history.events if e.subject.startswith("evt.auth.login.ended.")}
    over = {op.key: max(op.end, out.get(op.key, 0)) for op in history.ops if op.kind == end and op.acknowledged}
    for op in history.ops:
        if op.kind in use and op.token in over and op.start > over[op.token] + REVOKED_S \
                and (op.status == 504 or 200 <= op.status < 300):
            yield "revoked token honoured", \
                f"{op.token} at {op.gateway}: {op.status}, {op.start - over[op.token]:.1f} s after its end"


def check_events_once(history):
    """An event is stored once, by its id. What has none was told without the outbox, and may be lost: progress."""
    seen = set()
    for event in history.events:
        if event.id and event.id in seen:
            yield "event twice", f"{event.subject} {event.id}"
        seen.add(event.id)


def check_events_present(history, kind, prefix):
    """Each acknowledged change has its event, soon."""
    stored = {}
    for event in history.events:
        if event.subject.startswith(prefix):
            stored.setdefault(event.key, event.time)
    for op in history.ops:
        if op.kind != kind or not op.acknowledged:
            continue
        if op.key not in stored:
            yield "event lost", f"{prefix}{op.key}"
        elif stored[op.key] - op.end > EVENT_S:
            yield "event late", f"{prefix}{op.key}: {stored[op.key] - op.end:.1f} s"


def check_events_in_order(history, kind, prefix):
    """The events of a key come in the order of their commits, from 1, without a gap; the last acknowledged is there."""
    came, last = {}, {}
    for event in history.events:
        if event.subject.startswith(prefix):
            came.setdefault(event.key, []).append(event.number)
    for op in history.ops:
        if op.kind == kind and op.acknowledged:
            last[op.key] = max(last.get(op.key, 0), op.value)
    for key in sorted(set(came) | set(last)):
        numbers = came.get(key, [])
        if numbers != sorted(numbers):
            yield "events out of order", f"{key}: {numbers[:20]}"
        missing = sorted(set(range(1, max(numbers + [last.get(key, 0)]) + 1)) - set(numbers))
        if missing:
            yield "event lost", f"{prefix}{key}: {missing[:20]}"


GENERAL = (check_answered, check_answers, check_recovery, check_events_once)


def judge(history, checks=()):
    """What is wrong, by all of them."""
    return [wrong for check in (*GENERAL, *checks) for wrong in check(history)]
