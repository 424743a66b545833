"""Opens values of wire format version 2, after FORMAT.md, whose sections the comments name.

open_value(text, place, keys) gives the bytes, or raises ValueError, LookupError or InvalidTag. `place` is
that of section 20, `keys` what load_keys() in check_vectors.py makes; unwrap() gets data keys out of records.
Steps 1 and 9 of section 14, the rules for places and types, are in check_vectors.py."""
import base64, collections, contextlib, hmac  # noqa: E401
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import aead, algorithms
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFCMAC as Kdf, CounterLocation as At, Mode

def need(condition, reason):
    if not condition:
        raise ValueError(reason)

def lp(data, size=4):  # section 2; of a list: how many parts, and the parts
    return len(data).to_bytes(size, "big") + (data if isinstance(data, bytes) else b"".join(data))

def unlp(data, size):  # takes lp(x), or with size 2 lp16(x), off the front of a deque, and returns x
    length = int.from_bytes(bytes(data.popleft() for _ in range(size)), "big")
    return bytes(data.popleft() for _ in range(length))

def unseal(key, label, box, *ad):  # sections 2 and 6; box = nonce | ciphertext | tag
    kdf = Kdf(algorithms.AES, Mode.CounterMode, 32, 2, None, At.BeforeFixed, None, None, b"X\0" + box[:12])
    cipher = aead.AESGCM(kdf.derive(hmac.digest(key, label + b"\1", "sha256")))
    return cipher.decrypt(box[12:24], box[24:], b"\2" + b"".join(ad))

def unwrap(block, context, keks):  # sections 9 and 10: the keys in the copies that open
    made_for, count, data = block[:5], block[5], collections.deque(block[6:])
    copies = [(data.popleft(), unlp(data, 2).decode(), unlp(data, 2)) for _ in range(count)]
    need(made_for[0] in (1, 3, 4) and 1 <= count <= 8 and all(map(all, copies)) and not data, "bad copies")
    need(0x7F not in [copy[0] for copy in copies] or 0x7F in [kek[0] for kek in keks], "a test value")
    for provider, name, blob in copies:
        label = b"pii/v2/subject-wrap" if provider == 3 else b"pii/v2/local-wrap"
        with contextlib.suppress(LookupError, ValueError, InvalidTag):  # not ours, or does not open
            yield unseal(keks[provider, name], label, blob, lp(label), bytes.fromhex(name), made_for, context)

ENCODE = {"field": lambda v: b"\1" + lp(v.encode()), "key": lambda v: b"\2" + lp(v.encode()),  # section 7
          "element": lambda: b"\3", "int": lambda v: b"\3" + int(v).to_bytes(16, "big", signed=True),
          "text": lambda v: b"\1" + lp(v.encode()), "uuid": lambda v: b"\4" + bytes.fromhex(v),
          "bytes": lambda v: b"\2" + lp(bytes.fromhex(v))}

def open_value(text, place, keys):  # section 14
    context = lp([lp(key.encode()) + lp(value.encode()) for key, value in sorted(place["context"])], 2)
    path, row = ([ENCODE[kind](*v) for kind, *v in place[part] or []] for part in ("path", "row"))
    where = lp(place["model"].encode()) + lp(path, 2) + context + lp(row, 1)
    kind = bytes([place["level"], place["type"]])
    body = base64.b64decode(text[4:2**21])  # what follows makes the texts differ
    need(text == "ENC:" + base64.b64encode(body).decode(), "not a canonical text, or too long")
    head, key_id, data = body[:2], body[2:18], collections.deque(body[18:])
    need(head in (b"\2\1", b"\2\2") and key_id not in keys["destroyed"], "unknown layout or destroyed key")
    stored = key_id, place.get("keyring", "default"), frozenset(map(tuple, place["context"]))
    held = [keys["stored"][stored]] if head == b"\2\1" else unwrap(unlp(data, 2), context, keys["keks"])
    key = [k for k in held if len(k) == 32 and hmac.digest(k, b"pii/v2/key-id\1", "sha256")[:16] == key_id][0]
    value = unseal(key, b"pii/v2/seal", bytes(data), key_id, kind, lp(b"pii/v2/value"), where)
    if place["level"] == 3:  # section 13
        app, box = value[:17], value[17:]
        value = unseal(keys["apps"][app], b"pii/v2/inner-key", box, app[1:], kind, lp(b"pii/v2/inner"), where)
    value = unlp(data := collections.deque(value if place["type"] & 0x80 else lp(value)), 4)  # section 8
    need(len(value) <= 2**20 and not any(data), "too long, or padding that is not zero")
    return value
