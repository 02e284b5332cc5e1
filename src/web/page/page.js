// What is nicer with a script, and works without: times in the viewer's zone, and runs shown while a schedule is typed.
"use strict";
for (const time of document.querySelectorAll("time")) {
  const at = new Date(time.dateTime);
  if (isNaN(at)) continue;
  time.title = time.textContent;
  time.textContent = at.toLocaleString(undefined, {dateStyle: "medium", timeStyle: "medium"});
}
const cron = document.getElementById("cron"), zone = document.getElementById("zone"), runs = document.getElementById("runs");
if (cron && zone && runs) {
  let asked = 0, waiting;
  const look = async () => {
    const mine = ++asked;
    const query = new URLSearchParams({cron: cron.value, timezone: zone.value});
    const answer = await fetch("/page/schedule?" + query).catch(() => null);
    if (!answer || !answer.ok || mine !== asked) return;
    const told = await answer.json();
    runs.replaceChildren(...(told.runs || []).map(run => {
      const line = document.createElement("li");
      line.textContent = run.local + (run.note ? " (" + run.note + ")" : "");
      return line;
    }));
    if (told.error) {
      const line = document.createElement("li");
      line.className = "bad";
      line.textContent = told.error;
      runs.replaceChildren(line);
    }
  };
  for (const field of [cron, zone]) field.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(look, 250); });
  look();
}
