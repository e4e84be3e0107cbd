#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""TLS handshakes with a gateway's MCS that must not succeed, by libssl.

usage: attack_tls.py KIND --from ADDRESS --to ADDRESS [--port N] KEY-FILE

KIND:
  right-key   the pre-shared key of KEY-FILE, as a gateway derives it: the control,
              for it shows that the others fail for their own reason
  wrong-key   another key under the right identity
  identity    the right key under another identity
  tls12       the right key, but TLS 1.2 at most
  no-key      no pre-shared key
  garbled     the right key, then an MCS frame whose checksum is wrong; prints
              "ended" when the gateway has closed the connection for it
  records     the right key, then a HELLO of another format of the records; the same

Prints "up" and the version where the handshake is through and the server sends
something under it, else "refused" and why.
"""

import argparse
import base64
import ctypes
import hashlib
import hmac
import socket
import struct
import sys

TLS1_2, TLS1_3 = 0x0303, 0x0304
SET_MIN, SET_MAX = 123, 124     # SSL_CTRL_SET_{MIN,MAX}_PROTO_VERSION
IDENTITY, PREFIX = b"mcipsec-mcs", "mcipsec-key-1:"
HELLO, FIELD = 1, {"protocol": 24, "app_version": 25, "epoch": 26, "protocol_oldest": 53}
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_char_p),
                            ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_void_p))
ssl = ctypes.CDLL("libssl.so.3")
crypto = ctypes.CDLL("libcrypto.so.3")
for function in ("TLS_client_method", "SSL_CTX_new", "SSL_new", "SSL_SESSION_new", "SSL_CIPHER_find"):
    getattr(ssl, function).restype = ctypes.c_void_p
ssl.SSL_get_version.restype = ctypes.c_char_p
crypto.ERR_get_error.restype = ctypes.c_ulong


def derive(path, one, other):
    """The PSK as Documentation/wire-mcs.rst gives it."""
    with open(path) as file:
        key = base64.b64decode(file.read().strip()[len(PREFIX):])
    low, high = sorted((one, other), key=socket.inet_aton)
    label = f"mcipsec v1 mcs tls psk|{low}|{high}".encode()
    extracted = hmac.new(bytes(32), key, hashlib.sha256).digest()
    return hmac.new(extracted, label + b"\1", hashlib.sha256).digest()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def frame(kind, **fields):
    """An MCS frame; fields by the names of FIELD."""
    values = ((FIELD[name], v if isinstance(v, bytes) else v.to_bytes(8, "big")) for name, v in fields.items())
    body = b"".join(struct.pack("!HI", number, len(value)) + value for number, value in values)
    head = struct.pack("!IBBH", 8 + len(body), 1, kind, 0)
    return head + struct.pack("!I", crc32c(head + body)) + body


def why():
    code, text = crypto.ERR_get_error(), ctypes.create_string_buffer(256)
    crypto.ERR_error_string_n(ctypes.c_ulong(code), text, ctypes.c_size_t(len(text)))
    return text.value.decode() if code else "closed"


def connect(args, psk, identity, version):
    context = ctypes.c_void_p(ssl.SSL_CTX_new(ctypes.c_void_p(ssl.TLS_client_method())))
    ssl.SSL_CTX_ctrl(context, SET_MIN, ctypes.c_long(TLS1_2), None)
    ssl.SSL_CTX_ctrl(context, SET_MAX, ctypes.c_long(version), None)

    def use(connection, _, name, length, session):
        made = ctypes.c_void_p(ssl.SSL_SESSION_new())
        cipher = ctypes.c_void_p(ssl.SSL_CIPHER_find(ctypes.c_void_p(connection), b"\x13\x02"))
        ssl.SSL_SESSION_set1_master_key(made, psk, ctypes.c_size_t(len(psk)))
        ssl.SSL_SESSION_set_cipher(made, cipher)
        ssl.SSL_SESSION_set_protocol_version(made, TLS1_3)
        name[0], length[0], session[0] = identity, len(identity), made
        return 1

    callback = CALLBACK(use)
    if psk:
        ssl.SSL_CTX_set_psk_use_session_callback(context, callback)
    sock = socket.create_connection((args.to, args.port), timeout=20, source_address=(args.source, 0))
    sock.settimeout(None)
    connection = ctypes.c_void_p(ssl.SSL_new(context))
    ssl.SSL_set_fd(connection, sock.fileno())
    if ssl.SSL_connect(connection) != 1:
        return "refused: " + why()
    # With TLS 1.3 a server refuses a client's last flight only now.
    byte = ctypes.create_string_buffer(1)
    if ssl.SSL_read(connection, byte, 1) != 1:
        return "refused: " + why()
    if args.kind in ("garbled", "records"):
        data = struct.pack("!IBBHI", 8, 1, 1, 0, 0xBAD)
        if args.kind == "records":
            data = frame(HELLO, protocol=2, app_version=b"2.0", epoch=1, protocol_oldest=1)
        ssl.SSL_write(connection, data, len(data))
        while ssl.SSL_read(connection, byte, 1) == 1:
            pass
        return "ended"
    return "up " + ssl.SSL_get_version(connection).decode()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("right-key", "wrong-key", "identity", "tls12", "no-key", "garbled", "records"))
    parser.add_argument("--from", dest="source", required=True)
    parser.add_argument("--to", required=True)
    parser.add_argument("--port", type=int, default=7656)
    parser.add_argument("key")
    args = parser.parse_args()
    psk = derive(args.key, args.source, args.to)
    if args.kind == "wrong-key":
        psk = hashlib.sha256(psk).digest()
    identity = b"mcipsec-other" if args.kind == "identity" else IDENTITY
    try:
        print(connect(args, b"" if args.kind == "no-key" else psk, identity, TLS1_2 if args.kind == "tls12" else TLS1_3))
    except OSError as error:
        sys.exit(f"attack_tls.py: {error}")


if __name__ == "__main__":
    main()
