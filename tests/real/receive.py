"""A receiver as somebody would write it who has `verify.py` and `events.py` from docs/receivers.md, but pedantic.

receive.py DIRECTORY KEYS: prints its port, then takes notifications at /FORMAT/CASE, CASE being one of the object KEYS: its
lists of keys, the current one first. What it verified goes into DIRECTORY/FORMAT-CASE.jsonl, an event a line, and each
request as it came into DIRECTORY/requests. The first request of each case is answered 503, so that it comes again.
`receive.mjs` is the same in Node and writes the same lines.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import events
import verify

DIRECTORY = Path(sys.argv[1])
KEYS = json.loads(sys.argv[2])
CONTENT_TYPES = {
    "elements": "application/json",
    "cloudevents": "application/cloudevents+json",
    "cloudevents-batch": "application/cloudevents-batch+json",
}
OTHER_KEY = "another key, which signs nothing here"


def need(condition, what):
    if not condition:
        raise ValueError(what)


def verified(keys, headers, body):
    """The names of the signatures that are good; the wrong ones are tried, too."""
    names = []
    for number, key in enumerate(keys):
        need(verify.standard(key, headers, body), f"no Standard Webhooks signature by key {number}")
        need(not verify.standard(key, headers, body + b" "), f"key {number} verifies another body")
        need(not verify.standard(key, {**headers, "webhook-id": "1"}, body), f"key {number} verifies another id")
        names.append(f"standard {number}")
    need(not verify.standard(OTHER_KEY, headers, body), "another key verifies")
    need(verify.elements(keys[0], headers, body), "no Elements signature by the current key")
    need(not verify.elements(keys[0], headers, body + b" "), "the Elements signature is of another body, too")
    need(not verify.elements(OTHER_KEY, headers, body), "another key verifies the Elements signature")
    return names + ["elements"]


def read_elements(body, notification, earlier):
    message = json.loads(body)["message"]
    need(message["eventId"] == notification, "`eventId` is not the request's id")
    objects = message["raw"]["objects"]
    need(len(objects) == len(message["events"]), "`raw.objects` and `events` differ in length")
    replayed = message.get("replayOf")
    need(replayed is None or replayed in earlier, "`replayOf` is no earlier id")
    for event, raw in zip(message["events"], objects):
        need(raw is None or raw["id"] == event["objectId"], "an object is not that of its event")
        yield {
            "event": event["eventType"].lower(),
            "object": event["objectType"],
            "path": event["path"],
            "previous": event.get("previous", {}).get("name"),
            "replayed": replayed is not None,
        }


def read_cloudevents(headers, body, notification, earlier):
    for position, event in enumerate(events.cloudevents(headers, body)):
        place = f"-{position}" if "batch" in headers["content-type"] else ""
        need(event.get_id() == notification + place, "`id` is not made of the request's id")
        need(event.get_source().startswith("/deltapost/instances/"), "`source` is not the instance's")
        need(event.get_time().tzinfo is not None, "`time` has no zone")
        raw = event.get_data()
        need(raw is None or raw["id"] == event.get_subject(), "`data` is not the object of `subject`")
        replayed = event.get_extension("replayof")
        need(replayed is None or replayed.removesuffix(place) in earlier, "`replayof` is no earlier id")
        _, _, _, kind, what = event.get_type().split(".")
        yield {
            "event": what,
            "object": kind,
            "path": event.get_extension("path"),
            "previous": event.get_extension("previousname"),
            "replayed": replayed is not None,
        }


class Case:
    """What has come for one callback URL."""

    def __init__(self, path):
        self.format, self.name = path.strip("/").split("/")
        self.keys = KEYS[self.name]
        self.bodies = {}
        self.accepted = set()
        self.requests = 0

    def take(self, headers, body):
        """Answers a request: the status, and what to write down."""
        need(headers["content-type"] == CONTENT_TYPES[self.format], "another `Content-Type`")
        need(headers["authorization"] == "Bearer of news", "the extra header is missing")
        names = verified(self.keys, headers, body)
        notification = headers["webhook-id"]
        need(headers["elements-webhook-id"] == notification, "the two ids differ")
        self.requests += 1
        known = self.bodies.setdefault(notification, body)
        need(known == body, "the same id with another body")
        if self.requests == 1:
            return 503, [{"answered": 503}]
        need(notification not in self.accepted, "accepted before")
        if self.format == "elements":
            read = read_elements(body, notification, self.accepted)
        else:
            read = read_cloudevents(headers, body, notification, self.accepted)
        lines = [{**event, "verified": names} for event in read]
        self.accepted.add(notification)
        return 204, [{"repeated": True}, *lines] if self.requests == 2 else lines


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cases = {}
    count = 0
    lock = threading.Lock()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.lock:
            case = self.cases.setdefault(self.path, Case(self.path))
            self.keep(case, body)
            try:
                status, lines = case.take(headers, body)
            except Exception as error:
                status, lines = 400, [{"failed": repr(error)}]
            with open(DIRECTORY / f"{case.format}-{case.name}.jsonl", "a", encoding="utf-8") as file:
                for line in lines:
                    file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def keep(self, case, body):
        Receiver.count += 1
        base = DIRECTORY / "requests" / f"{Receiver.count}-{case.name}"
        base.with_suffix(".body").write_bytes(body)
        headers = [f"{name}: {value}\n" for name, value in self.headers.items()]
        base.with_suffix(".headers").write_text("".join(headers), encoding="utf-8")

    def log_message(self, *args):
        pass


(DIRECTORY / "requests").mkdir(parents=True)
server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
