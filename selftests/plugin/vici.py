# SPDX-License-Identifier: GPL-2.0-or-later
"""A small client of charon's VICI protocol, for the tests of the plugin.

Packets are a 32 bit length and a type byte; messages are nested sections of
key/values and lists. Values stay bytes where they are not text.
"""
import queue
import socket
import struct
import threading

CMD_REQUEST, CMD_RESPONSE, CMD_UNKNOWN = 0, 1, 2
EVENT_REGISTER, EVENT_UNREGISTER, EVENT_CONFIRM, EVENT_UNKNOWN, EVENT = 3, 4, 5, 6, 7
SECTION_START, SECTION_END, KEY_VALUE, LIST_START, LIST_ITEM, LIST_END = 1, 2, 3, 4, 5, 6


def encode(message):
    out = b""
    for key, value in message.items():
        name = key.encode()
        if isinstance(value, dict):
            out += bytes([SECTION_START, len(name)]) + name + encode(value)
            out += bytes([SECTION_END])
        elif isinstance(value, (list, tuple)):
            out += bytes([LIST_START, len(name)]) + name
            for item in value:
                item = item.encode() if isinstance(item, str) else item
                out += bytes([LIST_ITEM]) + struct.pack("!H", len(item)) + item
            out += bytes([LIST_END])
        else:
            value = value if isinstance(value, bytes) else str(value).encode()
            out += bytes([KEY_VALUE, len(name)]) + name
            out += struct.pack("!H", len(value)) + value
    return out


def decode(data):
    message, _ = decode_section(data, 0)
    return message


def text(value):
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        return value


def decode_section(data, pos):
    message, items, name = {}, None, None
    while pos < len(data):
        kind = data[pos]
        pos += 1
        if kind == SECTION_END:
            return message, pos
        if kind in (SECTION_START, LIST_START, KEY_VALUE):
            length = data[pos]
            name = data[pos + 1:pos + 1 + length].decode()
            pos += 1 + length
        if kind == SECTION_START:
            message[name], pos = decode_section(data, pos)
        elif kind == LIST_START:
            items = message[name] = []
        elif kind in (KEY_VALUE, LIST_ITEM):
            (length,) = struct.unpack_from("!H", data, pos)
            value = data[pos + 2:pos + 2 + length]
            pos += 2 + length
            if kind == LIST_ITEM:
                items.append(text(value))
            else:
                message[name] = value if name == "data" else text(value)
    return message, pos


class Client:
    """One connection; commands from any one thread, events in a queue."""

    def __init__(self, path, events=(), timeout=300):
        self.timeout = timeout
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.events = queue.Queue()
        self.replies = queue.Queue()
        self.lock = threading.Lock()
        threading.Thread(target=self.read, daemon=True).start()
        for event in events:
            self.register(event)

    def read(self):
        try:
            while True:
                (length,) = struct.unpack("!I", self.exactly(4))
                packet = self.exactly(length)
                if packet[0] == EVENT:
                    name_len = packet[1]
                    name = packet[2:2 + name_len].decode()
                    self.events.put((name, decode(packet[2 + name_len:])))
                else:
                    self.replies.put(packet)
        except (OSError, EOFError):
            self.replies.put(None)
            self.events.put((None, None))

    def exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.sock.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def send(self, payload):
        self.sock.sendall(struct.pack("!I", len(payload)) + payload)

    def reply(self):
        packet = self.replies.get(timeout=self.timeout)
        if packet is None:
            raise EOFError("charon closed the connection")
        return packet

    def register(self, event):
        with self.lock:
            self.send(bytes([EVENT_REGISTER, len(event)]) + event.encode())
            packet = self.reply()
        if packet[0] != EVENT_CONFIRM:
            raise RuntimeError("event %s is unknown" % event)

    def request(self, command, message=None):
        with self.lock:
            self.send(bytes([CMD_REQUEST, len(command)]) + command.encode() + encode(message or {}))
            packet = self.reply()
        if packet[0] != CMD_RESPONSE:
            raise RuntimeError("command %s is unknown" % command)
        return decode(packet[1:])

    def call(self, command, message=None):
        """A request that has to succeed."""
        reply = self.request(command, message)
        if reply.get("success") != "yes":
            raise RuntimeError("%s: %s" % (command, reply.get("errmsg")))
        return reply

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
