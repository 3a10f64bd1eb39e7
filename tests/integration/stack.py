"""A private stack for tests, by bin/atrium; or a deployed one, by ATRIUM_URL and NATS_URL."""
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Cheap hashes and no limits, so that suites are fast; durability is not what they look at.
TEST_SETTINGS = {
    "RATE_LIMITS": "off",
    "LOGIN_BACKOFF": "off",
    "PASSWORD_HASH_OPS": "1",
    "PASSWORD_HASH_MEMORY": "8M",
    "PASSWORD_HASH_PATIENCE": "0",
    "EMAIL_ALLOW_RESERVED": "true",
    "ATRIUM_PG_FSYNC": "off",
    "SHUTDOWN_TIMEOUT": "5s",
}
UP_TRIES = 3  # a start on a busy machine may run out of time
STARTED_AGAIN = []  # what was said of starts that were tried again, for whoever tells it
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "ATRIUM_BUILD", "ASAN_OPTIONS", "UBSAN_OPTIONS")


class Deployed:
    """A stack that others run; the tests leave it standing."""

    local = False

    def __init__(self):
        self.url = os.environ["ATRIUM_URL"].rstrip("/")
        self.url2 = os.environ.get("ATRIUM_URL_2", self.url).rstrip("/")
        self.nats_url = os.environ.get("NATS_URL", "nats://127.0.0.1:4222")

    def secret(self, name):
        return os.environ.get(f"ATRIUM_SECRET_{name.upper()}")

    def atrium(self, *words, timeout=60, stdin=None):
        """The output of its command line, which ATRIUM_CLI says how to run."""
        assert os.environ.get("ATRIUM_CLI"), "ATRIUM_CLI is needed for this test: the command line beside the stack"
        done = subprocess.run([*shlex.split(os.environ["ATRIUM_CLI"]), *words], text=True, input=stdin or "",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False)
        assert done.returncode == 0, f"atrium {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


# What a stack has before its services start for the first time: schemas and streams, and the secrets that are in them.
MADE = ("pg", "nats", "secrets", "database-made")


def template():
    """A folder with MADE, made once of the programs that there are: the dearest part of a start."""
    tool = pathlib.Path(os.environ.get("ATRIUM_BUILD", ROOT / "build")) / "bin/atrium-tool"
    digest = hashlib.sha256(b"".join(f.read_bytes() for f in [tool, *sorted((ROOT / "deploy/local").glob("*.sh"))]))
    home = ROOT / "build/test/stacks"
    made = home / digest.hexdigest()[:16]
    home.mkdir(parents=True, exist_ok=True)
    with open(home / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            for old in home.iterdir():
                if old.is_dir():
                    shutil.rmtree(old)
            own = Stack(fresh=True)
            try:
                own.atrium("up", "--free-ports", "--servers", timeout=180)
                own.atrium("down", timeout=120)
                (home / "new").mkdir()
                copy(own.folder / "stack", home / "new")
                (home / "new").rename(made)
            finally:
                own.destroy()
    return made


def copy(source, target):
    subprocess.run(["cp", "-a", *(str(source / name) for name in MADE), str(target)], check=True)


class Stack:
    """bin/atrium in a temporary folder on free ports, unless `root` and `folder` say otherwise. Unless it is `fresh`, it
    begins with a copy of what a first start makes before it starts services."""

    local = True

    def __init__(self, gateways=1, root=ROOT, settings=None, fresh=False):
        self.fresh = fresh or root != ROOT
        self.root = pathlib.Path(root)
        # Where PostgreSQL's user may pass through, too.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="atrium-it-"))
        self.folder.chmod(0o711)
        self.environment = {k: os.environ[k] for k in INHERITED if k in os.environ}
        self.environment.update(TEST_SETTINGS)
        self.environment.update(settings or {})
        self.environment["ATRIUM_DIR"] = str(self.folder / "stack")
        self.gateways = gateways
        self.output = ""

    def up(self, *options):
        new = not (self.folder / "stack").exists()
        for tries in range(UP_TRIES if new else 1):
            if new and not self.fresh:
                (self.folder / "stack").mkdir()
                copy(template(), self.folder / "stack")
            try:
                self.output = self.atrium("up", "--free-ports", "--gateways", str(self.gateways), *options, timeout=180)
                break
            except (AssertionError, subprocess.TimeoutExpired) as fault:
                if tries + 1 == (UP_TRIES if new else 1) or self.complaints():
                    raise
                STARTED_AGAIN.append(f"a stack did not start, once more: {' '.join(str(fault).split())[-250:]}")
                self.run("down", "--wipe", timeout=120)
                shutil.rmtree(self.folder / "stack", ignore_errors=True)
        self.ports = dict(line.split("=", 1) for line in (self.folder / "stack/ports.env").read_text().splitlines()
                          if not line.startswith("#"))
        self.url = f"http://127.0.0.1:{self.ports['HTTP_PORT_gateway']}"
        self.url2 = f"http://127.0.0.1:{self.ports.get('HTTP_PORT_gateway_2', self.ports['HTTP_PORT_gateway'])}"
        self.nats_url = f"nats://127.0.0.1:{self.ports['NATS_PORT']}"
        return self

    def run(self, *words, timeout=60, stdin=None):
        """The command, whatever its end."""
        return subprocess.run([str(self.root / "bin/atrium"), *words], env=self.environment, text=True, input=stdin or "",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False)

    def atrium(self, *words, timeout=60, stdin=None):
        """The command's output; it must succeed."""
        done = self.run(*words, timeout=timeout, stdin=stdin)
        assert done.returncode == 0, f"atrium {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def status(self):
        done = self.run("status", "--json")
        return {row["name"]: row for row in json.loads(done.stdout)}

    def log(self, name):
        return (self.folder / "stack/logs" / f"{name}.log").read_text()

    def secret(self, name):
        return (self.folder / "stack/secrets" / name).read_text()

    def mend(self):
        """Starts again what ended unasked, so that one death is not the failure of all tests that come later. What died,
        with its last words."""
        if not (self.folder / "stack/ports.env").exists():  # it was taken down
            return ""
        dead = [name for name, row in self.status().items() if row["pid"] is None]
        if not dead:
            return ""
        words = "".join(f"{name} had ended:\n{self.log(name)[-2000:]}\n" for name in dead)
        again = self.run("up", timeout=180)
        return words + again.stdout[-500:] + again.stderr[-500:]

    def complaints(self):
        """What sanitizers said, at the processes' ends too."""
        logs = sorted((self.folder / "stack/logs").glob("*.log"))
        return [line for log in logs for line in log.read_text(errors="replace").splitlines()
                if any(word in line for word in ("Sanitizer", "runtime error:"))]

    def destroy(self):
        stopped = self.run("down", timeout=120)
        complaints = self.complaints()
        wiped = self.run("down", "--wipe", timeout=120)
        shutil.rmtree(self.folder, ignore_errors=True)
        assert not complaints, "\n".join(complaints)
        assert stopped.returncode == wiped.returncode == 0, stopped.stderr + wiped.stderr


# What is taken is small, and what is left behind soon gone, so that a test can meet both.
SMALL_UPLOADS = {"MEDIA_UPLOAD_MAX": "40M", "MEDIA_QUOTA": "50M", "MEDIA_SWEEP_INTERVAL": "1s", "BLOB_MIN_FREE_BYTES": "0"}


@contextlib.contextmanager
def running(**options):
    """A private stack, from its start to its end."""
    own = Stack(**options)
    try:
        yield own.up()
    finally:
        own.destroy()
