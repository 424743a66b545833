"""Opens values of wire format version 2, after FORMAT.md, whose sections the comments name.

open_value(text, place, keys) gives the bytes, or raises ValueError, LookupError or InvalidTag. `place` is
that of section 20, `keys` what load_keys() in check_vectors.py makes; unwrap() gets data keys out of records.
Steps 1 and 9 of section 14, the rules for places and types, are in check_vectors.py.

Programs use the class Reader, at the end, which collects keys and makes places."""
import base64, collections, contextlib, hmac, json, pathlib, uuid  # noqa: E401
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
            kek = keks[provider, name]
            yield kek(blob, made_for, context) if callable(kek) else unseal(
                kek, label, blob, lp(label), bytes.fromhex(name), made_for, context)

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

PURPOSES = ["", "seal", "index", "drop", "subject"]

class Reader:
    """Keys, and the values that they open. Local key files and AWS KMS; neither hierarchical keyrings nor public
    keys. Each method that takes keys may be called several times.

        reader = Reader()
        reader.add_key_file("pii.key")                      # of LocalKeyring
        reader.add_kms_key(boto3.client("kms"), "arn:...")  # of KmsKeyring: the ARN of the key, not an alias
        reader.add_key_store("keys")                        # the folder of FileKeyStore, or add_record(...)
        reader.open(text, "customer", "email", row=7, context={"tenant": "acme"})

    `model` and `path` are stable names. `path` is a text, or for values in nested structs, lists and maps a list:
    ["address", "street"], ["phones", ("element",)], ["notes", ("key", "2024")]. `row` is the id: int, str, bytes, UUID, a
    tuple of them, or None where values are not bound to rows. `level` and `type` are those of the field.

    What does not open raises ValueError, LookupError or InvalidTag, or what the KMS client raises. It was altered, or
    belongs elsewhere: never take it for plaintext."""

    def __init__(self):
        self.records, self.keys = {}, {"keks": {}, "stored": {}, "destroyed": set(), "apps": {}}

    def add_key_file(self, path):  # section 12
        for line in pathlib.Path(path).read_text("ascii").splitlines():
            if line.startswith("key "):
                _, key_id, key = line.split()
                self.keys["keks"][2, key_id] = base64.b64decode(key, validate=True)

    def add_kms_key(self, client, arn):  # section 9; `client` has the method decrypt of boto3's
        def unwrap_by_kms(blob, made_for, context):
            data, pairs = collections.deque(context[2:]), {}
            while data:
                key = unlp(data, 4).decode()
                pairs[key] = unlp(data, 4).decode()
            pairs |= {"pii:purpose": PURPOSES[made_for[0]], "pii:epoch": str(int.from_bytes(made_for[1:], "big"))}
            answer = client.decrypt(KeyId=arn, CiphertextBlob=blob, EncryptionContext=pairs)
            need(answer["KeyId"] == arn, "KMS used another key")
            return answer["Plaintext"]
        self.keys["keks"][1, arn] = unwrap_by_kms

    def add_record(self, record):  # section 11; of a SQL key store: its columns, JSON ones parsed
        key_id = bytes.fromhex(record["key_id"])
        self.records[key_id, record["keyring"], frozenset(record["context"].items())] = record
        if record["state"] == "destroyed":
            self.keys["destroyed"].add(key_id)

    def add_key_store(self, folder):  # section 11.1
        for path in sorted(pathlib.Path(folder).glob("*.json")):
            self.add_record(json.loads(path.read_text("utf-8")))

    def add_app_secret(self, secret):  # section 13
        key = hmac.digest(b"pii/v2/app", secret.encode(), "sha256")
        self.keys["apps"][b"\1" + hmac.digest(key, b"pii/v2/app-key-id\1", "sha256")[:16]] = key

    def open(self, text, model, path, row, context=None, level=2, type=1, keyring="default"):
        """The value: str for text (type 1), what the JSON says (type 6), and otherwise bytes."""
        pairs, ids = list((context or {}).items()), row if isinstance(row, tuple) else (row,)
        need(all(key and value and not key.startswith("pii:") for key, value in pairs), "no such context")
        steps = [["field", step] if isinstance(step, str) else list(step)
                 for step in ([path] if isinstance(path, str) else path)]
        place = {"model": model, "path": steps, "context": pairs, "level": level, "type": type,
                 "keyring": keyring, "row": None if row is None else [self._id(part) for part in ids]}
        name = base64.b64decode(text[4:28])[2:], keyring, frozenset(pairs)
        if name in self.records and name not in self.keys["stored"]:
            self.keys["stored"][name] = self._unwrap(self.records[name])
        value = open_value(text, place, self.keys)
        return value.decode() if type & 0x7F == 1 else json.loads(value) if type & 0x7F == 6 else value

    def _unwrap(self, record):
        pairs = sorted((key.encode(), value.encode()) for key, value in record["context"].items())
        copies = [bytes([copy["provider"]]) + lp(copy["key"].encode(), 2) + lp(base64.b64decode(copy["blob"]), 2)
                  for copy in record["copies"]]
        made_for = bytes([PURPOSES.index(record["purpose"])]) + record["epoch"].to_bytes(4, "big")
        context = lp([lp(key) + lp(value) for key, value in pairs], 2)
        key = next(unwrap(made_for + lp(copies, 1), context, self.keys["keks"]), None)
        need(key is not None, "none of the keys opens the record of the data key")
        return key

    @staticmethod
    def _id(part):  # section 7
        kinds = {int: ("int", str), str: ("text", str), bytes: ("bytes", bytes.hex), uuid.UUID: ("uuid", lambda v: v.hex)}
        kind, of = kinds[type(part)]  # LookupError for bool and everything else
        return [kind, of(part)]
