"""HTTP for the workload: one connection per thread and gateway, no second tries, and every answer in the history."""
import http.client
import json
import select
import time
from urllib.parse import urlparse

from history import HUNG, LOST, Op

BEYOND_S = 20   # waited beyond a request's timeout, before it counts as hung: longer than anything is stopped


class Client:
    """Of one thread."""

    def __init__(self, history, gateways):
        self.history = history
        self.gateways = {name: urlparse(url) for name, url in gateways.items()}
        self.open = {}

    def _connection(self, gateway, timeout):
        connection = self.open.get(gateway)
        # One that the other side closed while it lay idle has nothing to do with what is asked next.
        if connection and select.select([connection.sock], [], [], 0)[0]:
            connection.close()
            connection = None
        if connection is None:
            address = self.gateways[gateway]
            connection = http.client.HTTPConnection(address.hostname, address.port, timeout=timeout)
            connection.connect()
        connection.sock.settimeout(timeout)
        self.open[gateway] = connection
        return connection

    def _exchange(self, gateway, method, path, body, headers, timeout):
        connection = self._connection(gateway, timeout)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        if answer.will_close:
            connection.close()
            del self.open[gateway]
        return answer.status, answer.headers, data

    def _ask(self, op, method, path, body, headers):
        """Fills in when it ended and how; returns the answer's headers and body."""
        said, data = {}, b""
        op.start = time.time()
        try:
            op.status, said, data = self._exchange(op.gateway, method, path, body, headers, op.timeout + BEYOND_S)
        except TimeoutError:
            op.status = HUNG
        except (OSError, http.client.HTTPException):
            op.status = LOST
        if op.status in (HUNG, LOST) and (broken := self.open.pop(op.gateway, None)):
            broken.close()
        op.end = time.time()
        op.retry_after = "Retry-After" in said
        if not op.acknowledged and op.value is None:
            op.value = data[:120].decode(errors="replace")
        return said, data

    def call_raw(self, op, method, path, token, body, headers):
        """Of bytes; returns the answer's headers."""
        said, _ = self._ask(op, method, path, body, {**headers, "Authorization": f"Bearer {token}"})
        self.history.add(op)
        return said

    def call(self, op, method, path, body=None, token=None):
        """Of JSON; returns what a good answer holds, else None."""
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        _, data = self._ask(op, method, path, json.dumps(body) if body is not None else None, headers)
        found = json.loads(data) if op.acknowledged and data else {} if op.acknowledged else None
        self.history.add(op)
        return found


def op(kind, key, gateway, timeout=5.0, **fields):
    return Op(kind, key, gateway, 0.0, 0.0, 0, timeout, **fields)
