#!/usr/bin/python3
"""Prints the ends of logins as they happen: an outside subscriber with nothing but Python's own library. It shows how
little there is to it: NATS is lines of text, an event is CloudEvents headers and a protobuf message.

    NATS_URL=… NATS_USER=… NATS_PASSWORD=… ./subscriber.py 'evt.auth.login.>'

With a durable credential the subject is _INBOX.<user>.events; each event is acknowledged there once it is dealt with.
"""
import json
import os
import socket
import sys
from urllib.parse import urlparse


def fields(message):
    """{number: value} of a protobuf message: numbers as they are, texts and messages as bytes."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        tag = varint()
        if tag & 7 == 0:
            found[tag >> 3] = varint()
        elif tag & 7 == 2:
            size = varint()
            found[tag >> 3] = message[at:at + size]
            at += size
        else:
            at += {1: 8, 5: 4}[tag & 7]
    return found


def headers_of(block):
    lines = block.decode().split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}


def print_event(headers, body):
    if headers.get("ce-type") == "atrium.auth.login.ended":
        event = fields(body)  # message LoginEnded of auth.proto
        print(headers["ce-type"], headers["ce-id"], "login", event[1].decode(), "of user", event[2], flush=True)


def main():
    url = urlparse(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))
    subject = sys.argv[1] if len(sys.argv) > 1 else "evt.auth.login.>"
    connection = socket.create_connection((url.hostname, url.port or 4222))
    stream = connection.makefile("rb")
    hello = {"user": os.environ["NATS_USER"], "pass": os.environ["NATS_PASSWORD"], "headers": True, "verbose": False,
             "pedantic": False, "lang": "python", "version": "1", "protocol": 1}
    connection.sendall(f"CONNECT {json.dumps(hello)}\r\nSUB {subject} 1\r\nPING\r\n".encode())
    while line := stream.readline():
        verb, *words = line.decode().split()
        if verb == "PING":
            connection.sendall(b"PONG\r\n")
        elif verb == "PONG":
            print("listening", flush=True)
        elif verb == "-ERR":
            sys.exit(line.decode())
        elif verb == "HMSG":  # subject, number, [reply,] bytes of the headers, bytes in all
            head, total = int(words[-2]), int(words[-1])
            data = stream.read(total + 2)
            print_event(headers_of(data[:head]), data[head:total])
            # Other reply subjects are the publisher's own affair.
            if len(words) == 5 and words[2].startswith("$JS.ACK."):
                connection.sendall(f"PUB {words[2]} 0\r\n\r\n".encode())


if __name__ == "__main__":
    main()
