import { createHmac, timingSafeEqual } from "node:crypto";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

/** Whether `body`, the bytes as they came, bears a Standard Webhooks signature by `key`, not five minutes old. */
export function standard(key, headers, body) {
  const secret = key.startsWith("whsec_") ? key : "whsec_" + Buffer.from(key).toString("base64");
  try {
    new Webhook(secret).verify(body, headers, { jsonParse: false });
    return true;
  } catch (error) {
    if (error instanceof WebhookVerificationError) return false;
    throw error;
  }
}

/** Whether `body` bears Cloud Elements' signature by `key`. */
export function elements(key, headers, body) {
  const expected = Buffer.from("sha256=" + createHmac("sha256", key).update(body).digest("base64"));
  const given = Buffer.from(headers["elements-webhook-signature"] ?? "");
  return given.length === expected.length && timingSafeEqual(given, expected);
}
