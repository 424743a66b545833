"""Opens the vectors of a file with decrypt.py: python check_vectors.py tests/vectors/format-v2.json
Prints id and name of each vector that fails, then the totals. Has those rules of FORMAT.md, too, that need no
key: which places there are (sections 7 and 8), and which bytes a type allows (section 8)."""
import collections, contextlib, hmac, json, pathlib, sys  # noqa: E401
sys.dont_write_bytecode = True  # the next import is to leave no file behind
from decrypt import InvalidTag, need, open_value  # noqa: E402
TEST = {(0x7F, "2a19a82782d5ef6d076f91cb7f3f808e"): b"pii test key - never real data!!"}  # section 10

def number(data, signed=False):
    return int.from_bytes(data, "big", signed=signed)

TYPES = {  # a value is refused if this is false or raises
    1: lambda v: v.decode() is not None, 2: lambda v: True, 3: lambda v: v in (b"\0", b"\1"),
    4: lambda v: len(v) == 16, 5: lambda v: len(v) == 4,
    6: lambda v: [json.loads(v.decode(), parse_int=str, parse_constant=int)],  # int("NaN") raises
    7: lambda v: len(v) == 8 and (number(v) % 2**63 <= 0x7FF << 52 or number(v) == 0x7FF8 << 48),
    8: lambda v: len(v) == 16, 9: lambda v: len(v) == 8 and number(v) < 86400 * 10**9,
    10: lambda v: len(v) == 12 and number(v[8:]) < 10**9, 11: lambda v: TYPES[9](v[4:]),
    12: lambda v: len(v) == 20, 13: lambda v: v.decode() != "",
    14: lambda v: len(v) == 16 and TYPES[10](v[:12]) and abs(number(v[12:], signed=True)) < 86400}

def check_place(model, path, level, type, context, row, keyring="default"):
    need(model and level in (2, 3), "no model, or a level that is never sealed")
    need(type in TYPES or type - 0x80 in (1, 2, 6, 13), "unknown type, or one that is never padded")
    need(path and path[0][0] == "field" and ["field", ""] not in path and len(path) < 2**16, "no such path")
    need(len(dict(context)) == len(context) <= 8, "a key twice, or more than 8 pairs")
    need(all(k and v and not k.startswith("pii:") for k, v in context), "an empty text, or a reserved key")
    need(len("".join(map("".join, context)).encode()) <= 1024, "the context is too long")
    need(row is None or 1 <= len(row) <= 255, "a row without ids, or with too many")
    need(all(-2**127 <= int(v) < 2**127 for kind, v in row or [] if kind == "int"), "more than 128 bits")
    need(all(len(v) == 32 for kind, v in row or [] if kind == "uuid"), "a UUID has 32 digits")

def load_keys(data_keys, keks, app_keys, **_):  # as open_value() wants them; the data keys are in clear
    need(all(len(app["secret"]) >= 32 for app in app_keys), "an application secret is too short")
    stored = {(bytes.fromhex(record["key_id"]), record["keyring"], frozenset(record["context"].items())):
              bytes.fromhex(record["data_key"]) for record in data_keys if record["purpose"] in (1, 3, 4)}
    branches = {(3, record["key_id"]): bytes.fromhex(record["data_key"]) for record in data_keys
                if (record["purpose"], record["keyring"], record["context"]) == (5, "branch", {})
                and record["state"] != "destroyed"}
    local = {(2, kek["id"]): bytes.fromhex(kek["kek"]) for kek in keks}
    return {"keks": local | branches, "stored": stored,
            "destroyed": {bytes.fromhex(rec["key_id"]) for rec in data_keys if rec["state"] == "destroyed"},
            "apps": {b"\1" + bytes.fromhex(app["id"]): hmac.digest(
                b"pii/v2/app", app["secret"].encode(), "sha256") for app in app_keys}}

def main(path):
    given, counts = json.loads(pathlib.Path(path).read_text("utf-8")), collections.Counter()
    keys = load_keys(**given["keys"])
    for vector in given["vectors"]:
        if vector.get("requires", "").startswith("public-keyring"):
            counts["left out"] += 1  # decrypt.py has no elliptic curves
            continue
        place, value, valid = vector["place"], None, vector["valid"]
        plain = bytes.fromhex(vector["plaintext"]) * vector.get("plaintext_repeat", 1) if valid else None
        kept = {**keys, "keks": TEST} if "requires" in vector else keys
        with contextlib.suppress(ValueError, LookupError, InvalidTag):
            check_place(**place)
            found = open_value(vector["text"], place, kept)
            value = found if TYPES[place["type"] & 0x7F](found) else None
        counts["failed" if value != plain else "opened" if valid else "refused"] += 1
        if value != plain:
            print(vector["id"], vector["name"])
    print(f"format-v2: {counts['opened']} opened, {counts['refused']} refused, {counts['failed']} failed, {counts['left out']} left out")
    return 1 if counts["failed"] or not counts else 0

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
