#!/usr/bin/env python3
"""Writes tests/vectors/format-v2.json and documents-v2.json, the test vectors of wire format version 2 (see FORMAT.md).

This file is an implementation of the format of its own: it shares no code with the Rust crates and is
built on the Python package `cryptography`. Every key and nonce is derived from a fixed seed, so each run writes
the same bytes.

    python3 -m venv /tmp/pyvenv && /tmp/pyvenv/bin/pip install cryptography
    /tmp/pyvenv/bin/python tests/python/make_vectors.py           write the vectors and the worked example of FORMAT.md
    /tmp/pyvenv/bin/python tests/python/make_vectors.py --check   write nothing, fail if a file is not what it would be
    ... --long                                                    and run the 1,000,000 iterations of the XAES test too

Before anything is written, a reader (class Reader below) must open every positive vector and refuse every negative
one, at the stage the vector names. New vectors go to the end, into `additions`: ids and bytes of the others stay.
"""

import base64
import binascii
import hashlib
import hmac
import json
import struct
import sys
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors" / "format-v2.json"
DOCUMENTS = ROOT / "tests" / "vectors" / "documents-v2.json"
XAES = ROOT / "tests" / "vectors" / "xaes-256-gcm.json"
FORMAT = ROOT / "FORMAT.md"
SEED = b"pii format 2 test vectors, 1"

MAX_VALUE = 1 << 20
MAX_TEXT = 2 << 20
SEAL, INDEX, DROP, SUBJECT, BRANCH = 1, 2, 3, 4, 5
KMS, LOCAL, HIERARCHICAL, HPKE, TEST = 1, 2, 3, 4, 0x7F
TEST_KEK = b"pii test key - never real data!!"
UTF8, BYTES, BOOL, INT, DATE, JSON, FLOAT, UUID, TIME, INSTANT, LOCAL_TIME, DECIMAL, ENUM, ZONED = range(1, 15)
PADDED = 0x80


def det(label: str, n: int) -> bytes:
    """n bytes that depend on the label only."""
    out, i = b"", 0
    while len(out) < n:
        out += hashlib.sha256(SEED + b"/" + label.encode() + b"/" + struct.pack(">I", i)).digest()
        i += 1
    return out[:n]


# ---------------------------------------------------------------------------------------------------------------
# Building blocks


def u8(n: int) -> bytes:
    return struct.pack(">B", n)


def u16(n: int) -> bytes:
    return struct.pack(">H", n)


def u32(n: int) -> bytes:
    return struct.pack(">I", n)


def i128(n: int) -> bytes:
    return n.to_bytes(16, "big", signed=True)


def lp(data) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return u32(len(data)) + data


def lp16(data) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return u16(len(data)) + data


def expand(prk: bytes, info: str, n: int) -> bytes:
    return HKDFExpand(SHA256(), n, info.encode()).derive(prk)


def key_id_of(key: bytes) -> bytes:
    return expand(key, "pii/v2/key-id", 16)


def xaes_subkey(key: bytes, nonce: bytes):
    """Steps of the key derivation: L, K1, M1, M2, derived key, derived nonce."""
    assert len(key) == 32 and len(nonce) == 24
    aes = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    l = aes.update(bytes(16))
    n = int.from_bytes(l, "big")
    k1 = ((n << 1) & ((1 << 128) - 1)) ^ (0x87 if n >> 127 else 0)
    m1 = b"\x00\x01\x58\x00" + nonce[:12]
    m2 = b"\x00\x02\x58\x00" + nonce[:12]

    def block(m):
        return aes.update((int.from_bytes(m, "big") ^ k1).to_bytes(16, "big"))

    return l, k1.to_bytes(16, "big"), m1, m2, block(m1) + block(m2), nonce[12:]


def xaes_seal(key: bytes, nonce: bytes, plaintext: bytes, ad: bytes) -> bytes:
    *_, derived, n = xaes_subkey(key, nonce)
    return AESGCM(derived).encrypt(n, plaintext, ad)


def xaes_open(key: bytes, nonce: bytes, sealed: bytes, ad: bytes) -> bytes:
    *_, derived, n = xaes_subkey(key, nonce)
    return AESGCM(derived).decrypt(n, sealed, ad)


def enc_context(pairs, sort=True) -> bytes:
    pairs = [(k.encode(), v.encode()) for k, v in pairs]
    if sort:
        pairs.sort()
    return u16(len(pairs)) + b"".join(lp(k) + lp(v) for k, v in pairs)


def enc_path(path) -> bytes:
    out = u16(len(path))
    for element in path:
        if element[0] == "field":
            out += b"\x01" + lp(element[1])
        elif element[0] == "key":
            out += b"\x02" + lp(element[1])
        else:
            out += b"\x03"
    return out


def enc_row(row) -> bytes:
    if row is None:
        return b"\x00"
    out = u8(len(row))
    for kind, value in row:
        if kind == "text":
            out += b"\x01" + lp(value)
        elif kind == "bytes":
            out += b"\x02" + lp(bytes.fromhex(value))
        elif kind == "int":
            out += b"\x03" + i128(int(value))
        else:
            out += b"\x04" + bytes.fromhex(value)
    return out


def associated_data(key_id, place, label="pii/v2/value", first=b"\x02", context=None) -> bytes:
    return (
        first
        + key_id
        + u8(place["level"])
        + u8(place["type"])
        + lp(label)
        + lp(place["model"])
        + enc_path(place["path"])
        + (enc_context(place["context"]) if context is None else context)
        + enc_row(place["row"])
    )


# ---------------------------------------------------------------------------------------------------------------
# Writer


def to_text(body: bytes) -> str:
    return "ENC:" + base64.b64encode(body).decode()


def to_body(text: str) -> bytes:
    return base64.b64decode(text[4:])


def local_wrap(kek, data_key, purpose, epoch, context, nonce, label="pii/v2/local-wrap", ad_kek_id=None) -> bytes:
    return wrap(kek, data_key, purpose, epoch, context, nonce, "pii/v2/local-wrap", label, ad_kek_id)


def wrap(kek, data_key, purpose, epoch, context, nonce, key_label, label, ad_kek_id=None) -> bytes:
    kek_id = key_id_of(kek) if ad_kek_id is None else ad_kek_id
    ad = b"\x02" + lp(label) + kek_id + u8(purpose) + u32(epoch) + enc_context(context)
    return nonce + xaes_seal(expand(kek, key_label, 32), nonce, data_key, ad)


def hpke_schedule(mode, dh, kem_context, info):
    """RFC 9180 with DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM: key and nonce of the first message."""
    kem, suite = b"KEM\x00\x10", b"HPKE\x00\x10\x00\x01\x00\x02"

    def extract(salt, label, ikm, ids=suite):
        return hmac.new(salt, b"HPKE-v1" + ids + label + ikm, hashlib.sha256).digest()

    def labeled(prk, label, context, n, ids=suite):
        return HKDFExpand(SHA256(), n, u16(n) + b"HPKE-v1" + ids + label + context).derive(prk)

    shared = labeled(extract(b"", b"eae_prk", dh, kem), b"shared_secret", kem_context, 32, kem)
    context = u8(mode) + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    return labeled(secret, b"key", context, 32), labeled(secret, b"base_nonce", context, 12)


def p256(scalar: bytes):
    return ec.derive_private_key(int.from_bytes(scalar, "big"), ec.SECP256R1())


def point_of(scalar: bytes) -> bytes:
    return p256(scalar).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def dh(scalar: bytes, point: bytes) -> bytes:
    if len(point) != 65 or point[0] != 4:
        raise ValueError("not an uncompressed point")
    return p256(scalar).exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point))


def hpke_seal(recipient, info, plaintext, ephemeral, sender=None, aad=b"") -> tuple:
    enc, agreed, senders = point_of(ephemeral), dh(ephemeral, recipient), b""
    if sender is not None:
        agreed, senders = agreed + dh(sender, recipient), point_of(sender)
    key, nonce = hpke_schedule(0 if sender is None else 2, agreed, enc + recipient + senders, info)
    return enc, AESGCM(key).encrypt(nonce, plaintext, aad)


def hpke_open(scalar, info, enc, sealed, sender=None) -> bytes:
    agreed, senders = dh(scalar, enc), b""
    if sender is not None:
        agreed, senders = agreed + dh(scalar, sender), sender
    key, nonce = hpke_schedule(0 if sender is None else 2, agreed, enc + point_of(scalar) + senders, info)
    return AESGCM(key).decrypt(nonce, sealed, b"")


def hpke_info(recipient, purpose, epoch, context, label="pii/v2/hpke") -> bytes:
    return b"\x02" + lp(label) + public_id(recipient) + u8(purpose) + u32(epoch) + enc_context(context)


def public_id(point: bytes) -> bytes:
    return hashlib.sha256(lp("pii/v2/public-key-id") + point).digest()[:16]


def public_text(point: bytes) -> str:
    return "pii-public-key:p256:" + base64.b64encode(point).decode()


def copies_block(purpose, epoch, copies, count=None, length=None, trailing=b"") -> bytes:
    inner = u8(purpose) + u32(epoch) + u8(len(copies) if count is None else count)
    for provider, name, blob in copies:
        inner += u8(provider) + lp16(name) + lp16(blob)
    inner += trailing
    return u16(len(inner) if length is None else length) + inner


