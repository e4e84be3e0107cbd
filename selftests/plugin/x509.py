# SPDX-License-Identifier: GPL-2.0-or-later
"""Certificates and CRLs for the tests: ECDSA on P-256 with SHA-256, in DER.

The lab has no tool that makes them, and keys in a repository grow old. Not for
anything but tests: nothing here is constant in time. RFC 5280, RFC 5480, SEC 1.
"""
import hashlib
import os

P = 2 ** 256 - 2 ** 224 + 2 ** 192 + 2 ** 96 - 1
N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
G = (0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
     0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5)

SINCE, UNTIL = b"200101000000Z", b"491231235959Z"
SHA256_ECDSA = "1.2.840.10045.4.3.2"


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(k, point):
    out = None
    while k:
        if k & 1:
            out = add(out, point)
        point, k = add(point, point), k >> 1
    return out


def draw():
    return int.from_bytes(os.urandom(40), "big") % (N - 1) + 1


def der(tag, *parts):
    body = b"".join(parts)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def seq(*parts):
    return der(0x30, *parts)


def integer(value):
    return der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def bits(data, unused=0):
    return der(0x03, bytes([unused]), data)


def octets(data):
    return der(0x04, data)


def oid(text):
    first, second, *rest = map(int, text.split("."))
    body = bytes([first * 40 + second])
    for number in rest:
        part = bytes([number & 0x7f])
        while number > 0x7f:
            number >>= 7
            part = bytes([0x80 | number & 0x7f]) + part
        body += part
    return der(0x06, body)


def name(common):
    return seq(der(0x31, seq(oid("2.5.4.3"), der(0x0c, common.encode()))))


def extension(number, value, critical=False):
    return seq(oid("2.5.29.%d" % number), der(0x01, b"\xff") if critical else b"", octets(value))


class Key:
    def __init__(self):
        self.secret = draw()
        x, y = times(self.secret, G)
        self.point = b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")
        self.id = hashlib.sha1(self.point).digest()

    def private(self):
        return seq(integer(1), octets(self.secret.to_bytes(32, "big")),
                   der(0xa0, oid("1.2.840.10045.3.1.7")), der(0xa1, bits(self.point)))

    def public(self):
        return seq(seq(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")), bits(self.point))

    def signed(self, body):
        k = draw()
        r = times(k, G)[0] % N
        s = pow(k, -1, N) * (int.from_bytes(hashlib.sha256(body).digest(), "big") + r * self.secret) % N
        return seq(body, seq(oid(SHA256_ECDSA)), bits(seq(integer(r), integer(s))))


class Entity:
    """A CA or an end entity, certified by `issuer` or by itself."""
    serial = 1

    def __init__(self, common, issuer=None, authority=False):
        self.common, self.key = common, Key()
        issuer = issuer or self
        Entity.serial += 1
        self.serial = Entity.serial
        extensions = [
            extension(19, seq(der(0x01, b"\xff")) if authority else seq(), True),
            extension(15, bits(b"\x06", 1) if authority else bits(b"\x80", 7), True),
            extension(14, octets(self.key.id)),
            extension(35, seq(der(0x80, issuer.key.id)))]
        if not authority:
            extensions.append(extension(17, seq(der(0x82, common.encode()))))
        self.certificate = issuer.key.signed(seq(
            der(0xa0, integer(2)), integer(self.serial), seq(oid(SHA256_ECDSA)), name(issuer.common),
            seq(der(0x17, SINCE), der(0x17, UNTIL)), name(common), self.key.public(),
            der(0xa3, seq(*extensions))))

    def crl(self, revoked=()):
        entries = [seq(integer(entity.serial), der(0x17, SINCE)) for entity in revoked]
        return self.key.signed(seq(
            integer(1), seq(oid(SHA256_ECDSA)), name(self.common), der(0x17, SINCE), der(0x17, UNTIL),
            seq(*entries) if entries else b"",
            der(0xa0, seq(extension(35, seq(der(0x80, self.key.id))), extension(20, integer(1))))))
