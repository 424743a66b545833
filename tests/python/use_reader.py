"""Opens the cases of a JSON text from standard input with decrypt.Reader, and prints what each gave.

{"key_file": path, "key_store": path, "app_secret": text, "kms": {"endpoint": url, "region": name, "key": arn},
 "cases": [{"text": ..., "model": ..., ...}]}: the members of a case are the arguments of Reader.open."""
import json, sys, urllib.error, urllib.request, uuid  # noqa: E401
sys.dont_write_bytecode = True
import base64  # noqa: E402
from decrypt import InvalidTag, Reader  # noqa: E402

class Kms:
    """The one method of boto3's client that a reader needs."""

    def __init__(self, endpoint, region):
        self.endpoint, self.scope = endpoint, f"AKIDTEST/20260101/{region}/kms/aws4_request"

    def decrypt(self, KeyId, CiphertextBlob, EncryptionContext):
        body = {"KeyId": KeyId, "CiphertextBlob": base64.b64encode(CiphertextBlob).decode(),
                "EncryptionContext": EncryptionContext}
        request = urllib.request.Request(self.endpoint, json.dumps(body).encode(), {
            "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "TrentService.Decrypt",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={self.scope}, SignedHeaders=host, Signature=00"})
        try:
            with urllib.request.urlopen(request) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            if "InvalidCiphertextException" not in error.read().decode():
                raise
            raise ValueError("InvalidCiphertextException") from error
        return {"KeyId": found["KeyId"], "Plaintext": base64.b64decode(found["Plaintext"])}

def main():
    given, reader = json.load(sys.stdin), Reader()
    if "key_file" in given:
        reader.add_key_file(given["key_file"])
    if "key_store" in given:
        reader.add_key_store(given["key_store"])
    if "app_secret" in given:
        reader.add_app_secret(given["app_secret"])
    if "kms" in given:
        kms = given["kms"]
        reader.add_kms_key(Kms(kms["endpoint"], kms["region"]), kms["key"])
    found = []
    for case in given["cases"]:
        if isinstance(case["row"], list):  # a UUID, and what follows it
            case["row"] = uuid.UUID(case["row"][0]), *case["row"][1:]
        try:
            found.append({"value": reader.open(**case)})
        except (ValueError, LookupError, InvalidTag) as error:
            found.append({"refused": type(error).__name__})
    json.dump(found, sys.stdout)

if __name__ == "__main__":
    main()