def pad(value: bytes, bucket: int) -> bytes:
    total = -(-(4 + len(value)) // bucket) * bucket
    return u32(len(value)) + value + bytes(total - 4 - len(value))


def seal(data_key, place, plaintext, nonce, block=None, version=2, layout=None, ad=None, key=None, kid=None) -> bytes:
    """The body of a value: block is None for layout 1. Everything after it is there to forge wrong values."""
    kid = key_id_of(data_key) if kid is None else kid
    layout = (1 if block is None else 2) if layout is None else layout
    ad = associated_data(kid, place) if ad is None else ad
    key = expand(data_key, "pii/v2/seal", 32) if key is None else key
    return u8(version) + u8(layout) + kid + (block or b"") + nonce + xaes_seal(key, nonce, plaintext, ad)


def app_keys(secret: str):
    app = hmac.new(b"pii/v2/app", secret.encode(), hashlib.sha256).digest()
    return app, expand(app, "pii/v2/app-key-id", 16), expand(app, "pii/v2/inner-key", 32)


def inner_seal(secret, place, plaintext, nonce, version=1, label="pii/v2/inner", key=None) -> bytes:
    _, kid, inner_key = app_keys(secret)
    ad = associated_data(kid, place, label)
    return u8(version) + kid + nonce + xaes_seal(inner_key if key is None else key, nonce, plaintext, ad)


# ---------------------------------------------------------------------------------------------------------------
# Reader


class Refused(Exception):
    def __init__(self, stage, why):
        super().__init__(f"{stage}: {why}")
        self.stage = stage


ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def decode_canonical(data: bytes) -> bytes:
    if len(data) % 4:
        raise Refused("text", "base64 is not a multiple of four characters")
    core = data
    for _ in range(2):
        if core.endswith(b"="):
            core = core[:-1]
    if any(c not in ALPHABET for c in core):
        raise Refused("text", "a character outside the base64 alphabet")
    try:
        body = base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise Refused("text", str(error)) from None
    if base64.b64encode(body) != data:
        raise Refused("text", "base64 is not canonical")
    return body


class Cursor:
    def __init__(self, data, stage="format"):
        self.data, self.at, self.stage = data, 0, stage

    def take(self, n):
        if n > len(self.data) - self.at:
            raise Refused(self.stage, "too short")
        self.at += n
        return self.data[self.at - n : self.at]

    def num(self, n):
        return int.from_bytes(self.take(n), "big")


def check_place(place):
    def bad(why):
        raise Refused("place", why)

    def utf8(s, empty=False):
        if not isinstance(s, str) or (not s and not empty):
            bad("an empty name")
        try:
            s.encode()
        except UnicodeEncodeError:
            bad("not Unicode")

    utf8(place["model"])
    path = place["path"]
    if not 1 <= len(path) <= 0xFFFF:
        bad("the path has no element")
    if path[0][0] != "field":
        bad("the path does not begin with a field")
    for element in path:
        if element[0] == "field" and len(element) == 2:
            utf8(element[1])
        elif element[0] == "key" and len(element) == 2:
            utf8(element[1], empty=True)
        elif element != ["element"]:
            bad("unknown path element")
    if place["level"] not in (2, 3):
        bad("level")
    code = place["type"]
    if not 0 <= code <= 255 or not UTF8 <= code & 0x7F <= ZONED:
        bad("unknown type")
    if code & PADDED and code & 0x7F not in (UTF8, BYTES, JSON, ENUM):
        bad("a type that can't be padded")
    context = place["context"]
    if len(context) > 8:
        bad("more than 8 pairs")
    for k, v in context:
        utf8(k), utf8(v)
        if k.startswith("pii:"):
            bad("a reserved key")
    if len({k for k, _ in context}) != len(context):
        bad("a key twice")
    if sum(len(k.encode()) + len(v.encode()) for k, v in context) > 1024:
        bad("context too long")
    row = place["row"]
    if row is not None:
        if not 1 <= len(row) <= 255:
            bad("a row is 1 to 255 ids")
        for kind, value in row:
            if kind == "int" and not -(1 << 127) <= int(value) < 1 << 127:
                bad("integer too large")
            if kind == "uuid" and len(bytes.fromhex(value)) != 16:
                bad("a UUID has 16 bytes")
            if kind not in ("text", "bytes", "int", "uuid"):
                bad("unknown kind of id")


def check_value(code, value):
    def bad(why):
        raise Refused("type", why)

    def text(data):
        try:
            return data.decode()
        except UnicodeDecodeError:
            bad("not UTF-8")

    def nanos_of_day(data):
        if int.from_bytes(data, "big") >= 86_400_000_000_000:
            bad("time of day out of range")

    def instant(data):
        if int.from_bytes(data[8:12], "big") >= 1_000_000_000:
            bad("nanoseconds out of range")

    sizes = {BOOL: 1, INT: 16, DATE: 4, FLOAT: 8, UUID: 16, TIME: 8, INSTANT: 12, LOCAL_TIME: 12, DECIMAL: 20, ZONED: 16}
    if code in sizes and len(value) != sizes[code]:
        bad("wrong length")
    if code in (UTF8, ENUM):
        text(value)
        if code == ENUM and not value:
            bad("empty variant name")
    elif code == BOOL and value not in (b"\x00", b"\x01"):
        bad("neither 00 nor 01")
    elif code == JSON:

        def constant(name):
            raise ValueError(name)

        try:
            json.loads(text(value), parse_constant=constant)
        except ValueError:
            bad("not JSON")
    elif code == FLOAT:
        number = struct.unpack(">d", value)[0]
        if number != number and value.hex() != "7ff8000000000000":
            bad("a NaN that is not the canonical one")
    elif code == TIME:
        nanos_of_day(value)
    elif code == INSTANT:
        instant(value)
    elif code == LOCAL_TIME:
        nanos_of_day(value[4:])
    elif code == ZONED:
        instant(value)
        if abs(struct.unpack(">i", value[12:])[0]) >= 86400:
            bad("offset out of range")


class Reader:
    """A reader with a key store, the key-encryption keys of a key file (or the test keyring), and application keys."""

    def __init__(self, keys, requires=None):
        self.store = {r["key_id"]: r for r in keys["data_keys"]}
        self.test = requires == "test-keyring"
        self.private, self.senders = {}, None
        if requires in ("public-keyring", "public-keyring-base"):
            self.keks = {}
            self.private = {k["id"]: bytes.fromhex(k["private_key"]) for k in keys["private_keys"]}
            if requires == "public-keyring":
                self.senders = {bytes.fromhex(k["id"]): base64.b64decode(k["public_key"].split(":")[2]) for k in keys["sender_keys"]}
        elif self.test:
            self.keks = {(TEST, key_id_of(TEST_KEK).hex()): TEST_KEK}
        else:
            self.keks = {(LOCAL, k["id"]): bytes.fromhex(k["kek"]) for k in keys["keks"]}
            for r in keys["data_keys"]:
                if (r["purpose"], r["keyring"], r["context"]) == (BRANCH, "branch", {}) and r["state"] != "destroyed":
                    self.keks[HIERARCHICAL, r["key_id"]] = bytes.fromhex(r["data_key"])
        self.app = {}
        for k in keys["app_keys"]:
            _, kid, inner = app_keys(k["secret"])
            self.app[kid] = inner

    def from_store(self, kid, place):
        record = self.store.get(kid.hex())
        if record is None:
            raise Refused("key", "unknown key")
        if record["state"] == "destroyed":
            raise Refused("key", "destroyed")
        if record["keyring"] != place.get("keyring", "default"):
            raise Refused("key", "another keyring's key")
        if sorted(record["context"].items()) != sorted(tuple(p) for p in place["context"]):
            raise Refused("key", "another context's key")
        if record["purpose"] not in (SEAL, DROP, SUBJECT):
            raise Refused("key", "not a key for values")
        return bytes.fromhex(record["data_key"])

    def from_copies(self, kid, block, place):
        record = self.store.get(kid.hex())
        if record is not None and record["state"] == "destroyed":
            raise Refused("key", "destroyed")
        c = Cursor(block)
        purpose, epoch, count = c.num(1), c.num(4), c.num(1)
        if purpose not in (SEAL, INDEX, DROP, SUBJECT):
            raise Refused("format", "unknown purpose")
        if not 1 <= count <= 8:
            raise Refused("format", "1 to 8 copies")
        copies = []
        for _ in range(count):
            provider, name, blob = c.num(1), c.take(c.num(2)), c.take(c.num(2))
            if provider == 0 or not name or not blob:
                raise Refused("format", "an empty copy")
            try:
                copies.append((provider, name.decode(), blob))
            except UnicodeDecodeError:
                raise Refused("format", "a key name that is not UTF-8") from None
        if c.at != len(block):
            raise Refused("format", "bytes after the last copy")
        if purpose == INDEX:
            raise Refused("key", "not a key for values")
        if not self.test and any(p == TEST for p, _, _ in copies):
            raise Refused("key", "a test keyring's value")
        for provider, name, blob in copies:
            if provider == HPKE and name in self.private and purpose == DROP:
                key = self.from_public_key(self.private[name], blob, purpose, epoch, place)
                if key is not None and key_id_of(key) == kid:
                    return key
            kek = self.keks.get((provider, name))
            if kek is None or len(blob) != 72:
                continue
            label = "pii/v2/subject-wrap" if provider == HIERARCHICAL else "pii/v2/local-wrap"
            ad = b"\x02" + lp(label) + key_id_of(kek) + u8(purpose) + u32(epoch) + enc_context(place["context"])
            try:
                key = xaes_open(expand(kek, label, 32), blob[:24], blob[24:], ad)
            except InvalidTag:
                continue
            if key_id_of(key) == kid:
                return key
        raise Refused("key", "no copy opens")

    def from_public_key(self, scalar, blob, purpose, epoch, place):
        sender = None
        if self.senders is None:
            if len(blob) != 114 or blob[0] != 0:
                return None
        else:
            if len(blob) != 130 or blob[0] != 2 or blob[1:17] not in self.senders:
                return None
            sender = self.senders[blob[1:17]]
        try:
            return hpke_open(scalar, hpke_info(point_of(scalar), purpose, epoch, place["context"]), blob[-113:-48], blob[-48:], sender)
        except (InvalidTag, ValueError):
            return None

    def open(self, text, place, any_place=False):
        if not any_place:
            check_place(place)
        data = text.encode()
        if not data.startswith(b"ENC:"):
            raise Refused("text", "no ENC: prefix")
        if len(data) > MAX_TEXT:
            raise Refused("text", "too long")
        body = decode_canonical(data[4:])
        if body[:1] != b"\x02":
            raise Refused("format", "unknown version")
        c = Cursor(body)
        c.take(1)
        layout = c.num(1)
        kid = c.take(16)
        if layout == 1:
            block = None
        elif layout == 2:
            block = c.take(c.num(2))
        else:
            raise Refused("format", "unknown layout")
        nonce = c.take(24)
        sealed = c.take(len(body) - c.at)
        if len(sealed) < 16:
            raise Refused("format", "too short")
        key = self.from_store(kid, place) if layout == 1 else self.from_copies(kid, block, place)
        if key_id_of(key) != kid:
            raise Refused("key", "the key is not the one named")
        try:
            plain = xaes_open(expand(key, "pii/v2/seal", 32), nonce, sealed, associated_data(kid, place))
        except InvalidTag:
            raise Refused("integrity", "tag") from None
        if place["level"] == 3:
            plain = self.peel(plain, place)
        if place["type"] & PADDED:
            c = Cursor(plain, "type")
            value = c.take(c.num(4))
            if any(plain[c.at :]):
                raise Refused("type", "padding is not zero")
            plain = value
        if len(plain) > MAX_VALUE:
            raise Refused("format", "longer than 1 MiB")
        check_value(place["type"] & 0x7F, plain)
        return plain

    def peel(self, inner, place):
        if len(inner) < 57 or inner[:1] != b"\x01":
            raise Refused("format", "not an inner envelope")
        kid, nonce, sealed = inner[1:17], inner[17:41], inner[41:]
        if kid not in self.app:
            raise Refused("key", "unknown application key")
        try:
            return xaes_open(self.app[kid], nonce, sealed, associated_data(kid, place, "pii/v2/inner"))
        except InvalidTag:
            raise Refused("integrity", "inner tag") from None


# ---------------------------------------------------------------------------------------------------------------
# Keys of the vectors

ACME = [["app", "billing"], ["tenant", "acme"]]
GLOBEX = [["app", "billing"], ["tenant", "globex"]]
EIGHT = [[f"key-{i}", f"value {i}"] for i in range(8)]
LARGEST = [["app", "x" * 500], ["tenant", "y" * 515]]
ORDERED = [["Z", "upper"], ["a", "prefix"], ["ab", "longer"], ["\u00e9", "e acute"], ["\uff5e", "bmp"], ["\U00010000", "astral"]]

RECORDS = {}


def record(name, context, purpose=SEAL, epoch=0, keyring="default", state="active", key=None):
    key = det("data key/" + name, 32) if key is None else key
    RECORDS[name] = {
        "data_key": key.hex() if state != "destroyed" else "",
        "key_id": key_id_of(key).hex(),
        "keyring": keyring,
        "context": dict(sorted(context, key=lambda p: p[0].encode())),
        "purpose": purpose,
        "epoch": epoch,
        "state": state,
    }
    return key


assert len(TEST_KEK) == 32
EXAMPLE_KEY = record("example", ACME, key=bytes(range(32)))
K_ACME = record("acme", ACME, epoch=1)
K_OLD = record("acme, decrypt-only", ACME, epoch=2, state="decrypt-only")
K_LAST_EPOCH = record("acme, last epoch", ACME, epoch=0xFFFFFFFF)
K_GLOBEX = record("globex", GLOBEX)
K_NONE = record("no context", [])
K_ONE = record("one pair", [["app", "billing"]])
K_EIGHT = record("eight pairs", EIGHT)
K_LARGEST = record("largest context", LARGEST)
K_ORDERED = record("order of keys", ORDERED)
K_ABCD = record("a=b, c=d", [["a", "b"], ["c", "d"]])
K_SHIFT = record("a=bc", [["a", "bc"]])
K_INDEX = record("index", ACME, purpose=INDEX)
K_DROP = record("drop", ACME, purpose=DROP)
K_SUBJECT = record("subject", ACME, purpose=SUBJECT)
K_HIGH = record("keyring high", ACME, keyring="high")
K_DESTROYED = record("destroyed", ACME, epoch=9, state="destroyed")
K_BRANCH_OLD = record("branch, decrypt-only", [], purpose=BRANCH, keyring="branch", state="decrypt-only")
K_BRANCH = record("branch", [], purpose=BRANCH, epoch=1, keyring="branch")
K_BRANCH_DESTROYED = record("branch, destroyed", [], purpose=BRANCH, epoch=2, keyring="branch", state="destroyed")
K_BRANCH_ELSEWHERE = record("branch of another keyring", [], purpose=BRANCH, keyring="default")
K_BRANCH_CONTEXT = record("branch of another context", ACME, purpose=BRANCH, keyring="branch")
K_NO_BRANCH = record("a data key where branch keys are", [], keyring="branch")
K_INLINE = det("data key/inline", 32)
K_UNKNOWN = det("data key/unknown", 32)

READER, READER_2, READER_FOREIGN = (det(f"private key/reader/{n}", 32) for n in range(3))
SENDER, SENDER_2, SENDER_FOREIGN = (det(f"private key/sender/{n}", 32) for n in range(3))

EXAMPLE_KEK = bytes(range(32, 64))
KEK = det("kek/1", 32)
KEK_2 = det("kek/2", 32)
KEK_FOREIGN = det("kek/foreign", 32)
EXAMPLE_SECRET = "example secret, at least 32 characters long"
SECRET = "a second application secret for tests \u00e9\u4e2d"
SECRET_UNKNOWN = "a secret that the reader does not have at all"

KEYS = {
    "data_keys": list(RECORDS.values()),
    "keks": [{"id": key_id_of(k).hex(), "kek": k.hex()} for k in (EXAMPLE_KEK, KEK, KEK_2)],
    "app_keys": [{"id": app_keys(s)[1].hex(), "secret": s} for s in (EXAMPLE_SECRET, SECRET)],
    "private_keys": [{"id": public_id(point_of(k)).hex(), "private_key": k.hex(), "public_key": public_text(point_of(k))} for k in (READER, READER_2)],
    "sender_keys": [{"id": public_id(point_of(k)).hex(), "public_key": public_text(point_of(k))} for k in (SENDER, SENDER_2)],
}

ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def kid_hex(kek):
    return key_id_of(kek).hex()


def own_copy(kek=KEK, key=K_INLINE, purpose=SEAL, epoch=0, context=ACME, nonce="own copy", provider=LOCAL, **forge):
    return (provider, kid_hex(kek), local_wrap(kek, key, purpose, epoch, context, det("wrap nonce/" + nonce, 24), **forge))


def branch_copy(branch=K_BRANCH, key=K_INLINE, purpose=SEAL, epoch=0, context=ACME, nonce="branch copy", **forge):
    label, key_label = forge.pop("label", "pii/v2/subject-wrap"), forge.pop("key_label", "pii/v2/subject-wrap")
    blob = wrap(branch, key, purpose, epoch, context, det("wrap nonce/" + nonce, 24), key_label, label, **forge)
    return (HIERARCHICAL, kid_hex(branch), blob)


def public_copy(recipient=READER, sender=SENDER, key=K_INLINE, purpose=DROP, epoch=0, context=ACME, nonce="public copy", info=None, aad=b"", claim=None):
    point = point_of(recipient)
    info = hpke_info(point, purpose, epoch, context) if info is None else info
    enc, sealed = hpke_seal(point, info, key, det("ephemeral/" + nonce, 32), sender, aad)
    front = b"\x00" if sender is None else b"\x02" + public_id(point_of(sender if claim is None else claim))
    return (HPKE, public_id(point).hex(), front + enc + sealed)


def foreign(provider, name, n=120):
    return (provider, name, det(f"foreign/{provider}/{name}", n))


# ---------------------------------------------------------------------------------------------------------------
# Vectors


def F(*names):
    return [["field", n] for n in names]


ROW = [["uuid", "5f0f1d2ab6c54b0f9b7c0c1d2e3f4a5b"]]


def place(**over):
    p = {"model": "customer", "path": F("email"), "level": 2, "type": UTF8, "context": ACME, "row": ROW}
    p.update(over)
    return {k: p[k] for k in ("model", "path", "level", "type", "context", "row", "keyring") if k in p}


class Book:
    def __init__(self):
        self.vectors, self.names = [], set()

    def push(self, name, valid, reason, text, where, **extra):
        assert name not in self.names, name
        self.names.add(name)
        v = {"id": len(self.vectors) + 1, "name": name, "valid": valid, "reason": reason}
        v.update({"text": text, "place": where})
        v.update(extra)
        self.vectors.append(v)

    def good(self, name, value, key=K_ACME, where=None, nonce=None, copies=None, purpose=SEAL, epoch=0, requires=None, bucket=None, secret=None):
        """Seals the value and adds it as a positive vector; returns the body."""
        where = place() if where is None else where
        value = value.encode() if isinstance(value, str) else value
        nonce = det("nonce/" + name, 24) if nonce is None else nonce
        plain = value if bucket is None else pad(value, bucket)
        unit, times = value, 1
        if len(value) > 8192:
            unit, times = value[:16], len(value) // 16
            assert unit * times == value
        extra = {"plaintext": unit.hex(), **({"plaintext_repeat": times} if times > 1 else {}), "nonce": nonce.hex(), "key_id": key_id_of(key).hex(), "layout": 1 if copies is None else 2}
        if bucket is not None:
            extra["bucket"] = bucket
        if secret is not None:
            inner_nonce = det("inner nonce/" + name, 24)
            extra.update({"level3": True, "app_key_id": app_keys(secret)[1].hex(), "inner_nonce": inner_nonce.hex()})
            plain = inner_seal(secret, where, plain, inner_nonce)
        if requires:
            extra["requires"] = requires
        block = None if copies is None else copies_block(purpose, epoch, copies)
        body = seal(key, where, plain, nonce, block)
        self.push(name, True, "", to_text(body), where, **extra)
        return body

    def bad(self, name, stage, reason, text, where=None, requires=None):
        where = place() if where is None else where
        text = to_text(text) if isinstance(text, bytes) else text
        extra = {"stage": stage}
        if where["level"] == 3:
            extra["level3"] = True
        if requires:
            extra["requires"] = requires
        self.push(name, False, reason, text, where, **extra)


def flip(body: bytes, at: int, bit: int = 0) -> bytes:
    at %= len(body)
    return body[:at] + bytes([body[at] ^ 1 << bit]) + body[at + 1 :]


def opens(body: bytes, where):
    """A value that is to be refused elsewhere is a good one here; its bytes may not fit the type."""
    try:
        Reader(KEYS).open(to_text(body), where)
    except Refused as refused:
        assert refused.stage == "type", (where, str(refused))


EXAMPLE_PLACE = place()
EXAMPLE_NONCE = bytes(range(0x40, 0x58))
EXAMPLE_NONCE_3 = bytes(range(0xA0, 0xB8))
EXAMPLE_TEXT = "ada@example.com"


def positives(b: Book):
    b.good("worked example of FORMAT.md, layout 1", EXAMPLE_TEXT, EXAMPLE_KEY, EXAMPLE_PLACE, EXAMPLE_NONCE)
    b.good("worked example of FORMAT.md, layout 2", EXAMPLE_TEXT, EXAMPLE_KEY, EXAMPLE_PLACE, EXAMPLE_NONCE, copies=[example_copy()])
    example_level_3(b)

    # text of many lengths
    b.good("empty text", "")
    b.good("ASCII", "Ada Lovelace, 12 St James's Square")
    for n in (1, 11, 15, 16, 17, 32, 64, 255, 256, 1024, 4096):
        b.good(f"text of {n} bytes", ("The quick brown fox jumps over the lazy dog. " * 100)[:n])
    b.good("text of 65536 bytes", "0123456789abcdef" * 4096)
    b.good("text é as one code point (NFC)", "Jos\u00e9")
    b.good("text é as two code points (NFD)", "Jose\u0301")
    b.good("text beyond the basic plane", "\U0001f469\u200d\U0001f52c \U0001f1e9\U0001f1ea \U0010ffff")
    b.good("Chinese and Arabic text", "\u5f20\u4f1f \u0645\u062d\u0645\u062f")
    b.good("text with NUL, tab and line ends", "a\0b\tc\r\nd\n")
    b.good("text that begins with a byte order mark", "\ufeffAda")
    b.good("text that begins with ENC:", "ENC:hello")
    b.good("text that is itself a sealed value", to_text(seal(K_ACME, place(), b"inside", det("nonce/nested", 24))))
    b.good("text of spaces", "   ")
    b.good("text that looks like JSON", '{"a":1}')

    # JSON
    for name, value in (
        ("object", '{"street":"12 St James\'s Square","city":"London"}'),
        ("array", '[1,2.5,-3e10,"x",null,true,false]'),
        ("string", '"Ada"'),
        ("number", "-0.5"),
        ("true", "true"),
        ("null", "null"),
        ("empty object", "{}"),
        ("nested", '{"a":[{"b":[[],{}]}]}'),
        ("with space around it", ' \r\n\t{ "a" : 1 } \n'),
        ("with escapes", '"\\u00e9\\ud83d\\ude00\\n\\/"'),
        ("with Unicode", '{"na\u00efve":"\U0001f600"}'),
    ):
        b.good("JSON " + name, value, where=place(path=F("address"), type=JSON))

    # the other types
    def typed(name, code, *values):
        for i, value in enumerate(values, 1):
            b.good(f"{name} {i}", value, where=place(path=F("value"), type=code))

    typed("bytes", BYTES, b"", bytes(range(250, 256)) + b"\0")
    typed("bool", BOOL, b"\x00", b"\x01")
    typed("integer", INT, *map(i128, (0, 42, -1, (1 << 127) - 1, -(1 << 127))))
    typed("date", DATE, *(struct.pack(">i", n) for n in (0, 20454, -719162, -(1 << 31))))
    floats = (1.5, -0.0, 5e-324, float("inf"), float("-inf"))
    typed("float", FLOAT, *(struct.pack(">d", n) for n in floats), bytes.fromhex("7ff8000000000000"))
    typed("UUID", UUID, bytes.fromhex("00112233445566778899aabbccddeeff"))
    typed("time of day", TIME, *(struct.pack(">Q", n) for n in (0, 86_399_999_999_999)))
    typed("instant", INSTANT, struct.pack(">qI", 0, 0), struct.pack(">qI", -62135596800, 999_999_999), struct.pack(">qI", 1767225600, 5))
    typed("local date-time", LOCAL_TIME, struct.pack(">iQ", 20454, 43_200_000_000_001))
    typed("decimal", DECIMAL, i128(1234) + u32(2), i128(-1) + u32(0), i128(100) + u32(28))
    typed("enum", ENUM, "Gold", "Caf\u00e9")
    typed("zoned instant", ZONED, struct.pack(">qIi", 1767225600, 0, 7200), struct.pack(">qIi", 0, 1, -86399))

    # padding
    def padded(name, code, value, bucket):
        b.good(name, value, where=place(path=F("padded"), type=code | PADDED), bucket=bucket)

    padded("padded text, empty", UTF8, "", 32)
    padded("padded text in a bucket of 32", UTF8, "123-45-6789", 32)
    padded("padded text that fills its bucket", UTF8, "x" * 28, 32)
    padded("padded text one byte over a bucket", UTF8, "x" * 29, 32)
    padded("padded text, bucket 1 adds nothing", UTF8, "abc", 1)
    padded("padded text, bucket that is no power of two", UTF8, "Ada", 100)
    padded("padded bytes that end in zeros", BYTES, b"\x01\x00\x00", 16)
    padded("padded JSON", JSON, '{"a":1}', 64)
    padded("padded enum", ENUM, "Gold", 16)

    # layouts and copies
    b.good("layout 2, one copy", EXAMPLE_TEXT, K_INLINE, copies=[own_copy()])
    kms, hpke, other = foreign(KMS, ARN, 184), foreign(HPKE, "ops-2026", 113), foreign(9, "a provider of the future", 5)
    unknown_kek = own_copy(KEK_FOREIGN)
    kms_2 = foreign(KMS, ARN.replace("eu-central-1", "eu-west-1"), 184)

    def inline(name, copies, **more):
        return b.good("layout 2, " + name, EXAMPLE_TEXT, more.pop("key", K_INLINE), copies=copies, **more)

    b.good("layout 2, empty text", "", K_INLINE, copies=[own_copy()])
    inline("two copies, a KMS key first", [kms, own_copy()])
    inline("two copies, a KMS key last", [own_copy(), kms])
    inline("copies under two keys of the key file", [own_copy(), own_copy(KEK_2)])
    inline("first copy under another key file's key", [unknown_kek, own_copy()])
    inline("unknown provider beside the local copy", [other, own_copy()])
    inline("eight copies, own one last", [kms, kms_2, hpke, other, foreign(HIERARCHICAL, "branch", 72), unknown_kek, foreign(0xFF, "x", 1), own_copy()])
    inline("a local copy with a blob of the wrong length is passed over", [(LOCAL, kid_hex(KEK_2), b"\x00" * 71), own_copy()])
    damaged = own_copy(KEK_2)
    inline("a damaged local copy is passed over", [(LOCAL, damaged[1], flip(damaged[2], 30)), own_copy()])
    wrong = own_copy(KEK_2, key=K_UNKNOWN)
    inline("a local copy of another data key is passed over", [wrong, own_copy()])
    inline("key name of 2000 bytes", [foreign(KMS, "n" * 2000, 1), own_copy()])
    inline("purpose drop", [own_copy(purpose=DROP)], purpose=DROP)
    inline("purpose subject", [own_copy(purpose=SUBJECT)], purpose=SUBJECT)
    inline("epoch 7", [own_copy(epoch=7)], epoch=7)
    inline("last epoch", [own_copy(epoch=0xFFFFFFFF)], epoch=0xFFFFFFFF)
    inline("no context", [own_copy(context=[])], where=place(context=[]))
    inline("eight pairs of context", [own_copy(context=EIGHT)], where=place(context=EIGHT))
    inline("largest context", [own_copy(context=LARGEST)], where=place(context=LARGEST))
    b.good("layout 2, JSON", '{"city":"London"}', K_INLINE, place(type=JSON, path=F("address")), copies=[own_copy()])
    b.good("layout 2, padded text", "Ada", K_INLINE, place(type=UTF8 | PADDED), copies=[own_copy()], bucket=32)
    b.good("layout 2, unbound row", "Ada", K_INLINE, place(row=None), copies=[own_copy()])
    b.good("layout 2, text of 1024 bytes", "x" * 1024, K_INLINE, copies=[own_copy()])
    acme = own_copy(key=K_ACME, epoch=1)
    first = b.good("a value before it moves to layout 2", "moved", K_ACME)
    b.good("the same value after it moved: same nonce, ciphertext and tag", "moved", K_ACME, nonce=first[18:42], copies=[acme], epoch=1)
    test = own_copy(TEST_KEK, provider=TEST)
    b.good("test keyring", EXAMPLE_TEXT, K_INLINE, copies=[test], requires="test-keyring")
    b.good("test keyring, epoch 3, unbound row", "x", K_INLINE, place(row=None), copies=[own_copy(TEST_KEK, provider=TEST, epoch=3)], epoch=3, requires="test-keyring")

    # keys of the store
    b.good("decrypt-only key", "old", K_OLD)
    b.good("key of the last epoch", "x", K_LAST_EPOCH)
    b.good("key of purpose drop", "x", K_DROP)
    b.good("key of purpose subject", "x", K_SUBJECT)
    b.good("key of the keyring high, at a field of that keyring", "x", K_HIGH, place(keyring="high"))

    # contexts
    b.good("no context", "x", K_NONE, place(context=[]))
    b.good("one pair of context", "x", K_ONE, place(context=[["app", "billing"]]))
    b.good("context given in another order", "x", K_ACME, place(context=ACME[::-1]))
    b.good("eight pairs of context", "x", K_EIGHT, place(context=EIGHT))
    b.good("largest context, 1024 bytes", "x", K_LARGEST, place(context=LARGEST))
    b.good("context keys are sorted by their UTF-8 bytes", "x", K_ORDERED, place(context=ORDERED))
    b.good("context a=b, c=d", "x", K_ABCD, place(context=[["a", "b"], ["c", "d"]]))
    b.good("context a=bc", "x", K_SHIFT, place(context=[["a", "bc"]]))

    # rows
    for name, row in (
        ("unbound", None),
        ("text", [["text", "customer-7"]]),
        ("text, empty", [["text", ""]]),
        ("text, Unicode", [["text", "\u00c5ngstr\u00f6m"]]),
        ("text of 7", [["text", "7"]]),
        ("bytes", [["bytes", "00ff10"]]),
        ("bytes, empty", [["bytes", ""]]),
        ("integer 7", [["int", "7"]]),
        ("integer 0", [["int", "0"]]),
        ("integer -1", [["int", "-1"]]),
        ("integer beyond 64 bits", [["int", "18446744073709551616"]]),
        ("largest integer", [["int", str((1 << 127) - 1)]]),
        ("smallest integer", [["int", str(-(1 << 127))]]),
        ("UUID", [["uuid", "00000000000000000000000000000001"]]),
        ("text and integer", [["text", "acme"], ["int", "7"]]),
        ("integer and text", [["int", "7"], ["text", "acme"]]),
        ("four kinds", [["uuid", ROW[0][1]], ["bytes", "07"], ["int", "7"], ["text", "7"]]),
        ("255 ids", [["int", "1"]] * 255),
    ):
        b.good("row: " + name, "row", where=place(row=row))

    # paths and models
    for name, path in (
        ("field of a nested struct", F("address", "street")),
        ("three levels of structs", F("a", "b", "c")),
        ("map key", F("phones") + [["key", "home"]]),
        ("map key, empty", F("phones") + [["key", ""]]),
        ("list element", F("phones") + [["element"]]),
        ("field of a list's structs", F("contacts") + [["element"]] + F("email")),
        ("map of lists of maps", F("m") + [["key", "k"], ["element"], ["key", "k"]]),
        ("Unicode names", F("pr\u00e9nom", "\u540d")),
    ):
        b.good("path: " + name, "path", where=place(path=path))
    b.good("another model", "x", where=place(model="order"))
    b.good("model with a Unicode name", "x", where=place(model="Kunde \u00fc"))

    # level 3
    def level3(name, value, secret=SECRET, key=K_ACME, **more):
        where = place(level=3, **more.pop("where", {}))
        b.good("level 3, " + name, value, key, where, secret=secret, **more)

    level3("text", "123-45-6789")
    level3("empty text", "")
    level3("JSON", '{"a":1}', where={"type": JSON})
    level3("padded text", "Ada", where={"type": UTF8 | PADDED}, bucket=32)
    level3("layout 2", "x", key=K_INLINE, copies=[own_copy()])
    level3("unbound row", "x", where={"row": None})
    level3("composite row and nested path", "x", where={"row": [["text", "a"], ["int", "7"]], "path": F("a", "b")})


def negatives(b: Book):
    value = EXAMPLE_TEXT.encode()
    nonce = det("nonce/negative", 24)
    base = seal(K_ACME, place(), value, nonce)
    short = seal(K_ACME, place(), b"ab", nonce)  # 60 bytes: no padding in base64
    one = seal(K_ACME, place(), b"abc", nonce)  # 61 bytes: ends in ==
    two = seal(K_ACME, place(), b"abcd", nonce)  # 62 bytes: ends in =
    text, text_1, text_2 = to_text(base), to_text(one), to_text(two)
    assert text_1.endswith("==") and text_2.endswith("=") and text_2[-2] != "="

    # text
    def no_text(name, reason, text, stage="text"):
        b.bad("text: " + name, stage, reason, text)

    no_text("empty", "there is no ENC: prefix", "")
    no_text("plain", "there is no ENC: prefix", "ada@example.com")
    no_text("prefix without base64", "zero bytes follow the prefix, no version", "ENC:", "format")
    no_text("lower-case prefix", "the prefix is ENC: in capitals", "enc:" + text[4:])
    no_text("mixed-case prefix", "the prefix is ENC: in capitals", "Enc:" + text[4:])
    no_text("prefix without colon", "the prefix ends in a colon", "ENC" + text[4:])
    no_text("space in the prefix", "the prefix is ENC: without space", "ENC :" + text[4:])
    no_text("full-width colon", "the prefix ends in an ASCII colon", "ENC\uff1a" + text[4:])
    no_text("prefix twice", "a colon is not in the base64 alphabet", "ENC:" + text)
    no_text("no prefix", "there is no ENC: prefix", text[4:])
    no_text("byte order mark first", "the prefix must come first", "\ufeff" + text)
    no_text("space before", "the prefix must come first", " " + text)
    no_text("space after the prefix", "no whitespace is allowed", "ENC: " + text[4:])
    no_text("space at the end", "no whitespace is allowed", text + " ")
    no_text("newline at the end", "no whitespace is allowed", text + "\n")
    no_text("newline after 64 characters", "no whitespace is allowed", text[:68] + "\n" + text[68:])
    no_text("CR LF after 64 characters", "no whitespace is allowed", text[:68] + "\r\n" + text[68:])
    no_text("tab inside", "no whitespace is allowed", text[:40] + "\t" + text[40:])
    no_text("four spaces inside", "no whitespace is allowed, in any number", text[:40] + "    " + text[40:])
    no_text("NUL at the end", "NUL is not in the base64 alphabet", text + "\0")
    no_text("padding of one missing", "padding must be there", text_2[:-1])
    no_text("one of two padding characters missing", "padding must be there", text_1[:-1])
    no_text("padding of two missing", "padding must be there", text_1[:-2])
    no_text("superfluous padding", "padding where none belongs", to_text(short) + "=")
    no_text("superfluous padding of four", "padding where none belongs", to_text(short) + "====")
    no_text("three padding characters", "at most two padding characters", text_1[:-3] + "===")
    no_text("padding inside", "padding belongs at the end", "ENC:AgE=" + text[8:])
    no_text("two texts joined", "padding belongs at the end", text_1 + text_2[4:])

    def bump(t, at, by):
        return t[:at] + chr(ALPHABET[ALPHABET.index(ord(t[at])) + by]) + t[at + 1 :]

    no_text("trailing bits before ==", "the four unused bits must be zero", bump(text_1, len(text_1) - 3, 1))
    no_text("highest trailing bit before ==", "the four unused bits must be zero", bump(text_1, len(text_1) - 3, 8))
    no_text("trailing bits before =", "the two unused bits must be zero", bump(text_2, len(text_2) - 2, 1))
    url_nonce = b"\xfb\xff\xbf" * 8
    url = to_text(seal(K_ACME, place(), value, url_nonce))
    no_text("URL-safe alphabet", "- and _ are not in the standard alphabet", url.replace("+", "-").replace("/", "_"))
    no_text("URL-safe minus only", "- is not in the standard alphabet", url.replace("+", "-"))
    assert "+" in url and "/" in url
    no_text("percent-encoded plus", "% is not in the base64 alphabet", url.replace("+", "%2B"))
    no_text("one character removed", "not a multiple of four characters", text[:30] + text[31:])
    no_text("one character added", "not a multiple of four characters", text[:30] + "A" + text[30:])
    no_text("letter outside ASCII", "only ASCII letters are in the alphabet", text[:30] + "\u00e9" + text[31:])
    no_text("hexadecimal", "the bytes are base64; as such this is another version byte", "ENC:" + short.hex(), "format")

    # version and layout
    for version in (0, 1, 3, 0x82, 255):
        b.bad(f"version byte {version}", "format", "the version byte must be 02", u8(version) + base[1:])
    b.bad("version 3, sealed with that byte in the associated data", "format", "the version byte must be 02", seal(K_ACME, place(), value, nonce, version=3, ad=associated_data(key_id_of(K_ACME), place(), first=b"\x03")))
    for layout in (0, 3, 4, 0x81, 255):
        b.bad(f"layout byte {layout}", "format", "unknown layout", base[:1] + u8(layout) + base[2:])
    b.bad("layout 1 marked as layout 2", "format", "the nonce is read as a block of copies that does not fit", base[:1] + b"\x02" + base[2:])

    # bit flips, truncation, extension
    spans = (("key id, first byte", 2), ("key id, last byte", 17))
    for name, at in spans:
        b.bad("bit flipped: " + name, "key", "no such key", flip(base, at))
    for name, at, bit in (
        ("nonce, first bit", 18, 7),
        ("nonce, last byte of the first half", 29, 0),
        ("nonce, first byte of the second half", 30, 0),
        ("nonce, last bit", 41, 0),
        ("ciphertext, first byte", 42, 0),
        ("ciphertext, last byte", len(base) - 17, 4),
        ("tag, first byte", len(base) - 16, 0),
        ("tag, last bit", len(base) - 1, 0),
        ("tag, high bit of the last byte", len(base) - 1, 7),
    ):
        b.bad("bit flipped: " + name, "integrity", "the tag does not verify", flip(base, at, bit))
    for name, n in (("1 byte", 1), ("2 bytes", 2), ("17 bytes", 17), ("the 18 bytes before the nonce", 18), ("41 bytes", 41), ("the 42 bytes before the ciphertext", 42), ("57 bytes", 57)):
        b.bad("truncated to " + name, "format", "a value has at least 58 bytes", base[:n])
    b.bad("truncated to 58 bytes", "integrity", "the end is missing", base[:58])
    b.bad("truncated by the tag", "integrity", "the tag is missing", seal(K_ACME, place(), value * 3, nonce)[:-16])
    b.bad("truncated by one byte", "integrity", "the last byte is missing", base[:-1])
    b.bad("first byte of the ciphertext missing", "integrity", "a byte is missing", base[:42] + base[43:])
    b.bad("extended by a zero byte", "integrity", "a byte too many", base + b"\0")
    b.bad("extended by 16 bytes", "integrity", "bytes too many", base + bytes(16))
    b.bad("tag all zero", "integrity", "the tag does not verify", base[:-16] + bytes(16))
    b.bad("nonce all zero", "integrity", "the tag does not verify", base[:18] + bytes(24) + base[42:])
    other = seal(K_ACME, place(), value[::-1], det("nonce/negative 2", 24))
    b.bad("nonce of another value", "integrity", "the tag does not verify", base[:18] + other[18:42] + base[42:])
    b.bad("tag of another value", "integrity", "the tag does not verify", base[:-16] + other[-16:])

    # wrong keys and wrong use of the right one
    kid = key_id_of(K_ACME)
    b.bad("unknown key", "key", "no such key", seal(K_UNKNOWN, place(), value, nonce))
    b.bad("key id of another key", "integrity", "sealed under another key than the one named", base[:2] + key_id_of(K_OLD) + base[18:])
    b.bad("sealed under another key for this id", "integrity", "sealed under another key than the one named", seal(K_UNKNOWN, place(), value, nonce, kid=kid))
    b.bad("key of another tenant", "key", "the key was made for another context", seal(K_GLOBEX, place(), value, nonce))
    b.bad("key of another keyring", "key", "the key belongs to another keyring", seal(K_HIGH, place(), value, nonce))
    b.bad("default keyring's key at a field of keyring high", "key", "the key belongs to another keyring", base, place(keyring="high"))
    b.bad("key of purpose index", "key", "no value is sealed under an index key", seal(K_INDEX, place(), value, nonce))
    b.bad("destroyed key", "key", "the key was destroyed", seal(K_DESTROYED, place(), value, nonce))
    b.bad("destroyed key, with a copy in the value", "key", "the key was destroyed: the record wins over the copy", seal(K_DESTROYED, place(), value, nonce, copies_block(SEAL, 9, [own_copy(key=K_DESTROYED, epoch=9)])))
    b.bad("sealed directly under the data key", "integrity", "the seal key must be derived", seal(K_ACME, place(), value, nonce, key=K_ACME))
    b.bad("sealed under the index derivation", "integrity", "the label of the seal key is pii/v2/seal", seal(K_ACME, place(), value, nonce, key=expand(K_ACME, "pii/v2/index", 32)))
    swapped = xaes_seal(expand(K_ACME, "pii/v2/seal", 32), nonce[12:] + nonce[:12], value, associated_data(kid, place()))
    b.bad("halves of the nonce exchanged", "integrity", "the first half derives the key", base[:42] + swapped)
    plain_gcm = AESGCM(expand(K_ACME, "pii/v2/seal", 32)).encrypt(nonce[12:], value, associated_data(kid, place()))
    b.bad("AES-256-GCM without the XAES derivation", "integrity", "the derived key is missing", base[:42] + plain_gcm)

    def other_ad(name, reason, ad, where=None):
        b.bad("associated data: " + name, "integrity", reason, seal(K_ACME, place(), value, nonce, ad=ad), where)

    whole = associated_data(kid, place())
    other_ad("empty", "the place is not bound", b"")
    other_ad("label of the inner layer", "the label is pii/v2/value", associated_data(kid, place(), "pii/v2/inner"))
    other_ad("version 1", "it begins with 02", b"\x01" + whole[1:])
    other_ad("with the layout byte", "the layout byte is not in it", whole[:1] + b"\x01" + whole[1:])
    other_ad("another key id", "it has the key id of the value", associated_data(key_id_of(K_OLD), place()))
    other_ad("context not sorted", "context is sorted by key", associated_data(kid, place(), context=enc_context(ACME[::-1], sort=False)))
    other_ad("context of another tenant under this tenant's key", "the context is bound to the value too", associated_data(kid, place(context=GLOBEX)))
    b.bad("that value, read where its associated data points", "key", "the key was made for another context", seal(K_ACME, place(), value, nonce, ad=associated_data(kid, place(context=GLOBEX))), place(context=GLOBEX))
    other_ad("no context", "the context is bound", associated_data(kid, place(context=[])))
    other_ad("one byte after the row", "nothing follows the row", whole + b"\0")

    # place: model, path, level, type, row
    def moved(name, reason, sealed_at, read_at):
        body = seal(K_ACME, place(**sealed_at), value, nonce)
        opens(body, place(**sealed_at))
        b.bad("place: " + name, "integrity", reason, body, place(**read_at))

    moved("another model", "another model", {}, {"model": "order"})
    moved("model in capitals", "names are compared byte for byte", {}, {"model": "Customer"})
    moved("model and field shifted", "lengths are bound: ab/c is not a/bc", {"model": "ab", "path": F("c")}, {"model": "a", "path": F("bc")})
    moved("another field", "another field", {}, {"path": F("phone")})
    moved("field in other case", "names are compared byte for byte", {}, {"path": F("Email")})
    moved("field in NFC and NFD", "names are not normalised", {"path": F("pr\u00e9nom")}, {"path": F("pre\u0301nom")})
    moved("map key where a field is", "a field is not a map key", {"path": F("a", "b")}, {"path": F("a") + [["key", "b"]]})
    moved("field where a map key is", "a map key is not a field", {"path": F("a") + [["key", "b"]]}, {"path": F("a", "b")})
    moved("nested field read flat", "nested is not flat", {"path": F("address", "city")}, {"path": F("city")})
    moved("flat field read nested", "nested is not flat", {"path": F("city")}, {"path": F("address", "city")})
    moved("dotted name for a nested field", "nested is not flat", {"path": F("address", "city")}, {"path": F("address.city")})
    moved("outer and inner field exchanged", "another path", {"path": F("a", "b")}, {"path": F("b", "a")})
    moved("list element read as the field", "an element is not its field", {"path": F("phones") + [["element"]]}, {"path": F("phones")})
    moved("field read as a list element", "an element is not its field", {"path": F("phones")}, {"path": F("phones") + [["element"]]})
    moved("list element read as a map key", "an element is not a map key", {"path": F("phones") + [["element"]]}, {"path": F("phones") + [["key", ""]]})
    moved("another map key", "another map key", {"path": F("phones") + [["key", "home"]]}, {"path": F("phones") + [["key", "work"]]})
    moved("a path cut short", "another path", {"path": F("a", "b", "c")}, {"path": F("a", "b")})
    moved("two path names joined", "lengths are bound", {"path": F("a", "bc")}, {"path": F("ab", "c")})
    moved("bytes read as text", "another type", {"type": BYTES}, {"type": UTF8})
    moved("text read as JSON", "another type", {}, {"type": JSON})
    moved("JSON read as text", "another type", {"type": JSON}, {})
    moved("enum read as text", "another type", {"type": ENUM}, {})
    moved("text read as padded text", "another type", {}, {"type": UTF8 | PADDED})
    moved("padded text read as text", "another type", {"type": UTF8 | PADDED}, {})
    row7, text7 = [["int", "7"]], [["text", "7"]]
    moved("another row", "another row", {"row": row7}, {"row": [["int", "8"]]})
    moved("integer 7 read as text 7", "an integer is not a text", {"row": row7}, {"row": text7})
    moved("text 7 read as integer 7", "a text is not an integer", {"row": text7}, {"row": row7})
    moved("integer of the other sign", "another row", {"row": row7}, {"row": [["int", "-7"]]})
    moved("text id in other case", "ids are compared byte for byte", {"row": [["text", "ABC"]]}, {"row": [["text", "abc"]]})
    moved("text id as bytes", "a text is not bytes", {"row": text7}, {"row": [["bytes", "37"]]})
    moved("UUID as bytes", "a UUID is not bytes", {}, {"row": [["bytes", ROW[0][1]]]})
    moved("UUID as text", "a UUID is not its text", {}, {"row": [["text", "5f0f1d2a-b6c5-4b0f-9b7c-0c1d2e3f4a5b"]]})
    moved("UUID as integer", "a UUID is not an integer", {"row": [["uuid", "0" * 31 + "7"]]}, {"row": row7})
    moved("composite read as single", "another number of ids", {"row": [["text", "acme"], ["int", "7"]]}, {"row": row7})
    moved("single read as composite", "another number of ids", {"row": row7}, {"row": [["text", "acme"], ["int", "7"]]})
    moved("composite in another order", "the order of ids counts", {"row": [["text", "a"], ["text", "b"]]}, {"row": [["text", "b"], ["text", "a"]]})
    moved("composite with shifted boundary", "lengths are bound", {"row": [["text", "ab"], ["text", "c"]]}, {"row": [["text", "a"], ["text", "bc"]]})
    moved("unbound read as bound", "a reader never falls back to unbound", {"row": None}, {})
    moved("bound read as unbound", "a reader never falls back to unbound", {}, {"row": None})
    moved("empty text id read as unbound", "an empty id is an id", {"row": [["text", ""]]}, {"row": None})
    moved("integer 0 read as unbound", "0 is an id", {"row": [["int", "0"]]}, {"row": None})

    # place: context, with the key in the store and inline
    def context(name, reason, sealed, read, key, stage="key"):
        at, to = place(context=sealed), place(context=read)
        body = seal(key, at, value, nonce)
        inline = seal(K_INLINE, at, value, nonce, copies_block(SEAL, 0, [own_copy(context=sealed)]))
        opens(body, at), opens(inline, at)
        b.bad("context: " + name, stage, reason, body, to)
        b.bad("context: " + name + ", layout 2", stage, reason, inline, to)

    ab, abcd = [["a", "bc"]], [["a", "b"], ["c", "d"]]
    context("another value", "another tenant", ACME, GLOBEX, K_ACME)
    context("a pair missing", "the tenant is missing", ACME, ACME[:1], K_ACME)
    context("a pair more", "the value has no tenant", ACME[:1], ACME, K_ONE)
    context("none expected", "the value has a context", ACME, [], K_ACME)
    context("none in the value", "the value has no context", [], ACME, K_NONE)
    context("key and value exchanged", "keys and values are told apart", ACME, [["acme", "tenant"], ["billing", "app"]], K_ACME)
    context("values exchanged", "values belong to their keys", ACME, [["app", "acme"], ["tenant", "billing"]], K_ACME)
    context("value in other case", "values are compared byte for byte", ACME, [["app", "billing"], ["tenant", "Acme"]], K_ACME)
    context("a=bc is not ab=c", "lengths are bound", ab, [["ab", "c"]], K_SHIFT)
    context("a=b, c=d is not ab=cd", "lengths are bound", abcd, [["ab", "cd"]], K_ABCD)
    context("a=b, c=d is not a=bcd", "lengths are bound", abcd, [["a", "bcd"]], K_ABCD)
    context("a=d, c=b is not a=b, c=d", "values belong to their keys", abcd, [["a", "d"], ["c", "b"]], K_ABCD)
    inside = "b" + "\0\0\0\x01c\0\0\0\x01d"
    context("length bytes inside a value", "one pair is not two, whatever the bytes of its value", abcd, [["a", inside]], K_ABCD)

    def no_place(name, reason, **over):
        b.bad("invalid place: " + name, "place", reason, base, place(**over))

    no_place("empty context value", "context values are not empty", context=[["ab", ""], ["cd", ""]])
    no_place("empty context key", "context keys are not empty", context=[["", "x"]])
    no_place("context key twice", "context keys are unique", context=ACME + [["tenant", "globex"]])
    no_place("same context pair twice", "context keys are unique", context=ACME + ACME[1:])
    no_place("reserved context key", "keys that begin with pii: are reserved", context=ACME + [["pii:purpose", "seal"]])
    no_place("context key pii:", "keys that begin with pii: are reserved", context=ACME + [["pii:", "x"]])
    no_place("nine pairs of context", "at most 8 pairs", context=EIGHT + [["key-8", "value 8"]])
    no_place("context of 1025 bytes", "at most 1024 bytes", context=[["app", "x" * 500], ["tenant", "y" * 516]])
    no_place("context of 1025 bytes in fewer characters", "bytes are counted, not characters", context=[["a", "\u00e9" * 512]])
    no_place("level 0", "sealed levels are 2 and 3", level=0)
    no_place("level 1", "level 1 is stored plain", level=1)
    no_place("level 4", "sealed levels are 2 and 3", level=4)
    no_place("type 0", "unknown type", type=0)
    no_place("type 15", "unknown type", type=15)
    no_place("type 127", "unknown type", type=127)
    no_place("padded bool", "this type can't be padded", type=BOOL | PADDED)
    no_place("padded type 0", "unknown type", type=PADDED)
    no_place("no path", "a path has at least one element", path=[])
    no_place("path that begins with a map key", "a path begins with a field", path=[["key", "email"]])
    no_place("path that begins with a list element", "a path begins with a field", path=[["element"]])
    no_place("empty field name", "field names are not empty", path=F(""))
    no_place("empty model name", "model names are not empty", model="")
    no_place("row without ids", "a row is unbound or has 1 to 255 ids", row=[])
    no_place("row of 256 ids", "a row is unbound or has 1 to 255 ids", row=[["int", "1"]] * 256)
    no_place("integer id beyond 128 bits", "integers have 128 bits", row=[["int", str(1 << 127)]])
    no_place("integer id below 128 bits", "integers have 128 bits", row=[["int", str(-(1 << 127) - 1)]])

    # layout 2: the block of copies
    copy = own_copy()
    good = copies_block(SEAL, 0, [copy])
    inline = seal(K_INLINE, place(), value, nonce, good)

    def block(name, stage, reason, data, **more):
        b.bad("copies: " + name, stage, reason, seal(K_INLINE, place(), value, nonce, data), **more)

    n = len(good) - 2
    for name, at in (("layout byte only", 2), ("key id", 18), ("first byte of the length", 19), ("length", 20), ("purpose", 21), ("epoch", 25), ("count", 26), ("provider", 27), ("length of the name", 29), ("name", 61), ("length of the blob", 63), ("block", 20 + n), ("nonce", 20 + n + 24), ("57 + block bytes", 20 + n + 39)):
        b.bad(f"copies: truncated after {name}", "format", "too short", inline[:at])
    b.bad("copies: truncated by one byte", "integrity", "the last byte is missing", inline[:-1])
    b.bad("copies: layout 2 marked as layout 1", "key", "the key is not in the store", inline[:1] + b"\x01" + inline[2:])
    stored = seal(K_ACME, place(), value, nonce, copies_block(SEAL, 1, [own_copy(key=K_ACME, epoch=1)]))
    b.bad("copies: layout 2 marked as layout 1, key in the store", "integrity", "the block is read as nonce and ciphertext", stored[:1] + b"\x01" + stored[2:])
    b.bad("copies: bit flipped in the key id", "key", "the copy holds another key than the one named", flip(inline, 10))
    b.bad("copies: bit flipped in the nonce", "integrity", "the tag does not verify", flip(inline, 20 + n))
    b.bad("copies: bit flipped in the tag", "integrity", "the tag does not verify", flip(inline, -1))
    block("length 0", "format", "the block is empty", b"\0\0" + good[2:])
    block("length one less", "format", "the last copy does not fit", u16(n - 1) + good[2:])
    block("length one more", "format", "a byte after the last copy", u16(n + 1) + good[2:])
    block("length 65535", "format", "the block is longer than the value", b"\xff\xff" + good[2:])
    block("a byte after the last copy", "format", "the block must be consumed exactly", copies_block(SEAL, 0, [copy], trailing=b"\0"))
    block("a whole copy after the last", "format", "the block must be consumed exactly", copies_block(SEAL, 0, [copy, copy], count=1))
    block("count 0", "format", "1 to 8 copies", copies_block(SEAL, 0, [copy], count=0))
    block("count 0 and no copy", "format", "1 to 8 copies", copies_block(SEAL, 0, []))
    block("count one too many", "format", "the second copy is missing", copies_block(SEAL, 0, [copy], count=2))
    block("nine copies", "format", "1 to 8 copies", copies_block(SEAL, 0, [foreign(KMS, ARN, 20)] * 8 + [copy]))
    block("count 255", "format", "1 to 8 copies", copies_block(SEAL, 0, [copy], count=255))
    for purpose in (0, 5, 255):
        block(f"purpose {purpose}", "format", "unknown purpose", copies_block(purpose, 0, [own_copy(purpose=purpose)]))
    block("purpose index", "key", "no value is sealed under an index key", copies_block(INDEX, 0, [own_copy(purpose=INDEX)]))
    block("purpose changed from seal to drop", "key", "the copy was made for another purpose", copies_block(DROP, 0, [copy]))
    block("purpose changed from index to seal", "key", "the copy was made for another purpose", copies_block(SEAL, 0, [own_copy(purpose=INDEX)]))
    block("epoch changed", "key", "the copy was made for another epoch", copies_block(SEAL, 1, [copy]))
    block("highest bit of the epoch changed", "key", "the copy was made for another epoch", copies_block(SEAL, 1 << 31, [copy]))
    block("copy made for another context", "key", "the copy was made for another context", copies_block(SEAL, 0, [own_copy(context=GLOBEX)]))
    block("copy made for no context", "key", "the copy was made for another context", copies_block(SEAL, 0, [own_copy(context=[])]))
    block("copy of another data key", "key", "the key id commits to the key", copies_block(SEAL, 0, [own_copy(key=K_UNKNOWN)]))
    b.bad("copies: copy and key id of another data key", "integrity", "sealed under another key", seal(K_INLINE, place(), value, nonce, copies_block(SEAL, 0, [own_copy(key=K_UNKNOWN)]), kid=key_id_of(K_UNKNOWN)))
    block("provider 0", "format", "there is no provider 0", copies_block(SEAL, 0, [(0,) + copy[1:]]))
    block("provider changed to KMS", "key", "no copy for this reader", copies_block(SEAL, 0, [(KMS,) + copy[1:]]))
    block("provider changed to hierarchical", "key", "no copy for this reader", copies_block(SEAL, 0, [(HIERARCHICAL,) + copy[1:]]))
    block("provider changed to test", "key", "only a test keyring opens test copies", copies_block(SEAL, 0, [(TEST,) + copy[1:]]))
    block("unknown provider only", "key", "no copy for this reader", copies_block(SEAL, 0, [(9,) + copy[1:]]))
    block("copies for other readers only", "key", "no copy for this reader", copies_block(SEAL, 0, [foreign(KMS, ARN), foreign(HPKE, "ops")]))
    block("key-encryption key not in the key file", "key", "no copy for this reader", copies_block(SEAL, 0, [own_copy(KEK_FOREIGN)]))
    block("name of another key of the key file", "key", "wrapped under another key than the one named", copies_block(SEAL, 0, [(LOCAL, kid_hex(KEK_2), copy[2])]))
    block("wrapped under another key for this name", "key", "wrapped under another key than the one named", copies_block(SEAL, 0, [(LOCAL, kid_hex(KEK), own_copy(KEK_2)[2])]))
    block("bit flipped in the name", "key", "no copy for this reader", copies_block(SEAL, 0, [(LOCAL, flip(copy[1].encode(), 5), copy[2])]))
    block("name in capitals", "key", "key names are lower-case", copies_block(SEAL, 0, [(LOCAL, copy[1].upper(), copy[2])]))
    block("name with a space", "key", "key names are compared byte for byte", copies_block(SEAL, 0, [(LOCAL, copy[1] + " ", copy[2])]))
    block("name in raw bytes", "format", "key names are UTF-8", copies_block(SEAL, 0, [(LOCAL, b"\xff" + key_id_of(KEK)[1:], copy[2])]))
    block("foreign name that is not UTF-8", "format", "key names are UTF-8, of every copy", copies_block(SEAL, 0, [(KMS, b"\xc0\x80", b"x"), copy]))
    block("empty name", "format", "key names are not empty", copies_block(SEAL, 0, [(KMS, "", b"x"), copy]))
    block("empty blob", "format", "blobs are not empty", copies_block(SEAL, 0, [(KMS, ARN, b""), copy]))
    for name, at in (("nonce", 0), ("ciphertext", 24), ("tag", 71)):
        block(f"bit flipped in the blob's {name}", "key", "no copy opens", copies_block(SEAL, 0, [(LOCAL, copy[1], flip(copy[2], at))]))
    block("blob of 71 bytes", "key", "a local blob has 72 bytes", copies_block(SEAL, 0, [(LOCAL, copy[1], copy[2][:-1])]))
    block("blob of 73 bytes", "key", "a local blob has 72 bytes", copies_block(SEAL, 0, [(LOCAL, copy[1], copy[2] + b"\0")]))
    block("data key of 31 bytes", "key", "a local blob has 72 bytes", copies_block(SEAL, 0, [own_copy(key=K_INLINE[:31])]))
    block("wrapped with another label", "key", "the label is pii/v2/local-wrap", copies_block(SEAL, 0, [own_copy(label="pii/v2/subject-wrap")]))
    block("wrapped with another key's id in the associated data", "key", "it has the wrapping key's id", copies_block(SEAL, 0, [own_copy(ad_kek_id=key_id_of(KEK_2))]))
    direct_nonce = det("wrap nonce/direct", 24)
    direct_ad = b"\x02" + lp("pii/v2/local-wrap") + key_id_of(KEK) + u8(SEAL) + u32(0) + enc_context(ACME)
    block("wrapped directly under the key-encryption key", "key", "the wrapping key must be derived", copies_block(SEAL, 0, [(LOCAL, kid_hex(KEK), direct_nonce + xaes_seal(KEK, direct_nonce, K_INLINE, direct_ad))]))
    block("two lengths of a copy exchanged", "format", "the copy does not fit", u16(n) + good[2:8] + b"\x02" + u16(72) + copy[1].encode() + u16(32) + copy[2])
    test = own_copy(TEST_KEK, provider=TEST)
    block("test keyring's value, other keyring", "key", "only a test keyring opens test copies", copies_block(SEAL, 0, [test]))
    block("test copy beside a local one, other keyring", "key", "a key with a test copy is known to everybody", copies_block(SEAL, 0, [copy, test]))
    block("local copy, test keyring", "key", "no copy for this reader", good, requires="test-keyring")
    block("test key in a local copy, test keyring", "key", "a test keyring opens test copies only", copies_block(SEAL, 0, [own_copy(TEST_KEK)]), requires="test-keyring")
    block("test copy made for another context, test keyring", "key", "the copy was made for another context", copies_block(SEAL, 0, [own_copy(TEST_KEK, provider=TEST, context=GLOBEX)]), requires="test-keyring")

    # level 3
    at3 = place(level=3)
    sealed3 = seal(K_ACME, at3, inner_seal(SECRET, at3, value, det("inner nonce/negative", 24)), nonce)
    b.bad("level 2 where level 3 is declared", "integrity", "another level", base, at3)
    b.bad("level 3 where level 2 is declared", "integrity", "another level", sealed3)

    def level3(name, stage, reason, inner):
        b.bad("level 3: " + name, stage, reason, seal(K_ACME, at3, inner, nonce), at3)

    inner_nonce = det("inner nonce/negative", 24)
    inner = inner_seal(SECRET, at3, value, inner_nonce)
    b.bad("level 3: another row", "integrity", "another row", sealed3, place(level=3, row=[["int", "7"]]))
    b.bad("level 3: another type", "integrity", "another type", sealed3, place(level=3, type=JSON))
    b.bad("level 3: bit flipped in the tag", "integrity", "the tag does not verify", flip(sealed3, -1))
    level3("only the outer envelope, short", "format", "no inner envelope", value)
    level3("only the outer envelope, long", "format", "no inner envelope", b"x" * 100)
    level3("nothing inside", "format", "no inner envelope", b"")
    level3("inner version 0", "format", "the inner version byte is 01", b"\0" + inner[1:])
    level3("inner version 2", "format", "the inner version byte is 01", b"\x02" + inner[1:])
    level3("inner envelope of 56 bytes", "format", "an inner envelope has at least 57 bytes", inner[:56])
    level3("inner tag flipped", "integrity", "the inner tag does not verify", flip(inner, -1))
    level3("inner nonce flipped", "integrity", "the inner tag does not verify", flip(inner, 20))
    level3("inner envelope cut by one byte", "integrity", "the inner tag does not verify", inner[:-1])
    level3("inner key id flipped", "key", "unknown application key", flip(inner, 1))
    level3("unknown application key", "key", "unknown application key", inner_seal(SECRET_UNKNOWN, at3, value, inner_nonce))
    level3("inner envelope under another application key", "integrity", "the inner tag does not verify", inner_seal(SECRET, at3, value, inner_nonce, key=app_keys(EXAMPLE_SECRET)[2]))
    level3("inner envelope under the application key itself", "integrity", "the inner key must be derived", inner_seal(SECRET, at3, value, inner_nonce, key=app_keys(SECRET)[0]))
    level3("inner envelope with the outer label", "integrity", "the inner label is pii/v2/inner", inner_seal(SECRET, at3, value, inner_nonce, label="pii/v2/value"))
    level3("inner envelope of another row", "integrity", "another row", inner_seal(SECRET, place(level=3, row=[["int", "7"]]), value, inner_nonce))
    level3("inner envelope of another tenant", "integrity", "another context", inner_seal(SECRET, place(level=3, context=GLOBEX), value, inner_nonce))
    level3("inner envelope of level 2", "integrity", "another level", inner_seal(SECRET, place(), value, inner_nonce))
    level3("inner envelope of another type", "integrity", "another type", inner_seal(SECRET, place(level=3, type=JSON), value, inner_nonce))
    level3("invalid UTF-8 inside", "type", "not UTF-8", inner_seal(SECRET, at3, b"\xff", inner_nonce))

    # values that do not fit their type
    def typed(name, code, reason, *values):
        for i, v in enumerate(values, 1):
            where = place(type=code)
            v = v.encode() if isinstance(v, str) else v
            b.bad(f"type: {name}" + (f" {i}" if len(values) > 1 else ""), "type", reason, seal(K_ACME, where, v, nonce), where)

    typed("text that is not UTF-8", UTF8, "not UTF-8", b"\xff", b"ab\x80", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80")
    typed("bool 02", BOOL, "00 or 01", b"\x02")
    typed("bool ff", BOOL, "00 or 01", b"\xff")
    typed("bool of the wrong length", BOOL, "one byte", b"", b"\x00\x01")
    typed("integer of the wrong length", INT, "16 bytes", bytes(8), bytes(15), bytes(17))
    typed("date of the wrong length", DATE, "4 bytes", bytes(3), bytes(8))
    typed("JSON: empty", JSON, "one JSON value", "")
    typed("JSON: space only", JSON, "one JSON value", "  ")
    typed("JSON: two values", JSON, "one JSON value", "1 2")
    typed("JSON: text after the value", JSON, "one JSON value", '{"a":1}x')
    typed("JSON: cut", JSON, "not JSON", '{"a":')
    typed("JSON: trailing comma", JSON, "not JSON", "[1,]")
    typed("JSON: NaN", JSON, "not in RFC 8259", "NaN")
    typed("JSON: Infinity", JSON, "not in RFC 8259", "[-Infinity]")
    typed("JSON: single quotes", JSON, "not JSON", "'a'")
    typed("JSON: leading zero", JSON, "not JSON", "01")
    typed("JSON: comment", JSON, "not JSON", "1 // one")
    typed("JSON: line end in a string", JSON, "control characters are escaped", '"a\nb"')
    typed("JSON: byte order mark", JSON, "no byte order mark", "\ufeff1")
    typed("JSON: not UTF-8", JSON, "not UTF-8", b'"\xff"')
    typed("float of the wrong length", FLOAT, "8 bytes", bytes(4), bytes(9))
    typed("NaN that is not canonical", FLOAT, "the NaN is 7ff8000000000000", *map(bytes.fromhex, ("7ff8000000000001", "fff8000000000000", "7ff0000000000001")))
    typed("UUID of the wrong length", UUID, "16 bytes", bytes(15), b"5f0f1d2a-b6c5-4b0f-9b7c-0c1d2e3f4a5b")
    typed("time of day of 24 hours", TIME, "less than 86,400,000,000,000", struct.pack(">Q", 86_400_000_000_000))
    typed("time of day with all bits set", TIME, "less than 86,400,000,000,000", b"\xff" * 8)
    typed("time of day of the wrong length", TIME, "8 bytes", bytes(4))
    typed("instant with a whole second of nanoseconds", INSTANT, "less than 1,000,000,000", struct.pack(">qI", 0, 1_000_000_000))
    typed("instant of the wrong length", INSTANT, "12 bytes", bytes(8), bytes(13))
    typed("local date-time of 24 hours", LOCAL_TIME, "less than 86,400,000,000,000", struct.pack(">iQ", 0, 86_400_000_000_000))
    typed("local date-time of the wrong length", LOCAL_TIME, "12 bytes", bytes(16))
    typed("decimal of the wrong length", DECIMAL, "20 bytes", bytes(16), bytes(21))
    typed("enum with an empty name", ENUM, "a variant has a name", "")
    typed("enum that is not UTF-8", ENUM, "not UTF-8", b"\xff")
    typed("zoned instant of the wrong length", ZONED, "16 bytes", bytes(12))
    typed("zoned instant with a whole second of nanoseconds", ZONED, "less than 1,000,000,000", struct.pack(">qIi", 0, 1_000_000_000, 0))
    typed("zoned instant with an offset of a day", ZONED, "less than 86,400", *(struct.pack(">qIi", 0, 0, n) for n in (86400, -86400, -(1 << 31))))
    typed("padding: nothing", UTF8 | PADDED, "4 bytes of length", b"")
    typed("padding: 3 bytes", UTF8 | PADDED, "4 bytes of length", bytes(3))
    typed("padding: length beyond the end", UTF8 | PADDED, "the length fits", u32(5) + b"abcd", u32(0xFFFFFFFF) + b"abcd")
    typed("padding: not zero", UTF8 | PADDED, "the rest is zero", u32(3) + b"abc" + bytes(8) + b"\x01", u32(3) + b"abc\x01" + bytes(8))
    typed("padding: little-endian length", UTF8 | PADDED, "the length is big-endian", struct.pack("<I", 3) + b"abc" + bytes(25))
    typed("padding: text that is not UTF-8", UTF8 | PADDED, "not UTF-8", u32(1) + b"\xff" + bytes(11))
    typed("padding: not JSON", JSON | PADDED, "one JSON value", u32(0) + bytes(12))


def additions(b: Book):
    """Vectors that came after those above. They stand at the end, so that nothing before them changes."""
    value = EXAMPLE_TEXT.encode()
    nonce = det("nonce/additions", 24)

    # places that must not be. Key, copies and associated data fit them: only the rule for places refuses the value
    def sealed_there(name, reason, plain=value, encoded_as=None, **over):
        where = place(**over)
        encoded = place(**(over if encoded_as is None else encoded_as))
        if "context" in over:
            copy = own_copy(context=encoded["context"], nonce="sealed there")
            body = seal(K_INLINE, encoded, plain, nonce, copies_block(SEAL, 0, [copy]))
        else:
            body = seal(K_ACME, encoded, plain, nonce)
        Reader(KEYS).open(to_text(body), encoded, any_place=True)
        b.bad("sealed at an invalid place: " + name, "place", reason, body, where)

    sealed_there("row without ids, encoded as unbound", "a row is unbound or has 1 to 255 ids", row=[])
    top = 1 << 127
    sealed_there("integer id beyond 128 bits, cut to its low bits", "integers have 128 bits", row=[["int", str(top)]], encoded_as={"row": [["int", str(-top)]]})
    sealed_there("integer id below 128 bits, cut to its low bits", "integers have 128 bits", row=[["int", str(-top - 1)]], encoded_as={"row": [["int", str(top - 1)]]})
    sealed_there("UUID of 15 bytes", "a UUID has 16 bytes", row=[["uuid", ROW[0][1][:30]]])
    sealed_there("UUID of 17 bytes", "a UUID has 16 bytes", row=[["uuid", ROW[0][1] + "00"]])
    many = [["int", "1"]] * 256
    wrapped = associated_data(key_id_of(K_ACME), place(row=None)) + enc_row(many[:255])[1:] + enc_row(many[255:])[1:]
    b.bad("sealed at an invalid place: row of 256 ids, their number cut to 00", "place", "a row is unbound or has 1 to 255 ids", seal(K_ACME, place(), value, nonce, ad=wrapped), place(row=many))
    fixed = (("bool", BOOL, 1), ("integer", INT, 16), ("date", DATE, 4), ("float", FLOAT, 8), ("UUID", UUID, 16), ("time of day", TIME, 8))
    fixed += (("instant", INSTANT, 12), ("local date-time", LOCAL_TIME, 12), ("decimal", DECIMAL, 20), ("zoned instant", ZONED, 16))
    for name, code, size in fixed:
        sealed_there(f"padded {name}", "this type can't be padded", pad(bytes(size), 32), type=code | PADDED)
    for code in (0, 15, 16, 127):
        sealed_there(f"type {code}", "unknown type", type=code)
    for code in (0, 15, 127):
        sealed_there(f"padded type {code}", "unknown type", pad(value, 32), type=code | PADDED)
    for level in (0, 1, 4, 255):
        sealed_there(f"level {level}", "level 1 is stored plain" if level == 1 else "sealed levels are 2 and 3", level=level)
    sealed_there("no path", "a path has at least one element", path=[])
    sealed_there("path that begins with a map key", "a path begins with a field", path=[["key", "email"]])
    sealed_there("path that begins with a map key, then a field", "a path begins with a field", path=[["key", "email"]] + F("a"))
    sealed_there("path that begins with a list element", "a path begins with a field", path=[["element"]])
    sealed_there("empty field name", "field names are not empty", path=F(""))
    sealed_there("empty name of an inner field", "field names are not empty", path=F("a", ""))
    sealed_there("empty model name", "model names are not empty", model="")

    def context_there(name, reason, context, encoded_as=None):
        sealed_there("context, " + name, reason, context=context, encoded_as=None if encoded_as is None else {"context": encoded_as})

    context_there("nine pairs", "at most 8 pairs", EIGHT + [["key-8", "value 8"]])
    context_there("1025 bytes", "at most 1024 bytes", [["app", "x" * 500], ["tenant", "y" * 516]])
    context_there("1025 bytes in fewer characters", "bytes are counted, not characters", [["a", "\u00e9" * 512]])
    context_there("a reserved key", "keys that begin with pii: are reserved", ACME + [["pii:purpose", "seal"]])
    context_there("key pii:", "keys that begin with pii: are reserved", ACME + [["pii:", "x"]])
    context_there("a key twice", "context keys are unique", ACME + [["tenant", "globex"]])
    context_there("a key twice, of which the last was taken", "context keys are unique", ACME + [["tenant", "globex"]], GLOBEX)
    context_there("a key twice, of which the first was taken", "context keys are unique", ACME + [["tenant", "globex"]], ACME)
    context_there("the same pair twice", "context keys are unique", ACME + ACME[1:])
    context_there("the same pair twice, taken once", "context keys are unique", ACME + ACME[1:], ACME)
    context_there("an empty value", "context values are not empty", [["app", "billing"], ["tenant", ""]])
    context_there("an empty value, left out", "context values are not empty", ACME + [["user", ""]], ACME)
    context_there("an empty key", "context keys are not empty", ACME + [["", "x"]])
    context_there("an empty key, left out", "context keys are not empty", ACME + [["", "x"]], ACME)

    # data keys of other lengths, named by the id that is computed from them
    for n in (31, 33):
        key = det("data key/of another length", n)
        block = copies_block(SEAL, 0, [own_copy(key=key, nonce="of another length")])
        b.bad(f"copies: data key of {n} bytes, and its own key id", "key", "a data key has 32 bytes", seal(key, place(), value, nonce, block))

    # JSON nested as deep as every reader must go
    at_json = place(path=F("address"), type=JSON)
    b.good("JSON of 100 nested arrays", "[" * 100 + "]" * 100, where=at_json)
    b.good("JSON of 100 nested objects", '{"a":' * 99 + "{}" + "}" * 99, where=at_json)

    # layout 2 and the key store: of a record that is not destroyed nothing counts, of one that is nothing else
    def inline(name, key, where=None, **more):
        copies = [own_copy(key=key, nonce=name, **more)]
        b.good("layout 2, " + name, EXAMPLE_TEXT, key, where, copies=copies, **more)

    inline("a field of the keyring high", K_INLINE, place(keyring="high"))
    inline("a record of this key for another keyring", K_HIGH)
    inline("a record of this key for another context", K_GLOBEX)
    inline("a record of this key with another purpose", K_INDEX)
    inline("a record of this key, decrypt-only and of another epoch", K_OLD, epoch=7)
    test_copy = own_copy(TEST_KEK, K_ACME, provider=TEST, nonce="test copy, known key")
    b.good("test keyring, a record of this key", EXAMPLE_TEXT, K_ACME, copies=[test_copy], requires="test-keyring")

    def stored(name, reason, key, where=None, requires=None, **copy):
        epoch = copy.get("epoch", 0)
        block = copies_block(copy.get("purpose", SEAL), epoch, [own_copy(key=key, nonce=name, **copy)])
        b.bad("copies: " + name, "key", reason, seal(key, place() if where is None else where, value, nonce, block), where, requires)

    stored("destroyed key at a field of another keyring", "the record is found by the key id alone", K_DESTROYED, place(keyring="high"), epoch=9)
    stored("destroyed key in another context", "the record is found by the key id alone", K_DESTROYED, place(context=GLOBEX), epoch=9, context=GLOBEX)
    stored("destroyed key of another purpose and epoch", "the record is found by the key id alone", K_DESTROYED, purpose=DROP)
    stored("destroyed key, test keyring", "the test keyring's reader has the same store", K_DESTROYED, requires="test-keyring", kek=TEST_KEK, provider=TEST)
    stored("purpose index, and a record of purpose seal", "the purpose is that of the block", K_ACME, purpose=INDEX)
    stored("copy for another reader, and a record of this key", "a reader never falls back to the store", K_ACME, kek=KEK_FOREIGN)
    stored("test copy, and a record of this key", "a reader never falls back to the store", K_ACME, kek=TEST_KEK, provider=TEST)

    # header bytes of a value whose block of copies is good
    body = seal(K_INLINE, place(), value, nonce, copies_block(SEAL, 0, [own_copy(nonce="header bytes")]))
    opens(body, place())
    for version in (1, 3):
        b.bad(f"copies: version byte {version}", "format", "the version byte must be 02", u8(version) + body[1:])
    for layout in (0, 3, 255):
        b.bad(f"copies: layout byte {layout}", "format", "unknown layout", body[:1] + u8(layout) + body[2:])

    # instants whose seconds end in other bytes than 00
    for name, seconds, nanos in (("before 1970", -1, 999_999_999), ("before 2026", 1767225599, 0)):
        b.good(f"instant just {name}", struct.pack(">qI", seconds, nanos), where=place(path=F("value"), type=INSTANT))

    hierarchical(b)
    public_keys(b)


def public_keys(b: Book):
    """Provider 4: copies sealed to public keys. The reader of `public-keyring` demands senders that it knows."""
    auth, base = "public-keyring", "public-keyring-base"

    def good(name, copies, key=K_INLINE, requires=auth, **more):
        return b.good("public key, " + name, EXAMPLE_TEXT, key, copies=copies, purpose=DROP, requires=requires, **more)

    def bad(name, reason, copies, where=None, purpose=DROP, epoch=0, requires=auth, stage="key"):
        body = seal(K_INLINE, place() if where is None else where, EXAMPLE_TEXT.encode(), det("nonce/public/" + name, 24), copies_block(purpose, epoch, copies))
        b.bad("public key: " + name, stage, reason, body, where, requires)

    def changed(copy, blob=None, name=None):
        return (HPKE, copy[1] if name is None else name, copy[2] if blob is None else blob)

    copy, anyone, stranger = public_copy(), public_copy(sender=None), public_copy(sender=SENDER_FOREIGN)
    for_2 = public_copy(READER_2, SENDER_2)
    good("mode Auth", [copy])
    good("mode Base", [anyone], requires=base)
    good("the reader's second key, the second sender", [for_2])
    good("a copy for another reader is passed over", [public_copy(READER_FOREIGN), copy])
    good("copies for both keys of the reader", [copy, for_2])
    good("copies of other providers are passed over", [foreign(KMS, ARN), own_copy(purpose=DROP), branch_copy(purpose=DROP), copy])
    good("last epoch", [public_copy(epoch=0xFFFFFFFF)], epoch=0xFFFFFFFF)
    good("no context", [public_copy(context=[])], where=place(context=[]))
    good("eight pairs of context", [public_copy(context=EIGHT)], where=place(context=EIGHT))
    good("largest context", [public_copy(context=LARGEST)], where=place(context=LARGEST))
    good("a field of the keyring high", [copy], where=place(keyring="high"))
    good("a damaged copy is passed over", [changed(for_2, flip(for_2[2], -1)), copy])
    good("a copy of another data key is passed over", [public_copy(READER_2, key=K_UNKNOWN), copy])
    good("mode Base is passed over", [anyone, copy])
    good("an unlisted sender is passed over", [stranger, copy])
    good("mode Auth is passed over", [copy, anyone], requires=base)

    for name, at in (("mode", 0), ("sender", 1), ("point", 17), ("x", 18), ("y", 81), ("ciphertext", 82), ("tag", 129)):
        bad(f"mode Auth, a bit of the {name} changed", "everything is authenticated", [changed(copy, flip(copy[2], at))])
    for name, at in (("mode", 0), ("point", 1), ("x", 2), ("y", 65), ("ciphertext", 66), ("tag", 113)):
        bad(f"mode Base, a bit of the {name} changed", "everything is authenticated", [changed(anyone, flip(anyone[2], at))], requires=base)
    for requires, one in ((auth, copy), (base, anyone)):
        mode = "Auth" if requires == auth else "Base"
        bad(f"mode {mode}, blob cut short", "blobs have 114 or 130 bytes", [changed(one, one[2][:-1])], requires=requires)
        bad(f"mode {mode}, blob with a byte more", "blobs have 114 or 130 bytes", [changed(one, one[2] + b"\x00")], requires=requires)
        bad(f"mode {mode}, another context", "info binds the context", [one], place(context=GLOBEX), requires=requires)
        bad(f"mode {mode}, another epoch", "info binds the epoch", [one], epoch=1, requires=requires)
        bad(f"mode {mode}, another purpose", "info binds the purpose", [one], purpose=SEAL, requires=requires)
        bad(f"mode {mode}, name of the reader's other key", "the copy is tried with the key that it names", [changed(one, name=for_2[1])], requires=requires)
        bad(f"mode {mode}, key name in capitals", "names are compared byte for byte", [changed(one, name=one[1].upper())], requires=requires)
        bad(f"mode {mode}, beside a test copy", "one test copy marks the value", [one, own_copy(TEST_KEK, purpose=DROP, provider=TEST)], requires=requires)
    for purpose, name in ((SEAL, "seal"), (SUBJECT, "subject")):
        bad(f"purpose {name}", "public keys wrap data keys of purpose drop only", [public_copy(purpose=purpose)], purpose=purpose)
    bad("mode Base where senders are demanded", "anyone can make it", [anyone])
    bad("mode Auth where anyone is accepted", "the proof can't be checked", [copy], requires=base)
    bad("an unlisted sender", "the reader accepts others", [stranger])
    bad("an unlisted sender under a listed name", "the proof fails", [public_copy(sender=SENDER_FOREIGN, claim=SENDER)])
    bad("a listed sender under another's name", "the proof fails", [public_copy(claim=SENDER_2)])
    bad("mode Auth that calls itself Base", "the mode is authenticated", [changed(copy, b"\x00" + copy[2][17:])], requires=base)
    bad("mode Base that calls itself Auth", "the mode is authenticated", [changed(anyone, b"\x02" + public_id(point_of(SENDER)) + anyone[2][1:])])
    for mode in (1, 3, 4, 255):
        bad(f"mode {mode}", "unknown mode", [changed(anyone, u8(mode) + anyone[2][1:])], requires=base)
    wrong = hpke_info(point_of(READER), DROP, 0, ACME, "pii/v2/local-wrap")
    bad("label of another wrap in info", "labels have one use", [public_copy(info=wrong)])
    bad("another recipient in info", "info names the recipient", [public_copy(info=hpke_info(point_of(READER_2), DROP, 0, ACME))])
    bad("associated data that is not empty", "aad is empty", [public_copy(aad=wrong)])
    point = anyone[2][1:66]
    for name, other in (("at infinity", bytes(65)), ("off the curve", flip(point, 64)), ("hybrid", u8(6 + (point[64] & 1)) + point[1:])):
        bad(f"point {name}", "points are on the curve and uncompressed", [changed(anyone, b"\x00" + other + anyone[2][66:])], requires=base)
    compressed = u8(2 + (point[64] & 1)) + point[1:33]
    bad("point compressed", "points are uncompressed", [changed(anyone, b"\x00" + compressed + anyone[2][66:])], requires=base)
    bad("provider of another keyring", "no copy for this reader", [(HIERARCHICAL,) + copy[1:]])
    bad("a copy of another data key", "the key id in the header names another key", [public_copy(key=K_UNKNOWN)])
    bad("a copy for another reader", "no copy for this reader", [public_copy(READER_FOREIGN)])
    bad("a reader with a key file", "no copy for this reader", [copy], requires=None)
    bad("test keyring", "no copy for this reader", [copy], requires="test-keyring")


def hierarchical(b: Book):
    """Provider 3: copies wrapped under branch keys, which are records of purpose 5."""

    def good(name, copies, key=K_INLINE, **more):
        return b.good("branch key, " + name, EXAMPLE_TEXT, key, copies=copies, **more)

    def bad(name, reason, copies, where=None, purpose=SEAL, epoch=0, stage="key", requires=None, key=K_INLINE):
        body = seal(key, place() if where is None else where, EXAMPLE_TEXT.encode(), det("nonce/branch/" + name, 24), copies_block(purpose, epoch, copies))
        b.bad("branch key: " + name, stage, reason, body, where, requires)

    copy, old = branch_copy(), branch_copy(K_BRANCH_OLD)
    good("one copy", [copy])
    good("one that only opens", [old])
    good("two branch keys", [old, copy])
    good("no context", [branch_copy(context=[])], where=place(context=[]))
    good("eight pairs of context", [branch_copy(context=EIGHT)], where=place(context=EIGHT))
    good("purpose subject, epoch 7", [branch_copy(purpose=SUBJECT, epoch=7)], purpose=SUBJECT, epoch=7)
    good("purpose drop, last epoch", [branch_copy(purpose=DROP, epoch=0xFFFFFFFF)], purpose=DROP, epoch=0xFFFFFFFF)
    good("a field of the keyring high", [copy], where=place(keyring="high"))
    good("a damaged copy is passed over", [(HIERARCHICAL, old[1], flip(old[2], 30)), copy])
    good("a blob of the wrong length is passed over", [(HIERARCHICAL, old[1], old[2][:71]), copy])
    good("an unknown branch key is passed over", [branch_copy(K_UNKNOWN), copy])
    good("a copy of another data key is passed over", [branch_copy(K_BRANCH_OLD, key=K_UNKNOWN), copy])
    good("beside a copy under the key file", [branch_copy(K_UNKNOWN), own_copy()])

    for at in (0, 12, 24, 55, 56, 71):
        bad(f"byte {at} of the blob changed", "the wrap is authenticated", [(HIERARCHICAL, copy[1], flip(copy[2], at))])
    bad("blob cut short", "a blob has 72 bytes", [(HIERARCHICAL, copy[1], copy[2][:71])])
    bad("blob with a byte more", "a blob has 72 bytes", [(HIERARCHICAL, copy[1], copy[2] + b"\x00")])
    bad("another context", "the wrap binds the context", [copy], place(context=GLOBEX))
    bad("wrapped for purpose subject", "the wrap binds the purpose", [branch_copy(purpose=SUBJECT)])
    bad("wrapped for epoch 1", "the wrap binds the epoch", [branch_copy(epoch=1)])
    bad("wrapped with the label of a local wrap as associated data", "labels have one use", [branch_copy(label="pii/v2/local-wrap")])
    bad("wrapped with the key of a local wrap", "labels have one use", [branch_copy(key_label="pii/v2/local-wrap")])
    bad("a local wrap under the branch key", "labels have one use", [branch_copy(label="pii/v2/local-wrap", key_label="pii/v2/local-wrap")])
    bad("id of another branch key in the associated data", "the wrap binds the branch key", [branch_copy(ad_kek_id=key_id_of(K_BRANCH_OLD))])
    bad("key name of another branch key", "the copy is tried with the key that it names", [(HIERARCHICAL, old[1], copy[2])])
    bad("key name in capitals", "names are compared byte for byte", [(HIERARCHICAL, copy[1].upper(), copy[2])])
    bad("no record of the branch key", "unknown branch key", [branch_copy(K_UNKNOWN)])
    bad("destroyed", "a destroyed branch key opens nothing", [branch_copy(K_BRANCH_DESTROYED)])
    bad("of another keyring", "the record is for another keyring", [branch_copy(K_BRANCH_ELSEWHERE)])
    bad("of another context", "the record is for another context", [branch_copy(K_BRANCH_CONTEXT)])
    bad("a data key in its place", "a branch key has purpose 5", [branch_copy(K_NO_BRANCH)])
    bad("a key of the key file in its place", "a branch key has a record", [branch_copy(KEK)])
    bad("provider changed to the key file", "branch keys are not in the key file", [(LOCAL,) + copy[1:]])
    bad("a local copy with provider 3", "keys of the key file are not branch keys", [(HIERARCHICAL,) + own_copy()[1:]])
    bad("provider changed to the test keyring", "a test keyring's value", [(TEST,) + copy[1:]])
    bad("beside a test copy", "one test copy marks the value", [copy, own_copy(TEST_KEK, provider=TEST)])
    bad("test keyring", "the test keyring opens its own copies only", [copy], requires="test-keyring")
    bad("wrapping a branch key's purpose", "branch keys seal no values", [branch_copy(purpose=BRANCH)], purpose=BRANCH, stage="format")
    wrong = branch_copy(key=K_UNKNOWN)
    bad("a copy of another data key", "the key id in the header names another key", [wrong])
    where = place(keyring="branch", context=[])
    b.bad("a value under a branch key", "key", "branch keys seal no values", seal(K_BRANCH, where, EXAMPLE_TEXT.encode(), det("nonce/under a branch key", 24)), where)


# ---------------------------------------------------------------------------------------------------------------
# The worked examples of FORMAT.md


def normalized(steps) -> str:
    """The normalized path of RFC 9535, section 2.7."""
    short = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", "'": "\\'", "\\": "\\\\"}

    def one(step):
        if isinstance(step, int):
            return f"[{step}]"
        return "['" + "".join(short.get(c, c if c >= " " else f"\\u{ord(c):04x}") for c in step) + "']"

    return "$" + "".join(map(one, steps))


def documents(b: Book):
    """Values inside JSON documents, and whole documents: section 22."""
    row = [["text", "2026-17"]]

    def where(steps, **over):
        path = over.pop("path", [["field", "document"], ["key", normalized(steps)]])
        return place(**{"model": "invoice", "path": path, "type": JSON, "row": row, **over})

    def inside(steps, value):
        """A document with the value at the end of these steps, and something else beside it."""
        for step in reversed(steps):
            value = [None] * step + [value, "next"] if isinstance(step, int) else {step: value, "z": 1}
        return value

    def good(name, steps, value, rule=None, encoded=None, secret=None, **over):
        plain = json.dumps(value, ensure_ascii=False, separators=(",", ":")) if encoded is None else encoded
        body = b.good(name, plain, where=where(steps, **over), secret=secret)
        extra = {"rule": normalized(steps) if rule is None else rule, "sealed_document": inside(steps, to_text(body)), "opened_document": inside(steps, value)}
        b.vectors[-1].update(extra)
        return body

    email = ["customer", "email"]
    body = good("text", email, "ada@example.com", "$.customer.email")
    good("text that looks sealed and is not", email, "ENC: no", "$.customer.email")
    good("null", ["note"], None)
    good("truth value", ["flags", 2], True, "$.flags[2]")
    first = good("number in an element", ["cards", 0, "number"], 4111)
    good("number in another element", ["cards", 1, "number"], 4111)
    good("largest integer of 64 bits", ["n"], 2**64 - 1)
    good("smallest integer of 64 bits", ["n"], -(2**63))
    good("float", ["n"], 0.1)
    good("object", ["customer"], {"name": "Ada", "phones": ["555-0100", None]})
    good("array with an empty object", ["list"], [{}, [], ""])
    good("space around the value", ["n"], [1], encoded=" [1] ")
    good("name with a quote and a backslash", ["O'Brien\\"], 1)
    good("name with a double quote, a slash and a bracket", ['a"/]['], 1)
    good("name with control characters", ["\b\t\n\f\r\x00\x0b\x1f\x7f"], 1)
    good("name with Unicode", ["\u00e9\u2028\U0001f511"], 1)
    good("empty name", [""], 1)
    good("whole document", [], {"a": 1}, "$")
    good("whole document that is a string", [], "x", "$")
    good("id that is an integer", email, "x", row=[["int", "7"]])
    good("no id", email, "x", row=None)
    good("level 3", email, "x", level=3, secret=SECRET)

    moved = "the value was sealed for another place"
    for name, steps, over in (
        ("another member", ["customer", "phone"], {}),
        ("the whole document", [], {}),
        ("another document", email, {"row": [["text", "2026-18"]]}),
        ("no document", email, {"row": None}),
        ("another kind of documents", email, {"model": "offer"}),
        ("type text", email, {"type": UTF8}),
        ("level 3", email, {"level": 3}),
        ("a field of a model", email, {"path": F("document")}),
        ("nested fields of the same names", email, {"path": F("document", "customer", "email")}),
        ("the path as it was written", email, {"path": [["field", "document"], ["key", "$.customer.email"]]}),
        ("the path with double quotes", email, {"path": [["field", "document"], ["key", '$["customer"]["email"]']]}),
    ):
        b.bad("moved to " + name, "integrity", moved, body, where(steps, **over))
    b.bad("moved to another element", "integrity", moved, first, where(["cards", 1, "number"]))
    b.bad("moved to an unknown element", "integrity", moved, first, where([], path=[["field", "document"], ["key", "$['cards'][*]['number']"]]))
    for name, plain in (("text after the value", "1 2"), ("no value", ""), ("not JSON", "ada@example.com")):
        at = where(["n"])
        body = seal(K_ACME, at, plain.encode(), det("nonce/" + name, 24))
        opens(body, at)
        b.bad("sealed: " + name, "type", "one JSON value is sealed", body, at)


def example_copy():
    nonce = bytes(range(0x60, 0x78))
    return (LOCAL, kid_hex(EXAMPLE_KEK), local_wrap(EXAMPLE_KEK, EXAMPLE_KEY, SEAL, 0, ACME, nonce))


def example_level_3(b: Book):
    name = "worked example of FORMAT.md, level 3"
    where = place(level=3)
    inner_nonce = bytes(range(0x80, 0x98))
    inner = inner_seal(EXAMPLE_SECRET, where, EXAMPLE_TEXT.encode(), inner_nonce)
    extra = {"plaintext": EXAMPLE_TEXT.encode().hex(), "nonce": EXAMPLE_NONCE_3.hex(), "key_id": key_id_of(EXAMPLE_KEY).hex(), "layout": 1}
    extra.update({"level3": True, "app_key_id": app_keys(EXAMPLE_SECRET)[1].hex(), "inner_nonce": inner_nonce.hex()})
    b.push(name, True, "", to_text(seal(EXAMPLE_KEY, where, inner, EXAMPLE_NONCE_3)), where, **extra)


def fence(lines):
    return "```text\n" + "\n".join(lines) + "\n```\n"


def hexed(name, data, width=24):
    """A name and hex bytes, 32 bytes to a line."""
    h = data.hex()
    rows = [h[i : i + 64] for i in range(0, len(h), 64)] or ["(empty)"]
    return [f"{name:<{width}}{rows[0]}"] + [" " * width + r for r in rows[1:]]


def wrapped_text(name, text, width=24):
    rows = [text[i : i + 64] for i in range(0, len(text), 64)]
    return [f"{name:<{width}}{rows[0]}"] + [" " * width + r for r in rows[1:]]


def parts(items, width=44):
    """Hex of each part beside what it is."""
    out = []
    for data, what in items:
        h = data.hex()
        rows = [h[i : i + width - 4] for i in range(0, len(h), width - 4)]
        out.append(f"{rows[0]:<{width}}{what}")
        out += rows[1:]
    return out


def ad_parts(kid, what, place, label):
    return [
        (b"\x02", "02"),
        (kid, what),
        (u8(place["level"]), f"level {place['level']}"),
        (u8(place["type"]), f"type {place['type']}, text"),
        (lp(label), f'lp("{label}")'),
        (lp(place["model"]), f'lp("{place["model"]}")'),
        (u16(1), "path: 1 element"),
        (b"\x01" + lp("email"), '01 lp("email")'),
        (u16(2), "context: 2 pairs"),
        (lp("app") + lp("billing"), 'lp("app") lp("billing")'),
        (lp("tenant") + lp("acme"), 'lp("tenant") lp("acme")'),
        (b"\x01", "row: 1 id"),
        (b"\x04" + bytes.fromhex(ROW[0][1]), "04 uuid"),
    ]


def examples() -> str:
    kid, seal_key = key_id_of(EXAMPLE_KEY), expand(EXAMPLE_KEY, "pii/v2/seal", 32)
    ad = associated_data(kid, EXAMPLE_PLACE)
    l, k1, m1, m2, derived, derived_nonce = xaes_subkey(seal_key, EXAMPLE_NONCE)
    body = seal(EXAMPLE_KEY, EXAMPLE_PLACE, EXAMPLE_TEXT.encode(), EXAMPLE_NONCE)
    sealed = body[42:]
    split = ad_parts(kid, "key id", EXAMPLE_PLACE, "pii/v2/value")
    assert b"".join(p for p, _ in split) == ad and len(ad) == 115
    out = ["### Layout 1\n"]
    out.append(
        "Model `customer`, field `email`, level 2, type 1; context app=billing, tenant=acme; row id the UUID\n"
        "`5f0f1d2a-b6c5-4b0f-9b7c-0c1d2e3f4a5b`; plaintext `ada@example.com`.\n"
    )
    out.append(
        fence(
            hexed("data key", EXAMPLE_KEY)
            + hexed("key id", kid)
            + hexed("seal key", seal_key)
            + hexed("nonce", EXAMPLE_NONCE)
            + hexed("XAES L", l)
            + hexed("XAES K1", k1)
            + hexed("XAES M1", m1)
            + hexed("XAES M2", m2)
            + hexed("XAES derived key", derived)
            + hexed("XAES derived nonce", derived_nonce)
            + hexed("plaintext", EXAMPLE_TEXT.encode())
            + hexed("ciphertext", sealed[:-16])
            + hexed("tag", sealed[-16:])
            + hexed("body", body)
            + wrapped_text("text", to_text(body))
        )
    )
    out.append(f"The associated data, {len(ad)} bytes, in its parts:\n")
    out.append(fence(parts(split)))

    copy = example_copy()
    wrap_nonce = copy[2][:24]
    wrap_key = expand(EXAMPLE_KEK, "pii/v2/local-wrap", 32)
    wrap_ad = b"\x02" + lp("pii/v2/local-wrap") + key_id_of(EXAMPLE_KEK) + u8(SEAL) + u32(0) + enc_context(ACME)
    wrap_parts = [
        (b"\x02", "02"),
        (lp("pii/v2/local-wrap"), 'lp("pii/v2/local-wrap")'),
        (key_id_of(EXAMPLE_KEK), "id of the key-encryption key"),
        (u8(SEAL), "purpose 1, seal"),
        (u32(0), "epoch 0"),
        (u16(2), "context: 2 pairs"),
        (lp("app") + lp("billing"), 'lp("app") lp("billing")'),
        (lp("tenant") + lp("acme"), 'lp("tenant") lp("acme")'),
    ]
    assert b"".join(p for p, _ in wrap_parts) == wrap_ad
    block = copies_block(SEAL, 0, [copy])
    inline = seal(EXAMPLE_KEY, EXAMPLE_PLACE, EXAMPLE_TEXT.encode(), EXAMPLE_NONCE, block)
    block_parts = [
        (block[:2], f"length {len(block) - 2}"),
        (block[2:3], "purpose 1, seal"),
        (block[3:7], "epoch 0"),
        (block[7:8], "count 1"),
        (block[8:9], "provider 2, local key file"),
        (block[9:11], "lp16: name, 32 bytes"),
        (block[11:43], "name, in ASCII"),
        (block[43:45], "lp16: blob, 72 bytes"),
        (block[45:], "blob"),
    ]
    assert inline[18 + len(block) :] == body[18:]
    out.append("### Local wrap and layout 2\n")
    out.append("The same value with the data key in it, wrapped under one key of a local key file.\n")
    out.append(
        fence(
            hexed("key-encryption key", EXAMPLE_KEK)
            + hexed("its id", key_id_of(EXAMPLE_KEK))
            + hexed("wrapping key", wrap_key)
            + hexed("wrap nonce", wrap_nonce)
            + hexed("XAES derived key", xaes_subkey(wrap_key, wrap_nonce)[4])
            + hexed("plaintext (data key)", EXAMPLE_KEY)
            + hexed("ciphertext", copy[2][24:56])
            + hexed("tag", copy[2][56:])
        )
    )
    out.append(f"The associated data of the wrap, {len(wrap_ad)} bytes:\n")
    out.append(fence(parts(wrap_parts)))
    out.append(f"The block of copies, {len(block)} bytes:\n")
    out.append(fence(parts(block_parts)))
    out.append("The body is `02 02`, the key id, this block, and then the nonce, ciphertext and tag of the first example.\n")
    out.append(fence(wrapped_text("text", to_text(inline))))

    where = place(level=3)
    app, app_id, inner_key = app_keys(EXAMPLE_SECRET)
    inner_nonce = bytes(range(0x80, 0x98))
    inner = inner_seal(EXAMPLE_SECRET, where, EXAMPLE_TEXT.encode(), inner_nonce)
    body3 = seal(EXAMPLE_KEY, where, inner, EXAMPLE_NONCE_3)
    split3 = ad_parts(app_id, "application key id", where, "pii/v2/inner")
    assert b"".join(p for p, _ in split3) == associated_data(app_id, where, "pii/v2/inner")
    out.append("### Level 3\n")
    out.append(f"The same value at level 3, layout 1, with the application secret `{EXAMPLE_SECRET}`.\n")
    out.append(
        fence(
            hexed("application key", app)
            + hexed("application key id", app_id)
            + hexed("inner key", inner_key)
            + hexed("inner nonce", inner_nonce)
            + hexed("inner XAES key", xaes_subkey(inner_key, inner_nonce)[4])
            + hexed("inner envelope", inner)
            + hexed("outer nonce", EXAMPLE_NONCE_3)
            + wrapped_text("text", to_text(body3))
        )
    )
    out.append("The inner associated data:\n")
    out.append(fence(parts(split3)))
    out.append(
        "The outer envelope has the data key, key id and seal key of the first example, and its associated data with level 03\n"
        "in the place of 02.\n"
    )

    rec = {
        "format": "pii-data-key-1",
        "key_id": kid.hex(),
        "keyring": "default",
        "context": dict(ACME),
        "purpose": "seal",
        "epoch": 0,
        "state": "active",
        "created": "2026-01-01T00:00:00Z",
        "copies": [{"provider": LOCAL, "key": copy[1], "blob": base64.b64encode(copy[2]).decode()}],
    }
    slot = lp("default") + u8(SEAL) + enc_context(ACME)
    digest = hashlib.sha256(slot).digest()
    out.append("### Key file, key record and election file\n")
    out.append("The key file that holds the key-encryption key above:\n")
    out.append(fence(["pii-key-file 1", "# made for the worked example", "primary " + copy[1], "key " + copy[1] + " " + base64.b64encode(EXAMPLE_KEK).decode()]))
    out.append(f"The data key's record in a file key store, in the file `{kid.hex()}.json` (line breaks added here):\n")
    out.append("```json\n" + json.dumps(rec, indent=1) + "\n```\n")
    out.append("Its slot, the hash of the slot, and the name and content of the election file:\n")
    out.append(fence(hexed("slot", slot) + hexed("SHA-256(slot)", digest) + [f"{'name':<24}slot-{digest[:16].hex()}-00000000", f"{'content':<24}{kid.hex()}"]))
    return "\n".join(out)


BEGIN, END = "<!-- worked example: written by tests/python/make_vectors.py -->\n", "<!-- end of the worked example -->"


def with_examples(text: str) -> str:
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return head + BEGIN + "\n" + examples() + "\n" + END + tail


# ---------------------------------------------------------------------------------------------------------------
# Self check and output


def check_xaes(longest: int):
    data = json.loads(XAES.read_text())
    for v in data["vectors"]:
        x = {k: bytes.fromhex(h) for k, h in v.items() if k != "name"}
        got = xaes_subkey(x["key"], x["nonce"])
        assert got == (x["l"], x["k1"], x["m1"], x["m2"], x["derived_key"], x["derived_nonce"]), v["name"]
        assert xaes_seal(x["key"], x["nonce"], x["plaintext"], x["aad"]) == x["ciphertext"], v["name"]
        assert xaes_open(x["key"], x["nonce"], x["ciphertext"], x["aad"]) == x["plaintext"], v["name"]
    accumulated = data["accumulated"]
    done = 0
    for result in accumulated["results"]:
        n = result["iterations"]
        if n > longest:
            continue
        # at most 32 + 24 + 2 * (1 + 255) bytes an iteration, 314 on average
        stream = hashlib.shake_128().digest(n * 320 + 100_000)
        assert stream[:16].hex() == accumulated["stream_start"]
        h, at = hashlib.shake_128(), 0
        for _ in range(n):
            key, nonce = stream[at : at + 32], stream[at + 32 : at + 56]
            p = stream[at + 56]
            plain = stream[at + 57 : at + 57 + p]
            at += 57 + p
            a = stream[at]
            ad = stream[at + 1 : at + 1 + a]
            at += 1 + a
            h.update(xaes_seal(key, nonce, plain, ad))
        assert at <= len(stream)
        assert h.digest(32).hex() == result["hash"], n
        done = n
    return done


def check_hpke():
    """Vectors of RFC 9180 for this suite, from draft-irtf-cfrg-hpke: modes Base and Auth, the first message."""
    info, aad, plain = b"Ode on a Grecian Urn", b"Count-0", b"Beauty is truth, truth beauty"
    vectors = (
        (
            "317f915db7bc629c48fe765587897e01e282d3e8445f79f27f65d031a88082b2",
            "90345e3a1d116c1dd39ae76d95ab858c142223a63e44f8f85318cfa91a84858e",
            None,
            "58c61a45059d0c5704560e9d88b564a8b63f1364b8d1fcb3c4c6ddc1d291742465e902cd216f8908da49f8f96f",
        ),
        (
            "d9f10996a02cd6c9dbda1d1f225f18f781ea3c893b8c2a6cb2e266e59f3cd9a9",
            "7a6cb29fab4e249d1796f95645288a6504d2167c7ff463bc447ab6022462af42",
            "6e7b14befe49443dc501def1cc2f0f293d9c5cfa045a23e9a2e0e7703b42705d",
            "59b9890aabf94c1d502c39d8d356989ab0880ed43e984255db7b32a8d7b0ad5beba799a4ec326a0ddca3dd5e5d",
        ),
    )
    for recipient, ephemeral, sender, sealed in vectors:
        sender = None if sender is None else bytes.fromhex(sender)
        assert hpke_seal(point_of(bytes.fromhex(recipient)), info, plain, bytes.fromhex(ephemeral), sender, aad)[1].hex() == sealed


def check(vectors):
    stages, wrong = {}, []
    for v in vectors:
        reader = Reader(KEYS, v.get("requires"))
        try:
            value = reader.open(v["text"], v["place"])
        except Refused as refused:
            if v["valid"] or refused.stage != v["stage"]:
                wrong.append((v["name"], v.get("stage"), str(refused)))
            stages[refused.stage] = stages.get(refused.stage, 0) + 1
        else:
            if not v["valid"]:
                wrong.append((v["name"], v["stage"], "opened"))
                continue
            assert value == bytes.fromhex(v["plaintext"]) * v.get("plaintext_repeat", 1), v["name"]
            # a second writer's way to the same text
            body = to_body(v["text"])
            block = body[18 : 20 + int.from_bytes(body[18:20], "big")] if v["layout"] == 2 else b""
            at = 18 + len(block)
            assert body[at : at + 24].hex() == v["nonce"] and body[2:18].hex() == v["key_id"], v["name"]
    v = vectors[0]
    body, reader, changed = to_body(v["text"]), Reader(KEYS), []
    changed += [to_text(flip(body, at, bit)) for at in range(len(body)) for bit in range(8)]
    changed += [v["text"][:n] for n in range(len(v["text"]))]
    changed += [v["text"][:n] + c + v["text"][n + 1 :] for n in range(len(v["text"])) for c in "A/=\n-" if v["text"][n] != c]
    for text in changed:
        try:
            reader.open(text, v["place"])
            wrong.append(("change", text, "opened"))
        except Refused:
            pass
    assert not wrong, "\n".join(map(str, wrong))
    return stages


def dump(vectors) -> str:
    def line(item):
        return json.dumps(item, ensure_ascii=True, separators=(",", ":"))

    out = ["{", '"format":"pii-v2",', '"keys":{']
    names = list(KEYS)
    for name in names:
        out.append(f'"{name}":[')
        out.append(",\n".join(map(line, KEYS[name])))
        out.append("]" if name == names[-1] else "],")
    out += ["},", '"vectors":[', ",\n".join(map(line, vectors)), "]", "}"]
    return "\n".join(out) + "\n"


def main(args):
    done = check_xaes(1_000_000 if "--long" in args else 10_000)
    print(f"XAES-256-GCM: 2 vectors and {done} accumulated iterations agree")
    check_hpke()
    book = Book()
    positives(book)
    negatives(book)
    additions(book)
    stages = check(book.vectors)
    good = sum(v["valid"] for v in book.vectors)
    print(f"{len(book.vectors)} vectors: {good} valid, {len(book.vectors) - good} invalid {stages}")
    text = dump(book.vectors)
    assert json.loads(text)["vectors"] == book.vectors
    inside = Book()
    documents(inside)
    print(f"{len(inside.vectors)} vectors of documents, invalid: {check(inside.vectors)}")
    of_documents = dump(inside.vectors)
    document = FORMAT.read_text()
    assert key_id_of(TEST_KEK).hex() in document
    assert all(len(k["secret"]) >= 32 for k in KEYS["app_keys"])
    wanted = with_examples(document)
    if "--check" in args:
        files = ((VECTORS, text), (DOCUMENTS, of_documents), (FORMAT, wanted))
        stale = [path.name for path, new in files if path.read_text() != new]
        if stale:
            print("not what this program writes: " + ", ".join(stale))
            return 1
        print("files are up to date")
        return 0
    VECTORS.write_text(text)
    DOCUMENTS.write_text(of_documents)
    FORMAT.write_text(wanted)
    print(f"{VECTORS.relative_to(ROOT)}: {len(text)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
