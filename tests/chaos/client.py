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

    def _exchange(self, gateway, method, path, body, token, timeout):
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection = self._connection(gateway, timeout)
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        data = answer.read()
        if answer.will_close:
            connection.close()
            del self.open[gateway]
        return answer.status, "Retry-After" in answer.headers, data

    def call(self, op, method, path, body=None, token=None):
        """Fills in when it ended and how; returns what a good answer holds, else None."""
        data = b""
        op.start = time.time()
        try:
            op.status, op.retry_after, data = self._exchange(op.gateway, method, path, body, token,
                                                             op.timeout + BEYOND_S)
        except TimeoutError:
            op.status = HUNG
        except (OSError, http.client.HTTPException):
            op.status = LOST
        if op.status in (HUNG, LOST) and (broken := self.open.pop(op.gateway, None)):
            broken.close()
        op.end = time.time()
        found = json.loads(data) if op.acknowledged and data else {} if op.acknowledged else None
        if found is None and op.value is None:
            op.value = data[:120].decode(errors="replace")
        self.history.add(op)
        return found


def op(kind, key, gateway, timeout=5.0, **fields):
    return Op(kind, key, gateway, 0.0, 0.0, 0, timeout, **fields)
