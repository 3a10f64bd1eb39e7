#!/usr/bin/python3
"""Times refused logins at PORT: of known and unknown names in turn, PAIRS times, so that whatever else the machine does
falls on both alike. Prints the median of each in milliseconds. Names are asked one after the other, over one
connection: what is compared is what somebody sees who asks patiently."""
import http.client
import json
import secrets
import statistics
import sys
import time

PASSWORD = "bench password"


def main(port, pairs):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def post(path, body, expected):
        begun = time.perf_counter()
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        took = time.perf_counter() - begun
        assert answer.status == expected, (answer.status, text)
        return took

    known = ["p" + secrets.token_hex(8) for _ in range(20)]
    for name in known:
        post("/api/v1/auth/register", {"username": name, "password": PASSWORD}, 200)
    times = {"known": [], "unknown": []}
    for i in range(pairs):
        asked = [("known", known[i % len(known)]), ("unknown", "p" + secrets.token_hex(8))]
        # What comes first alternates, too.
        for which, name in asked if i % 2 else reversed(asked):
            times[which].append(post("/api/v1/auth/login", {"username": name, "password": "not " + PASSWORD}, 401))
    for which, list_ in times.items():
        print(which, f"{statistics.median(list_) * 1000:.3f}")


main(int(sys.argv[1]), int(sys.argv[2]))
