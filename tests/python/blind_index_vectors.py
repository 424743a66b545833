#!/usr/bin/env python3
"""Writes tests/vectors/blind-index-v1.json, the test vectors of blind indexes (FORMAT.md, section 23).

This file is an implementation of that section of its own: it shares no code with the Rust crates and needs nothing
but Python's standard library. Each run writes the same bytes.

    python3 tests/python/blind_index_vectors.py           write the vectors
    python3 tests/python/blind_index_vectors.py --check   write nothing; fail if one of the file is not what it would be

New vectors go to the end, so that ids and bytes of the others stay.
"""

import hashlib
import hmac
import json
import struct
import sys
import unicodedata
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "vectors" / "blind-index-v1.json"
SEED = b"pii blind index test vectors, 1"
TEXT, BYTES, BOOL, INTEGER, DATE, _, FLOAT, UUID, TIME, INSTANT, LOCAL, DECIMAL, ENUM, ZONED = range(1, 15)
# the property White_Space, which is not what str.strip() strips
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"


class Refused(Exception):
    pass


def lp(data) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">I", len(data)) + data


def u16(n: int) -> bytes:
    return struct.pack(">H", n)


def mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


# ---------------------------------------------------------------------------------------------------------------
# Normalisers

DIGITS = "0123456789"


def casefold(text: str) -> str:
    def nfkc_of_fold(text):
        return unicodedata.normalize("NFKC", text.casefold())

    return nfkc_of_fold(nfkc_of_fold(unicodedata.normalize("NFD", text)))


NORMALIZERS = {
    "trim": lambda text: text.strip(SPACE),
    "lower": str.lower,
    "email": lambda text: text.strip(SPACE).lower(),
    "digits": lambda text: "".join(c for c in text if c in DIGITS),
    "last4": lambda text: text[-4:],
    "first": lambda text: text[:1],
    "casefold": casefold,
    # one of a program's own, for the vectors
    "phone@1": lambda text: "".join(c for c in text if c in DIGITS).lstrip("0"),
}


def normalized(normalize, type_code: int, value: bytes):
    """The bytes that go into the code, or None if nothing is left."""
    if type_code != TEXT:
        if normalize:
            raise Refused("only text is normalised")
        return value
    text = value.decode()
    for name in normalize if text else []:
        text = NORMALIZERS[name](text)
    return text.encode() if text else None


# ---------------------------------------------------------------------------------------------------------------
# Keys and codes


def encoded(context) -> bytes:
    pairs = sorted((name.encode(), value.encode()) for name, value in context)
    return u16(len(pairs)) + b"".join(lp(name) + lp(value) for name, value in pairs)


def data_key_of(keyring: str, context, epoch: int) -> bytes:
    """A key for this slot and epoch, which depends on nothing else."""
    slot = lp(keyring) + b"\x02" + encoded(context)
    return hashlib.sha256(SEED + slot + struct.pack(">I", epoch)).digest()


def key_context_of(scope: str, context, literals):
    if scope == "global":
        return sorted(literals)
    return sorted(pair for pair in context if pair[0] != "subject")


def info_of(model: str, index: str, parts) -> bytes:
    out = lp(model) + lp(index) + u16(len(parts))
    for part in parts:
        out += lp(part["field"]) + bytes([part["type"]]) + u16(len(part["normalize"]))
        out += b"".join(lp(name) for name in part["normalize"])
    return out


