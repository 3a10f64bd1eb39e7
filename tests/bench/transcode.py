#!/usr/bin/python3
"""transcode.py ROUNDS: how soon a job is begun, and what the service costs beside the same command by hand. Prints lines of a
name and a number: `pickup` (ms), from the item's event to its first child; then in turns `service` and `hand` (s), the
encoder's whole run; `whole` (s), from the item's event to the end of its first job.

A child's begin and end are the kernel's own word: the programs are copies of this run's own, and inotify tells when they are
opened to be run and when the last process lets go of them. A service's child begins when transcode-confine does, so what
confinement costs is inside."""
import ctypes
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from lab import make, open_lab  # noqa: E402 pylint: disable=wrong-import-position
from polling import poll  # noqa: E402 pylint: disable=wrong-import-position
from stack import ROOT  # noqa: E402 pylint: disable=wrong-import-position

IN_OPEN, IN_CLOSE_NOWRITE = 0x20, 0x10
PICKUPS = 9


class Watch:
    """When programs are opened and closed: (seconds, program, mask), from a thread of its own."""

    def __init__(self, programs):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_CLOEXEC)
        self.names = {}
        for path in programs:
            watch = libc.inotify_add_watch(self.fd, str(path).encode(), IN_OPEN | IN_CLOSE_NOWRITE)
            assert watch >= 0, os.strerror(ctypes.get_errno())
            self.names[watch] = path.name
        self.seen = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            data = os.read(self.fd, 65536)
            now, at = time.monotonic(), 0
            while at < len(data):
                watch, mask, _, length = struct.unpack_from("iIII", data, at)
                self.seen.append((now, self.names[watch], mask))
                at += 16 + length

    def first(self, name, mask, after):
        return next((t for t, n, m in list(self.seen) if n == name and m & mask and t >= after), None)

    def last_before(self, name, mask, moment):
        return max(t for t, n, m in list(self.seen) if n == name and m & mask and t <= moment)


def arguments_of(lab):
    """Of the encoder that runs now, as they stand behind transcode-confine's own."""
    for line in lab.children():
        words = line.decode().rstrip("\0").split("\0")
        if "--" in words and "-filter_complex" in words:
            return words[words.index("--") + 1:]
    return None


def call_off(lab, item, first):
    """Ends what would follow, and waits until nobody works on it."""
    lab.cancel(item)

    def over():
        ended = lab.events(item, "JobFinished") + [e for e in lab.events(item, "JobFailed") if e.is_final]
        return set(first.following) <= {e.kind for e in ended} and not lab.children()
    poll(over, 60, "nothing is worked on")


def by_service(lab, watch, source):
    """Seconds of the encoder's run and of the job; the command that was run."""
    began = time.monotonic()
    item = lab.upload(source)
    words = poll(lambda: arguments_of(lab), 60, "the encoder")
    first = lab.finished(item, "FIRST")
    ended = time.monotonic()
    call_off(lab, item, first)
    opened = watch.first("ffmpeg", IN_OPEN, began)
    return watch.first("ffmpeg", IN_CLOSE_NOWRITE, opened) - watch.last_before("transcode-confine", IN_OPEN, opened), \
        ended - began, words


def by_hand(words, source):
    """The same command, unconfined, in a folder of its own; its input at the same descriptor. In a session of its own, as the
    service has one: kernels share processors among sessions first (autogroups)."""
    with tempfile.TemporaryDirectory() as folder, open(source, "rb") as file:
        os.dup2(file.fileno(), 3)
        began = time.monotonic()
        done = subprocess.run(words, cwd=folder, pass_fds=[3], stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              start_new_session=True)
        took = time.monotonic() - began
        assert done.returncode == 0, done.stderr
        return took


def pick_up(lab, watch, source):
    """Seconds from the event to the begin of the item's first child, with nothing else to be done."""
    item = lab.upload(source)
    call_off(lab, item, lab.finished(item, "FIRST"))
    opened = watch.first("ffprobe", IN_OPEN, lab.announced)
    return watch.last_before("transcode-confine", IN_OPEN, opened) - lab.announced


def main():
    rounds = int(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the stack goes with it
    # Descriptor 3 is to be the input's: whatever else came first is put there by nobody.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 3)
    with tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o755)
        programs = {}
        for name in ("ffmpeg", "ffprobe"):
            programs[name] = pathlib.Path(home) / name
            shutil.copy(shutil.which(name), programs[name])
        workshop = pathlib.Path(home) / "workshop"
        workshop.mkdir()
        workshop.chmod(0o777)
        settings = {"TRANSCODE_FFMPEG": str(programs["ffmpeg"]), "TRANSCODE_FFPROBE": str(programs["ffprobe"])}
        clip = make("bench-6.mkv", "-f", "lavfi", "-i", "testsrc2=s=1280x720:r=30:d=6", "-f", "lavfi", "-i", "sine=d=6", "-c:v",
                    "mpeg4", "-q:v", "3", "-c:a", "libopus", "-shortest")
        tiny = make("bench-1.mkv", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=1", "-c:v", "mpeg4")
        with open_lab(workshop, settings) as lab:
            watch = Watch([*programs.values(), ROOT / "build/bin/transcode-confine"])
            for _ in range(PICKUPS):
                print("pickup", f"{pick_up(lab, watch, tiny) * 1000:.2f}", flush=True)
            by_service(lab, watch, clip)  # what is read from the disk once
            for _ in range(rounds):
                service, whole, words = by_service(lab, watch, clip)
                print("service", f"{service:.3f}", flush=True)
                print("whole", f"{whole:.3f}", flush=True)
                print("hand", f"{by_hand(words, clip):.3f}", flush=True)


main()
