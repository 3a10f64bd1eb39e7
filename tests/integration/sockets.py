"""A WebSocket client for tests, by hand: it sees each frame, and may break rules."""
import base64
import json
import os
import select
import socket
import struct
import time

from polling import SOON_S

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Refused(Exception):
    """The handshake was answered otherwise: `status`."""

    def __init__(self, status, head):
        super().__init__(head)
        self.status = status


class WebSocket:
    """`closed` is (code, reason) once the other side has closed; (1006, "") when it went without a word."""

    def __init__(self, port, path="/", headers=(), receive_bytes=0, timeout=10):
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.closed, self.pings, self.messages = b"", None, 0, []
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", "Host: t", "Upgrade: websocket", "Connection: Upgrade",
                 "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", *headers]
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        while b"\r\n\r\n" not in self.buffer:
            data = self.socket.recv(65536)
            if not data:
                break
            self.buffer += data
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        status = int(head.split(b" ")[1]) if b" " in head else 0
        if status != 101:
            self.socket.close()
            raise Refused(status, head.decode("latin-1"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cut()

    def cut(self):
        """Without a close frame."""
        self.socket.close()

    def send_frame(self, opcode, payload=b"", fin=True, mask=True):
        head = bytes([opcode | (0x80 if fin else 0)])
        bit = 0x80 if mask else 0
        if len(payload) < 126:
            head += bytes([bit | len(payload)])
        elif len(payload) < 65536:
            head += bytes([bit | 126]) + struct.pack("!H", len(payload))
        else:
            head += bytes([bit | 127]) + struct.pack("!Q", len(payload))
        if mask:
            key = os.urandom(4)
            stretched = key * (len(payload) // 4 + 1)
            payload = bytes(a ^ b for a, b in zip(payload, stretched))
            head += key
        self.socket.sendall(head + payload)

    def send(self, text):
        self.send_frame(TEXT, text.encode() if isinstance(text, str) else json.dumps(text).encode())

    def close(self, code=1000):
        self.send_frame(CLOSE, struct.pack("!H", code))

    def _take_frame(self):
        """(opcode, payload) of what has come, or None."""
        b = self.buffer
        if len(b) < 2:
            return None
        size, at = b[1] & 127, 2
        if size == 126:
            if len(b) < 4:
                return None
            size, at = struct.unpack("!H", b[2:4])[0], 4
        elif size == 127:
            if len(b) < 10:
                return None
            size, at = struct.unpack("!Q", b[2:10])[0], 10
        if len(b) < at + size:
            return None
        self.buffer = b[at + size:]
        assert b[0] & 0x80 and not b[1] & 0x80, "the edge neither fragments nor masks"
        return b[0] & 15, b[at:at + size]

    def _read(self, until):
        left = until - time.monotonic()
        if left <= 0 or not select.select([self.socket], [], [], left)[0]:
            return False
        try:
            data = self.socket.recv(1 << 20)
        except OSError:
            data = b""
        if not data:
            self.closed = self.closed or (1006, "")
        self.buffer += data
        return True

    def raw(self, seconds=SOON_S):
        """The next text; None when it is closed or the time is over."""
        until = time.monotonic() + seconds
        while True:
            frame = self._take_frame()
            if frame is None:
                if self.closed or not self._read(until):
                    return None
                continue
            opcode, payload = frame
            if opcode == PING:
                self.pings += 1
                self.send_frame(PONG, payload)
            elif opcode == CLOSE:
                code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1005
                self.closed = self.closed or (code, payload[2:].decode())
            elif opcode in (TEXT, BINARY):
                return payload.decode()

    def next(self, kind=None, seconds=SOON_S):
        """The next message as JSON, of this kind ("t"); others are passed over, and kept in `messages`."""
        until = time.monotonic() + seconds
        while (text := self.raw(until - time.monotonic())) is not None:
            message = json.loads(text)
            self.messages.append(message)
            if kind is None or message.get("t") == kind:
                return message
        assert kind is None, f"no {kind} came; closed {self.closed}; {self.messages[-3:]}"
        return None

    def until_closed(self, seconds=SOON_S):
        until = time.monotonic() + seconds
        while not self.closed and time.monotonic() < until:
            text = self.raw(until - time.monotonic())
            if text is not None:
                self.messages.append(json.loads(text))
        assert self.closed, "it was not closed"
        return self.closed[0]
