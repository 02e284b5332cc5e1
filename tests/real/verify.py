import base64
import hashlib
import hmac

from standardwebhooks import Webhook, WebhookVerificationError


def standard(key, headers, body):
    """Whether `body`, the bytes as they came, bears a Standard Webhooks signature by `key`, not five minutes old."""
    secret = key if key.startswith("whsec_") else "whsec_" + base64.b64encode(key.encode()).decode()
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
        return True
    except WebhookVerificationError:
        return False


def elements(key, headers, body):
    """Whether `body` bears Cloud Elements' signature by `key`."""
    tag = hmac.new(key.encode(), body, hashlib.sha256).digest()
    expected = b"sha256=" + base64.b64encode(tag)
    return hmac.compare_digest(expected, headers.get("elements-webhook-signature", "").encode())
