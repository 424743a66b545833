"""Reads encrypted values; written from FORMAT.md alone, whose sections and steps the comments name.

Usage: python decrypt.py tests/vectors/format-v2.json
Needs the package `cryptography`. A value is refused by raising an exception, whichever it is."""
import base64, contextlib, hmac, json, pathlib, sys, uuid  # noqa: E401
from cryptography.hazmat.primitives.ciphers import Cipher, aead, algorithms, modes

def number(data, signed=False): return int.from_bytes(data, "big", signed=signed)
def take(data, size): return bytes([next(data) for _ in range(size)])  # exactly this many from an iterator
def unlp(data, size): return take(data, number(take(data, size)))  # the x of lp(x), of lp16(x)
def lp(data): return len(data).to_bytes(4, "big") + data
def expand(key, label, size=32): return hmac.digest(key, label + b"\1", "sha256")[:size]

def unseal(key, box, *ad):  # section 6; box = nonce | ciphertext | tag, and every AD begins with 02
    aes = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    top = number(aes.update(bytes(16)))
    k1 = top * 2 % 2**128 ^ (0x87 if top >= 2**127 else 0)
    m1, m2 = (number(bytes([0, i, 0x58, 0]) + box[:12]) for i in (1, 2))
    derived = aes.update((m1 ^ k1).to_bytes(16, "big") + (m2 ^ k1).to_bytes(16, "big"))
    return aead.AESGCM(derived).decrypt(box[12:24], box[24:], b"\2" + b"".join(ad))

TYPES = {  # section 8: a value is refused if this is false or raises
    1: lambda v: v.decode() is not None, 2: lambda v: True, 3: lambda v: v in (b"\0", b"\1"),
    4: lambda v: len(v) == 16, 5: lambda v: len(v) == 4,
    6: lambda v: [json.loads(v.decode(), parse_int=str, parse_constant=int)],  # int("NaN") raises
    7: lambda v: len(v) == 8 and (number(v) % 2**63 <= 0x7ff << 52 or number(v) == 0x7ff8 << 48),
    8: lambda v: len(v) == 16, 9: lambda v: len(v) == 8 and number(v) < 86400 * 10**9,
    10: lambda v: len(v) == 12 and number(v[8:]) < 10**9, 11: lambda v: TYPES[9](v[4:]),
    12: lambda v: len(v) == 20, 13: lambda v: v.decode() != "",
    14: lambda v: len(v) == 16 and TYPES[10](v[:12]) and abs(number(v[12:], signed=True)) < 86400}
PLACE = {  # sections 7.2 and 7.3: elements of a path, ids of a row
    "field": lambda v: b"\1" + lp(v.encode()), "key": lambda v: b"\2" + lp(v.encode()),
    "element": lambda: b"\3", "text": lambda v: b"\1" + lp(v.encode()),
    "bytes": lambda v: b"\2" + lp(bytes.fromhex(v)), "uuid": lambda v: b"\4" + uuid.UUID(v).bytes,
    "int": lambda v: b"\3" + int(v).to_bytes(16, "big", signed=True)}

def unwrap(block, context, keks):  # sections 9 and 10: what the copies hold that open
    data, label = iter(block), b"pii/v2/local-wrap"
    made_for = take(data, 5)  # purpose and epoch
    copies = [(*take(data, 1), unlp(data, 2).decode(), unlp(data, 2)) for _ in range(number(take(data, 1)))]
    assert made_for[0] in (1, 3, 4) and len(copies) <= 8 and not bytes(data) and all(map(all, copies))
    assert keks is TEST or 0x7f not in [provider for provider, name, blob in copies]
    for provider, name, blob in copies:
        with contextlib.suppress(Exception):  # a copy that is not ours or does not open is passed over
            key = expand(keks[provider, name], label)
            yield unseal(key, blob, lp(label), bytes.fromhex(name), made_for, context)

