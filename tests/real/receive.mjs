// The receiver of receive.py, which says what it does, in Node.

import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";

import { cloudevents } from "./events.mjs";
import { elements, standard } from "./verify.mjs";

const directory = process.argv[2];
const allKeys = JSON.parse(process.argv[3]);
const contentTypes = {
  elements: "application/json",
  cloudevents: "application/cloudevents+json",
  "cloudevents-batch": "application/cloudevents-batch+json",
};
const otherKey = "another key, which signs nothing here";

function need(condition, what) {
  if (!condition) throw new Error(what);
}

/** The names of the signatures that are good; the wrong ones are tried, too. */
function verified(keys, headers, body) {
  const otherBody = Buffer.concat([body, Buffer.from(" ")]);
  const names = keys.map((key, number) => {
    need(standard(key, headers, body), `no Standard Webhooks signature by key ${number}`);
    need(!standard(key, headers, otherBody), `key ${number} verifies another body`);
    need(!standard(key, { ...headers, "webhook-id": "1" }, body), `key ${number} verifies another id`);
    return `standard ${number}`;
  });
  need(!standard(otherKey, headers, body), "another key verifies");
  need(elements(keys[0], headers, body), "no Elements signature by the current key");
  need(!elements(keys[0], headers, otherBody), "the Elements signature is of another body, too");
  need(!elements(otherKey, headers, body), "another key verifies the Elements signature");
  return [...names, "elements"];
}

function readElements(body, notification, earlier) {
  const { eventId, events, raw, replayOf = null } = JSON.parse(body).message;
  need(eventId === notification, "`eventId` is not the request's id");
  need(raw.objects.length === events.length, "`raw.objects` and `events` differ in length");
  need(replayOf === null || earlier.has(replayOf), "`replayOf` is no earlier id");
  return events.map((event, position) => {
    const object = raw.objects[position];
    need(object === null || object.id === event.objectId, "an object is not that of its event");
    return {
      event: event.eventType.toLowerCase(),
      object: event.objectType,
      path: event.path,
      previous: event.previous?.name ?? null,
      replayed: replayOf !== null,
    };
  });
}

function readCloudevents(headers, body, notification, earlier) {
  return cloudevents(headers, body).map((event, position) => {
    event.validate();
    const place = headers["content-type"].includes("batch") ? `-${position}` : "";
    need(event.id === notification + place, "`id` is not made of the request's id");
    need(event.source.startsWith("/deltapost/instances/"), "`source` is not the instance's");
    need(!Number.isNaN(Date.parse(event.time)), "`time` is none");
    need(!event.data || event.data.id === event.subject, "`data` is not the object of `subject`");
    const replayOf = event.replayof ?? null;
    const earlierId = replayOf?.slice(0, replayOf.length - place.length);
    need(replayOf === null || earlier.has(earlierId), "`replayof` is no earlier id");
    const [kind, what] = event.type.split(".").slice(3);
    return {
      event: what,
      object: kind,
      path: event.path ?? null,
      previous: event.previousname ?? null,
      replayed: replayOf !== null,
    };
  });
}

/** What has come for one callback URL. */
class Case {
  bodies = new Map();
  accepted = new Set();
  requests = 0;

  constructor(path) {
    [, this.format, this.name] = path.split("/");
    this.keys = allKeys[this.name];
  }

  /** Answers a request: the status, and what to write down. */
  take(headers, body) {
    need(headers["content-type"] === contentTypes[this.format], "another `Content-Type`");
    need(headers.authorization === "Bearer of news", "the extra header is missing");
    const names = verified(this.keys, headers, body);
    const notification = headers["webhook-id"];
    need(headers["elements-webhook-id"] === notification, "the two ids differ");
    this.requests += 1;
    need(body.equals(this.bodies.get(notification) ?? body), "the same id with another body");
    this.bodies.set(notification, body);
    if (this.requests === 1) return [503, [{ answered: 503 }]];
    need(!this.accepted.has(notification), "accepted before");
    const read =
      this.format === "elements"
        ? readElements(body, notification, this.accepted)
        : readCloudevents(headers, body, notification, this.accepted);
    this.accepted.add(notification);
    const lines = read.map((event) => ({ ...event, verified: names }));
    return [204, this.requests === 2 ? [{ repeated: true }, ...lines] : lines];
  }
}

const cases = new Map();
let count = 0;

function receive(request, body) {
  if (!cases.has(request.url)) cases.set(request.url, new Case(request.url));
  const one = cases.get(request.url);
  const base = `${directory}/requests/${++count}-${one.name}`;
  const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}\n`);
  writeFileSync(`${base}.body`, body);
  writeFileSync(`${base}.headers`, headers.join(""));
  let answer;
  try {
    answer = one.take(request.headers, body);
  } catch (error) {
    answer = [400, [{ failed: String(error) }]];
  }
  const [status, lines] = answer;
  appendFileSync(`${directory}/${one.format}-${one.name}.jsonl`, lines.map((line) => JSON.stringify(line) + "\n").join(""));
  return status;
}

mkdirSync(`${directory}/requests`, { recursive: true });
const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => response.writeHead(receive(request, Buffer.concat(chunks))).end());
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