def text_of(code: bytes, bits: int) -> str:
    kept = bytearray(code[: (bits + 7) // 8])
    if bits % 8:
        kept[-1] &= 0xFF << (8 - bits % 8) & 0xFF
    return kept.hex()


VECTORS, KEYS = [], {}


def vector(name, values, parts=None, *, model="customer", index="email", bits=256, scope="context", version=1,
           context=(("app", "billing"), ("tenant", "acme")), keyring="default", reason=""):
    """Appends a vector. `values` are texts or bytes, `parts` are (field, type, normalisers)."""
    parts = parts or [("email", TEXT, [])]
    parts = [{"field": field, "type": code, "normalize": list(names)} for field, code, names in parts]
    values = [value.encode() if isinstance(value, str) else value for value in values]
    context, literals = [list(pair) for pair in context], [["app", "billing"]] if context else []
    out = {"id": len(VECTORS) + 1, "name": name, "model": model, "index": index, "parts": parts, "bits": bits,
           "scope": scope, "version": version, "keyring": keyring, "context": context, "literals": literals,
           "values": [value.hex() for value in values]}
    key_context, epoch = key_context_of(scope, context, literals), version - 1
    try:
        given = [normalized(part["normalize"], part["type"], value) for part, value in zip(parts, values)]
    except Refused:
        VECTORS.append(out | {"result": "refused", "reason": reason})
        return None
    if None in given:
        VECTORS.append(out | {"result": "nothing", "reason": reason})
        return None
    data_key = data_key_of(keyring, key_context, epoch)
    key_id = mac(data_key, b"pii/v2/key-id\x01")[:16].hex()
    KEYS[key_id] = {"data_key": data_key.hex(), "key_id": key_id, "keyring": keyring, "context": dict(key_context),
                    "purpose": 2, "epoch": epoch, "state": "active"}
    info, message = info_of(model, index, parts), u16(len(given)) + b"".join(map(lp, given))
    index_key = mac(data_key, b"pii/v2/index" + info + b"\x01")
    text = text_of(mac(index_key, message), bits)
    VECTORS.append(out | {"result": "text", "key_id": key_id, "info": info.hex(), "input": message.hex(),
                          "index_key": index_key.hex(), "text": text})
    return text


def of(*normalize, field="email", code=TEXT):
    return [(field, code, normalize)]


def i128(n: int) -> bytes:
    return n.to_bytes(16, "big", signed=True)


def write() -> str:
    ada = "ada@example.com"
    plain = vector("text as it is", [ada])
    assert plain != vector("capitals count without a normaliser", ["Ada@example.com"])
    email = vector("email: as it is", [ada], of("email"))
    assert email != plain, "a normaliser is part of the key"
    assert email == vector("email: space around it, and capitals", [" \t\u00a0Ada@Example.COM\u3000\n"], of("email"))
    assert email != vector("email: dots and tags stay", ["a.da+shop@example.com"], of("email"))
    trim = vector("trim: all white space of Unicode", [SPACE + "Ada  L" + SPACE], of("trim"))
    assert trim == vector("trim: what is inside stays", ["Ada  L"], of("trim"))
    assert trim != vector("trim: U+001C and U+200B are no white space", ["\x1cAda  L\u200b"], of("trim"))
    vector("lower: the default mapping, with sigma at the end of a word", ["\u0130STANBUL \u039f\u0394\u039f\u03a3 \u00c4\u1e9e"], of("lower"))
    vector("lower: no normal form", ["E\u0301"], of("lower"))
    digits = vector("digits", ["123-45 6789"], of("digits", field="ssn"), index="ssn")
    assert digits == vector("digits: those of other scripts are left out", ["\u0661123.45.6789\uff17"], of("digits", field="ssn"), index="ssn")
    last = vector("last4", ["123-45-6789"], of("last4", field="ssn"), index="ssn_end")
    assert last == vector("last4: of a text of four", ["6789"], of("last4", field="ssn"), index="ssn_end")
    vector("last4: of a shorter text all", ["n\u00e9"], of("last4", field="ssn"), index="ssn_end")
    vector("last4: scalar values, neither bytes nor graphemes", ["a\U0001f600\U0001f1e9\U0001f1eae\u0301"], of("last4", field="name"), index="name_end")
    vector("first: one scalar value", ["\u00c9ric"], of("first", field="name"), index="initial")
    vector("first: not the mark after it", ["E\u0301ric"], of("first", field="name"), index="initial")
    name = of("casefold", field="name")
    folded = vector("casefold: plain", ["strasse"], name, index="name")
    for title, text in [("sharp s", "Stra\u00dfe"), ("capitals", "STRASSE"), ("capital sharp s", "STRA\u1e9eE"),
                        ("full width", "\uff33\uff54\uff52\uff41\uff53\uff53\uff45"), ("a ligature", "\ufb06ra\u00dfe")]:
        assert folded == vector("casefold: " + title, [text], name, index="name"), title
    composed = vector("casefold: composed", ["\u00e9ric"], name, index="name")
    assert composed == vector("casefold: decomposed", ["E\u0301RIC"], name, index="name")
    vector("casefold: sigmas, dotted I, mathematical letters", ["\u03a3\u03c2\u03c3 \u0130 \U0001d400\U0001d41b \u212b"], name, index="name")
    vector("casefold: a mark under an iota", ["\u1f80 \u0391\u0314\u0345"], name, index="name")
    vector("casefold: white space stays, in its compatible form", [" a\u00a0b\u3000"], name, index="name")
    end = vector("digits, then last4", ["123-45-67 8 9"], of("digits", "last4", field="ssn"), index="ssn_last")
    assert end != vector("last4, then digits: another index", ["123-45-67 8 9"], of("last4", "digits", field="ssn"), index="ssn_last")
    phone = vector("one of a program's own", ["+49 170 123"], of("phone@1", field="phone"), index="phone")
    assert phone == vector("one of a program's own: zeros before it", ["0049/170-123"], of("phone@1", field="phone"), index="phone")

    full = bytes.fromhex(vector("all bits of the code", [ada], of("email"), index="size"))
    for bits in (1, 4, 7, 8, 9, 12, 16, 31, 64, 255):
        text = vector(f"{bits} of its bits", [ada], of("email"), index="size", bits=bits)
        assert len(text) == (bits + 7) // 8 * 2
        assert int(text, 16) >> -bits % 8 == int.from_bytes(full, "big") >> 256 - bits

    both = [("first_name", TEXT, ["casefold"]), ("last_name", TEXT, ["casefold"])]
    names = vector("two parts", ["Ada", "Lovelace"], both, index="full_name", bits=24)
    assert names == vector("two parts, written otherwise", ["ADA", "lovelace"], both, index="full_name", bits=24)
    two, four = [("a", TEXT, []), ("b", TEXT, [])], [("b", TEXT, []), ("a", TEXT, [])]
    assert vector("the border between parts counts", ["ab", "c"], two, index="ab") != vector("the other border", ["a", "bc"], two, index="ab")
    vector("the order of parts counts", ["c", "ab"], four, index="ab")
    vector("three parts of three types", ["Lovelace", struct.pack(">i", -56270), i128(7)],
           [("last_name", TEXT, ["trim", "casefold"]), ("birthday", DATE, []), ("number", INTEGER, [])], index="person")

    for title, code, value in [
        ("bytes", BYTES, b"\x00\xff"), ("bytes: none are a value too", BYTES, b""), ("bool", BOOL, b"\x01"),
        ("integer", INTEGER, i128(52000)), ("integer: negative", INTEGER, i128(-1)),
        ("date", DATE, struct.pack(">i", 19782)), ("date: before 1970", DATE, struct.pack(">i", -56270)),
        ("float", FLOAT, struct.pack(">d", -0.5)), ("uuid", UUID, bytes.fromhex("5f0f1d2ab6c54b0f9b7c0c1d2e3f4a5b")),
        ("time of day", TIME, struct.pack(">Q", 86_399_999_999_999)), ("instant", INSTANT, struct.pack(">qI", -1, 500_000_000)),
        ("local date-time", LOCAL, struct.pack(">iQ", 19782, 1)), ("decimal", DECIMAL, i128(-1250) + struct.pack(">I", 2)),
        ("enum", ENUM, b"active"), ("zoned instant", ZONED, struct.pack(">qIi", 0, 0, -3600)),
    ]:
        vector(title, [value], of(field="it", code=code), index="it")
    assert vector("a text and bytes of the same bytes: text", ["active"], of(field="it"), index="it") != VECTORS[-2]["text"]

    another = vector("another tenant", [ada], context=(("tenant", "other"), ("app", "billing")))
    assert another != plain
    assert plain == vector("the subject does not count", [ada], context=(("subject", "42"), ("tenant", "acme"), ("app", "billing")))
    shared = vector("all tenants", [ada], scope="global")
    assert shared != plain
    assert shared == vector("all tenants: another one", [ada], scope="global", context=(("app", "billing"), ("tenant", "other"), ("subject", "42")))
    vector("no context", [ada], context=())
    assert vector("version 2", [ada], version=2) != plain
    vector("version 4294967295", [ada], version=4294967295)
    assert vector("another keyring", [ada], keyring="high") != plain
    assert vector("another model", [ada], model="client") != plain
    assert vector("another index of the field", [ada], index="login") != plain
    assert vector("another field", [ada], of(field="mail")) != plain
    vector("names that are not ASCII", [ada], of(field="\u017epost\u011b"), model="\u4eba", index="\u043f\u043e\u0447\u0442\u0430")
    vector("a long value, more than a block of SHA-256", ["x" * 1000])

    nothing = "nothing is left: nothing is stored, and a search for it is refused"
    for title, text, parts in [("empty text", "", of()), ("empty text, normalised", "", of("casefold")),
                               ("empty after trim", " \u2003\n", of("trim")), ("empty after email", "\t", of("email")),
                               ("empty after digits", "none", of("digits")), ("empty after one of two", "ab-c", of("digits", "last4")),
                               ("empty after one of a program's own", "000", of("phone@1"))]:
        assert vector(title, [text], parts, reason=nothing) is None
    assert vector("one part of two is empty", ["Ada", ""], both, index="full_name", bits=24, reason=nothing) is None
    for title, code, value in [("integer", INTEGER, i128(7)), ("date", DATE, bytes(4)), ("enum", ENUM, b"active"), ("bytes", BYTES, b"Ada")]:
        vector(f"normalised, and no text: {title}", [value], of("trim", field="it", code=code), index="it", reason="only text is normalised")
        assert VECTORS[-1]["result"] == "refused"

    assert len({entry["name"] for entry in VECTORS}) == len(VECTORS)
    lines = lambda items: ",\n".join(json.dumps(item, separators=(",", ":")) for item in items)  # noqa: E731
    return f'{{\n"format":"pii-blind-index-v1",\n"keys":[\n{lines(KEYS.values())}\n],\n"vectors":[\n{lines(VECTORS)}\n]\n}}\n'


def main():
    text = write()
    if "--check" in sys.argv[1:]:
        if FILE.read_text() != text:
            old = {line for line in FILE.read_text().splitlines()}
            print("differs:", *(line for line in text.splitlines() if line not in old), sep="\n")
            sys.exit(f"{FILE.name} is not what this script writes")
    else:
        FILE.write_text(text)
    texts = sum(entry["result"] == "text" for entry in VECTORS)
    print(f"blind-index-v1: {texts} texts, {len(VECTORS) - texts} without one, 0 failed")


if __name__ == "__main__":
    main()
