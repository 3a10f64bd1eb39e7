"""The outbox, whichever domain has it: rows with numbers, a few keys, committed straight into auth's. Their events must
come in order per key, without a gap: auth's own events have one to a key, which would show nothing of that."""
import threading
import time
import uuid

import psycopg2

import checker
from client import op
from history import LOST

KEYS = 4
PREFIX = "evt.auth.chaos.ticked."
PAUSE_S = 0.05


def connect(stack):
    return psycopg2.connect(host="127.0.0.1", port=stack.ports["PG_PORT"], user="atrium", dbname="atrium",
                            password=stack.secret("db_atrium"), connect_timeout=3, application_name="chaos",
                            options="-c statement_timeout=20s -c search_path=auth")


class Ticker(threading.Thread):
    """Alone writes its key. A commit in doubt is made again, with the same id, until it is certain."""

    def __init__(self, stack, history, key, stop):
        super().__init__(daemon=True)
        self.stack, self.history, self.key, self.stop = stack, history, key, stop
        self.number, self.id, self.connection = 1, uuid.uuid4(), None

    def commit(self):
        if self.connection is None:
            self.connection = connect(self.stack)
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute("INSERT INTO outbox (id, key, subject, ce_type, payload) VALUES (%s, %s, %s, %s, %s)"
                           " ON CONFLICT DO NOTHING",
                           (str(self.id), self.key, PREFIX + self.key, "atrium.auth.chaos.ticked",
                            str(self.number).encode()))

    def tick(self):
        asked = op("tick", self.key, "", 60.0, value=self.number)
        asked.start = time.time()
        try:
            self.commit()
            asked.status = 200
            self.number, self.id = self.number + 1, uuid.uuid4()
        except psycopg2.Error:
            asked.status = LOST
            if self.connection:
                self.connection.close()
            self.connection = None
        asked.end = time.time()
        self.history.add(asked)
        return asked.acknowledged

    def run(self):
        while not self.stop.wait(PAUSE_S):
            self.tick()
        # What is in doubt becomes certain.
        while not self.tick():
            time.sleep(PAUSE_S)
        self.connection.close()


class Domain:
    streams = ()  # auth's

    def __init__(self, stack, history, gateways):
        self.stop = threading.Event()
        self.threads = [Ticker(stack, history, f"key{i}", self.stop) for i in range(KEYS)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def come_late(self, down):
        """Nothing of it goes through a gateway."""

    def works(self, gateway):
        """It comes with what auth does."""
        return True

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def check_order(history):
    return checker.check_events_in_order(history, "tick", PREFIX)


CHECKS = (check_order,)
