"""bin/atrium chat tail and send, as somebody at a terminal."""
import json
import os
import subprocess

import pytest

from api import PASSWORD
from chat_api import Person
from polling import poll
from stack import ROOT

pytestmark = pytest.mark.local


def environment(stack, who):
    return {**stack.environment, "ATRIUM_URL": stack.url, "ATRIUM_TOKEN": who.token}


@pytest.fixture
def tail(stack, tmp_path):
    """A running tail, and what it has printed."""
    running = []

    def tail(who, *words):
        out = tmp_path / f"tail{len(running)}"
        with open(out, "w") as file:
            running.append(subprocess.Popen([str(ROOT / "bin/atrium"), "chat", "tail", *words], stdout=file,
                                            stderr=subprocess.STDOUT, env=environment(stack, who),
                                            start_new_session=True))
        return out

    yield tail
    for process in running:
        os.killpg(process.pid, 15)
        process.wait()


def test_what_is_sent_is_seen(stack, api, tail):
    ann, bob = Person(api), Person(api)
    dm = ann.dm(bob)
    lines, frames = tail(bob), tail(bob, "--json", "--channel", dm["id"])
    poll(lambda: "READY" in lines.read_text(), what=lines.read_text)

    def send(*words, stdin=None):
        return subprocess.run([str(ROOT / "bin/atrium"), "chat", "send", *words], env=environment(stack, ann), text=True,
                              input=stdin or "", stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)

    def both():
        sent = send(dm["id"], "hello", "there")
        assert sent.returncode == 0, sent.stderr
        return sent.stdout.strip() in frames.read_text()

    poll(both, what="the second tail listens, too")
    poll(lambda: f"{dm['id']}  {ann.name}: hello there" in lines.read_text(), what="both see it")
    assert json.loads(frames.read_text().splitlines()[0])["d"]["content"] == "hello there"
    assert send(dm["id"], "-", stdin="from \x1b[31mstdin").returncode == 0
    poll(lambda: f"{ann.name}: from  [31mstdin" in lines.read_text(), what="no escape reaches the terminal")
    refused = send("1", "nobody is there")
    assert refused.returncode == 1 and "channel not found" in refused.stderr
    assert send("general", "no id").returncode == 2


def test_who_one_is_is_asked(stack, api):
    ann = Person(api)
    dm = ann.dm(Person(api))
    nobody = {k: v for k, v in environment(stack, ann).items() if k != "ATRIUM_TOKEN"}
    words = [str(ROOT / "bin/atrium"), "chat", "send", dm["id"], "hi"]
    refused = subprocess.run(words, env=nobody, text=True, capture_output=True, check=False)
    assert refused.returncode == 1 and "ATRIUM_TOKEN" in refused.stderr
    done = subprocess.run([*words, "--user", ann.name], env=nobody, text=True, input=PASSWORD + "\n",
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    dead = subprocess.run([str(ROOT / "bin/atrium"), "chat", "tail"], env={**nobody, "ATRIUM_TOKEN": "nonsense"},
                          text=True, capture_output=True, check=False, timeout=30)
    assert dead.returncode == 1 and "token" in dead.stderr
