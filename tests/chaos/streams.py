"""Reads what a JetStream stream holds."""
import base64
import calendar
import dataclasses
import json
import re
import time
import uuid

AT_ONCE = 100


@dataclasses.dataclass
class Event:
    subject: str
    key: str
    id: str
    time: float
    number: int = 0     # of our own ticks: outbox_domain.py
    job: str = ""       # of transcode's: media_domain.py


def seconds_of(text):
    whole, fraction = re.fullmatch(r"(\d+-\d+-\d+T\d+:\d+:\d+)(\.\d+)?Z", text).groups()
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(fraction or 0)


def header(raw, name):
    found = re.search(rf"^{name}: *(.*?)\r?$", raw, re.IGNORECASE | re.MULTILINE)
    return found.group(1) if found else ""


def event_of(message):
    event = Event(message["subject"], message["subject"].rsplit(".", 1)[1],
                  header(base64.b64decode(message["hdrs"]).decode(), "Nats-Msg-Id"), seconds_of(message["time"]))
    if ".chaos." in event.subject:
        event.number = int(base64.b64decode(message["data"]))
    if event.subject.startswith("evt.transcode.job."):
        # Field 3 of all of them.
        event.job = re.search(rb"\x1a\x24([0-9a-f-]{36})", base64.b64decode(message["data"])).group(1).decode()
    return event


def read_stream(ops, stream):
    """All its messages, oldest first. `ops` is the operator on the bus. Many are asked for at a time: one by one each
    waits for a delayed acknowledgement of TCP."""
    state = ops.request(f"$JS.API.STREAM.INFO.{stream}").json()["state"]
    inbox = f"_INBOX.{ops.user}.srv.{uuid.uuid4().hex}"
    sid = ops.subscribe(f"{inbox}.*")
    answers = {}
    wanted = range(state["first_seq"], state["last_seq"] + 1)
    for at in range(0, len(wanted), AT_ONCE):
        batch = wanted[at:at + AT_ONCE]
        for sequence in batch:
            query = json.dumps({"seq": sequence}).encode()
            ops.publish(f"$JS.API.STREAM.MSG.GET.{stream}", query, f"{inbox}.{sequence}")
        for _ in batch:
            answer = ops.next(sid)
            assert answer, f"{stream}: not all of {batch} is answered"
            answers[int(answer.subject.rsplit(".", 1)[1])] = answer.json().get("message")
    return [event_of(answers[sequence]) for sequence in wanted if answers[sequence]]
