"""What was asked, when, and what came back; and what was broken meanwhile. Times are seconds since 1970: the streams'
timestamps are compared with them."""
import dataclasses
import threading

LOST = 0    # the connection broke, or there was none
HUNG = -1   # no answer, however long we waited


@dataclasses.dataclass
class Op:
    """One request, or one transaction of ours."""
    kind: str               # "profile": the row of the workload
    key: str                # what it is about: an account, a login
    gateway: str            # "gateway-2"; "" for what does not go through one
    start: float
    end: float
    status: int             # of HTTP; LOST; HUNG
    timeout: float          # what the rpc is given
    value: object = None    # written, or read
    good: tuple = (200,)    # what it is answered when all is well
    retry_after: bool = False
    safe: bool = False      # may be sent again: a lost answer is 503, not 504
    token: str = ""         # the login whose token it carried
    relayed: str = ""       # the process whose data plane the gateway passes it to
    refused: tuple = ()     # what else it may be answered, and then has not happened

    @property
    def acknowledged(self):
        return self.status in self.good

    @property
    def in_doubt(self):
        """It may have happened. Only what was understood and refused certainly has not."""
        return not self.acknowledged and not 400 <= self.status < 500


@dataclasses.dataclass
class Down:
    """A process that did not run, or did not run on."""
    target: str
    how: str                # kill, stop, restart, cut
    began: float
    ended: float = float("inf")


@dataclasses.dataclass
class Fault:
    name: str               # "kill:nats+stop:auth"
    began: float
    downs: list = dataclasses.field(default_factory=list)
    ended: float = float("inf")    # everything was started or continued
    healthy: float = float("inf")  # everything worked again

    def covers(self, op):
        return op.end >= self.began and op.start <= self.healthy


class History:
    def __init__(self):
        self.lock = threading.Lock()
        self.ops = []
        self.faults = []
        self.events = []    # of the streams, in their order: see streams.py

    def add(self, op):
        with self.lock:
            self.ops.append(op)

    def fault_of(self, op):
        return next((f for f in self.faults if f.covers(op)), None)

    def downs(self, target):
        return [d for f in self.faults for d in f.downs if d.target == target]
