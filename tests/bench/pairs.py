#!/usr/bin/python3
"""pairs.py URL USERNAME COUNT: wrong logins for a name that is there and one that is not, in turns, over one connection
each. Prints the two medians in microseconds: whoever measures them must not tell which is which."""
import http.client
import json
import random
import statistics
import sys
import time
import urllib.parse


def attempt(connection, name):
    body = json.dumps({"username": name, "password": "a wrong password"})
    began = time.perf_counter()
    connection.request("POST", "/api/v1/auth/login", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    took = time.perf_counter() - began
    if answer.status != 401:
        sys.exit(f"{name}: status {answer.status}")
    return took


def main():
    url, name, count = urllib.parse.urlsplit(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
    took = {name: [], "x" * len(name): []}
    for known in took:
        attempt(connection, known)
    for _ in range(count):
        # In either order: the second of a pair finds warmer caches.
        for each in random.sample(sorted(took), 2):
            took[each].append(attempt(connection, each))
    print(*(round(statistics.median(times) * 1e6) for times in took.values()))


main()
