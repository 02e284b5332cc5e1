// What is nicer with a script, and works without: times in the viewer's zone, the runs of a schedule while it is typed, and
// form and JSON that follow each other.
"use strict";
for (const time of document.querySelectorAll("time")) {
  const at = new Date(time.dateTime);
  if (isNaN(at)) continue;
  time.title = time.textContent;
  time.textContent = at.toLocaleString(undefined, {dateStyle: "medium", timeStyle: "medium"});
}

/** Calls `ask` a moment after the last of several calls, and hands its answer to `take` unless it was called again. */
function later(ask, take) {
  let calls = 0, waiting;
  return () => {
    const mine = ++calls;
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const answer = await ask().catch(() => null);
      const told = answer && answer.ok ? await answer.json().catch(() => null) : null;
      if (told && mine === calls) take(told);
    }, 250);
  };
}

const cron = document.getElementById("cron"), zone = document.getElementById("zone"), runs = document.getElementById("runs");
const line = (words, kind) => Object.assign(document.createElement("li"), {textContent: words, className: kind});
const look = later(
  () => fetch("/page/schedule?" + new URLSearchParams({cron: cron.value, timezone: zone.value})),
  told => {
    const lines = (told.runs || []).map(run => line(run.local + (run.note ? " (" + run.note + ")" : ""), ""));
    if (told.error) lines.push(line(told.error, "bad"));
    if (told.note) lines.push(line(told.note, "dim"));
    runs.replaceChildren(...lines);
  });

const json = document.getElementById("document"), shown = document.getElementById("shown"), status = document.getElementById("told");
const ask = what => () => {
  const body = new URLSearchParams(new FormData(json.form));
  body.set("do", what);
  return fetch("/page/instances/draft", {method: "POST", body});
};
const toJson = later(ask("show-json"), told => {
  status.textContent = told.error || "";
  if (told.document !== undefined) json.value = shown.value = told.document;
});
const toForm = later(ask("take-json"), told => {
  const fields = told.fields || {}, known = json.form.elements;
  const missing = Object.keys(fields).some(name => !known[name]);
  status.textContent = told.error || (missing ? "It names more resources than the form has room for: “JSON to form” makes room." : "");
  if (told.error || missing) return;
  for (const field of known) {
    if (!field.name || ["hidden", "submit", "textarea"].includes(field.type)) continue;
    const value = fields[field.name] || "";
    if (field.type === "radio" || field.type === "checkbox") field.checked = field.value === value;
    else if (field.value !== value) field.value = value;
  }
  look();
});
if (json && json.form) {
  json.form.addEventListener("input", event => {
    if (event.target === json) return toForm();
    toJson();
    if (event.target === cron || event.target === zone) look();
  });
}
