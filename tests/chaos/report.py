"""The figures of a run, as a table."""
from history import LOST

HEAD = ("fault", "requests", "good", "503", "504", "lost", "slowest s", "healthy after s")


def row(history, fault):
    ops = [op for op in history.ops if op.gateway and fault.covers(op)]
    return (fault.name, len(ops), sum(op.acknowledged for op in ops), sum(op.status == 503 for op in ops),
            sum(op.status == 504 for op in ops), sum(op.status == LOST for op in ops),
            f"{max((op.end - op.start for op in ops), default=0):.1f}", f"{fault.healthy - fault.ended:.1f}")


def line(cells):
    return f"{cells[0]:34}" + "".join(f"{cell:>{max(len(head) + 2, 8)}}" for cell, head in zip(cells[1:], HEAD[1:]))


def revocation_lag(history):
    """The longest that a token passed after its end was answered."""
    over = {op.key: op.end for op in history.ops if op.kind == "logout" and op.acknowledged}
    return max((op.start - over[op.token] for op in history.ops
                if op.token in over and op.status == 200 and op.start > over[op.token]), default=0.0)


def summary(history):
    event_of = {event.key: event.time for event in history.events}
    lags = [event_of[op.key] - op.end for op in history.ops if op.acknowledged and op.key in event_of
            and op.kind in ("register", "logout")]
    healthy = [fault.healthy - fault.ended for fault in history.faults]
    return [
        f"{len(history.ops)} requests and transactions, {sum(op.acknowledged for op in history.ops)} acknowledged;"
        f" {len(history.events)} events",
        f"healthy again after {max(healthy, default=0):.1f} s at most (bound 10), "
        f"{sorted(healthy)[len(healthy) // 2] if healthy else 0:.1f} s in the median",
        f"an event is out at most {max(lags, default=0):.1f} s after its answer; a token passed at most"
        f" {revocation_lag(history):.1f} s after its end",
    ]
