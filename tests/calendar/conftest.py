"""What the calendar's tests share: calendar_tool, built once and asked over pipes."""

import contextlib
import os
import subprocess
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
TOOL = os.path.join(HERE, "../../build/test/calendar/calendar_tool")


@pytest.fixture(scope="session")
def ask():
    """ask(FIELD, …): one question, one line back."""
    subprocess.run([os.path.join(HERE, "run"), "build"], check=True)
    process = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def question(*fields):
        process.stdin.write("\t".join(str(f) for f in fields) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, "calendar_tool is gone"
        return line[:-1]

    yield question
    process.stdin.close()
    assert process.wait(10) == 0


@pytest.fixture
def expand(ask):
    """expand(ZONE, WALL, RULE): the instants, and whether there are more."""

    def run(zone, wall, rule, begin=-3_000_000_000, end=50_000_000_000, limit=100, *, added="", taken=""):
        answer = ask("expand", zone, wall, rule, added, taken, begin, end, limit)
        assert not answer.startswith("!"), (rule, answer)
        words = answer.split()
        return [int(w) for w in words if w != "+"], "+" in words

    return run


@pytest.fixture
def clock():
    """clock(SECONDS): what stands in it takes less, five times as long on a machine with other work."""

    @contextlib.contextmanager
    def within(seconds):
        began = time.monotonic()
        yield
        assert time.monotonic() - began < 5 * seconds

    return within
