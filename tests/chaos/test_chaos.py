"""A minute of chaos, for make test; and the outbox, broken where it hurts most."""
import os
import shutil
import signal
import time

import pytest

import report
from auth_domain import Caller
from chaos import CHECKS, STREAMS, Chaos
from checker import judge
from history import History
from nemesis import SHORT
from outbox_domain import Ticker, connect
from polling import poll
from stack import ROOT

pytestmark = pytest.mark.local


def test_a_minute_of_chaos():
    with Chaos() as chaos:
        chaos.start()
        for name in SHORT:
            print(report.line(report.row(chaos.history, chaos.break_and_mend(name))))
        wrong = chaos.finish()
    assert not wrong, "\n".join(f"{check}: {text}" for check, text in wrong[:30])
    assert sum(o.acknowledged for o in chaos.history.ops) > 500     # it did work meanwhile


@pytest.fixture(scope="module")
def chaos():
    """Without a load of its own; the history is each test's."""
    with Chaos() as made:
        yield made


@pytest.fixture(autouse=True)
def everything_runs(request):
    yield
    if "chaos" in request.fixturenames:
        stack = request.getfixturevalue("chaos")
        stack.nemesis.calm()
        stack.stack.up()


def judged(chaos, history):
    """Everything's events are there, each once and in order per key."""
    chaos.history = history
    assert chaos.await_health() < float("inf")

    def wrong():
        chaos.read_streams()
        return judge(history, CHECKS)

    try:
        poll(lambda: not wrong(), 30, "all events are there")
    except AssertionError:
        return wrong()
    return []


def commit_ticks(chaos, history, key, count, number=1):
    ticker = Ticker(chaos.stack, history, key, None)
    ticker.number = number
    for _ in range(count):
        assert ticker.tick()
    ticker.connection.close()
    return ticker.number


def test_committed_but_unpublished_rows_survive_a_kill(chaos):
    """The bus hangs, changes commit, the relay tries and is killed; then the bus goes on."""
    history = History()
    commit_ticks(chaos, history, "hang0", 3)
    chaos.nemesis.signal_family("nats", signal.SIGSTOP)
    for key in ("hang0", "hang1"):
        commit_ticks(chaos, history, key, 20, 4 if key == "hang0" else 1)
    time.sleep(0.5)  # so that the relay has rows on their way
    os.kill(chaos.nemesis.pid("auth"), signal.SIGKILL)
    chaos.nemesis.signal_family("nats", signal.SIGCONT)
    chaos.stack.atrium("start", "auth")
    assert judged(chaos, history) == []


def test_a_change_whose_service_is_killed_before_it_publishes_has_its_event(chaos):
    """We take the relay's lease, so that requests commit and nothing is published; then the service is killed."""
    history = History()
    caller = Caller(history, chaos.gateways)
    lock = "pg_advisory_lock(hashtextextended(current_schema() || '/lease/outbox/-1', 0))"
    held = ("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND (classid::bigint << 32 | objid::bigint) = hashtextextended('auth/lease/outbox/-1', 0)")
    thief = connect(chaos.stack)
    lost = chaos.stack.log("auth").count('"lease_lost"')
    try:
        with thief.cursor() as cursor:
            cursor.execute(f"SELECT pg_terminate_backend(pid), {lock} FROM ({held}) AS holder")
            assert cursor.rowcount == 1
        poll(lambda: chaos.stack.log("auth").count('"lease_lost"') > lost, what="auth knows that it lost the lease")
        account = caller.register()
        login = caller.login(account)
        assert caller.profile(account, login) and caller.logout(login)
        commit_ticks(chaos, history, "lease0", 5)
        chaos.history = history
        chaos.read_streams()
        assert not [e for e in history.events if e.key in (account.id, login.id, "lease0")]
        os.kill(chaos.nemesis.pid("auth"), signal.SIGKILL)
    finally:
        thief.close()
    chaos.stack.atrium("start", "auth")
    caller.login(account, "found")
    assert judged(chaos, history) == []
    for gateway in chaos.gateways:
        caller.ended(account, login, gateway)
        assert history.ops[-1].status == 401


def stream_store(chaos):
    return chaos.stack.folder / "stack/nats"


def test_a_stream_restored_from_an_older_state_gets_everything_again(chaos):
    history = History()
    caller = Caller(history, chaos.gateways)
    before = caller.register()
    number = commit_ticks(chaos, history, "old0", 10)
    chaos.stack.atrium("stop", "nats")
    old = chaos.stack.folder / "old-nats"
    shutil.copytree(stream_store(chaos), old)
    chaos.stack.atrium("start", "nats")
    chaos.await_health()
    after = caller.register()
    login = caller.login(after)
    assert caller.logout(login)
    commit_ticks(chaos, history, "old0", 10, number)
    commit_ticks(chaos, history, "old1", 10)
    caller.login(before, "found")
    caller.login(after, "found")
    assert judged(chaos, history) == []
    stored = {e.id for e in history.events}

    os.kill(chaos.nemesis.pid("nats"), signal.SIGKILL)
    shutil.rmtree(stream_store(chaos))
    shutil.move(old, stream_store(chaos))
    chaos.stack.atrium("start", "nats")
    assert judged(chaos, history) == []
    assert stored <= {e.id for e in history.events}
    # Who reads it from its beginning knows of the end, and so does who had read it before.
    chaos.stack.atrium("restart", "gateway")
    for gateway in chaos.gateways:
        caller.ended(after, login, gateway)
        assert history.ops[-1].status == 401


def test_the_streams_of_all_domains_are_read():
    """Who adds a domain with events adds it here, too."""
    protos = (ROOT / "proto/atrium").glob("*/v1/*.proto")
    domains = {proto.parent.parent.name for proto in protos if "(atrium.event)" in proto.read_text()}
    assert {f"EVT_{name.upper()}" for name in domains} == set(STREAMS)