def open_value(text, place, keks):
    level, code, path, row = place["level"], place["type"], place["path"], place["row"]  # step 1
    pairs = [part.encode() for pair in sorted(place["context"]) for part in pair]  # key, value, key, ...
    assert level in (2, 3) and (code in TYPES or code - 0x80 in (1, 2, 6, 13)) and row != []
    assert place["model"] and path[0][0] == "field" and ["field", ""] not in path
    assert all(pairs) and len(b"".join(pairs)) <= 1024 and not any(k.startswith(b"pii:") for k in pairs[::2])
    assert len(set(pairs[::2])) * 2 == len(pairs) <= 16
    context = bytes([0, len(pairs) // 2]) + b"".join(map(lp, pairs))
    path = len(path).to_bytes(2, "big") + b"".join(PLACE[kind](*name) for kind, *name in path)
    row = bytes([len(row or [])]) + b"".join(PLACE[kind](value) for kind, value in row or [])
    kind, where = bytes([level, code]), lp(place["model"].encode()) + path + context + row
    body = base64.b64decode(text[4:])  # steps 2 and 3
    assert len(text) <= 2**21 and text == "ENC:" + base64.b64encode(body).decode()
    head, key_id, data = body[:2], body[2:18], iter(body[18:])
    assert head in (b"\2\1", b"\2\2") and key_id.hex() not in DESTROYED
    stored = key_id.hex(), place.get("keyring", "default"), frozenset(map(tuple, place["context"]))  # step 4
    keys = [STORE[stored]] if head == b"\2\1" else unwrap(unlp(data, 2), context, keks)
    key = next(k for k in keys if len(k) == 32 and expand(k, b"pii/v2/key-id", 16) == key_id)
    value = unseal(expand(key, b"pii/v2/seal"), bytes(data), key_id, kind, lp(b"pii/v2/value"), where)  # 5
    if level == 3:  # step 6; APPS has its keys under 01 | application key id
        key, app_id = expand(APPS[value[:17]], b"pii/v2/inner-key"), value[1:17]
        value = unseal(key, value[17:], app_id, kind, lp(b"pii/v2/inner"), where)
    data = iter(value)  # steps 7 to 9
    value = unlp(data, 4) if code & 0x80 else bytes(data)
    assert not any(data) and len(value) <= 2**20 and TYPES[code & 0x7f](value)
    return value

source, outcomes = pathlib.Path(sys.argv[1]), []
given = json.loads(source.read_text("utf-8"))
records = given["keys"]["data_keys"]
DESTROYED = {rec["key_id"] for rec in records if rec["state"] == "destroyed"}
STORE = {(rec["key_id"], rec["keyring"], frozenset(rec["context"].items())): bytes.fromhex(rec["data_key"])
         for rec in records if rec["purpose"] in (1, 3, 4)}
KEKS = {(2, kek["id"]): bytes.fromhex(kek["kek"]) for kek in given["keys"]["keks"]}
TEST = {(0x7f, expand(k, b"pii/v2/key-id", 16).hex()): k for k in [b"pii test key - never real data!!"]}
APPS = {b"\1" + bytes.fromhex(app["id"]): hmac.digest(b"pii/v2/app", app["secret"].encode(), "sha256")
        for app in given["keys"]["app_keys"]}
for vector in given["vectors"]:
    expected, value = None, None
    if vector["valid"]:
        expected = bytes.fromhex(vector["plaintext"]) * vector.get("plaintext_repeat", 1)
    with contextlib.suppress(Exception):
        value = open_value(vector["text"], vector["place"], TEST if "requires" in vector else KEKS)
    outcomes.append("failed" if value != expected else "opened" if vector["valid"] else "refused")
    if value != expected:
        print(vector["id"], vector["name"])
print(f"{source.stem}:", ", ".join(f"{outcomes.count(o)} {o}" for o in ("opened", "refused", "failed")))
sys.exit("failed" in outcomes or not outcomes)
