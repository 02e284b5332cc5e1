// The walk: each step asserts what a person would see. `N passed, N failed` at its end; a failed step leaves a picture.
import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import {createRequire} from "node:module";
import {leave, open, until} from "./place.mjs";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const pictures = process.env.SCREENSHOTS;
let passed = 0, failed = 0, page;

async function step(name, what) {
  try {
    await what();
    passed++;
  } catch (error) {
    failed++;
    console.error(`failed: ${name}\n${error.stack}`);
    await page?.screenshot({path: `${pictures}/failed-${failed}.png`, fullPage: true}).catch(() => {});
  }
}

const text = () => page.evaluate(() => document.body.innerText);
const heading = () => page.$eval("h1", h1 => h1.textContent);
const press = async words => {
  const found = await page.evaluateHandle(words => [...document.querySelectorAll("button, a")].find(one => one.textContent.trim() === words), words);
  assert.ok(found.asElement(), `no button or link: ${words}`);
  await Promise.all([page.waitForNavigation(), found.asElement().evaluate(one => one.click())]);
};
const fill = (name, value) => page.$eval(`[name="${name}"]`, (field, value) => { field.value = value; field.dispatchEvent(new Event("input", {bubbles: true})); }, value);

const typed = async (name, value) => {
  await page.focus(`[name="${name}"]`);
  await page.keyboard.down("Control");
  await page.keyboard.press("a");
  await page.keyboard.up("Control");
  await page.keyboard.type(value);
};
const enter = () => Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);

/** A page in all its looks: no serious finding of axe, nothing wider than the window, a picture of each. */
async function looked(name) {
  for (const scheme of ["light", "dark"]) {
    await page.emulateMediaFeatures([{name: "prefers-color-scheme", value: scheme}]);
    for (const width of [1200, 375]) {
      await page.setViewport({width, height: 800});
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= width, `${name} is ${wide} wide in ${width}`);
      await page.screenshot({path: `${pictures}/${name}-${scheme}-${width}.png`, fullPage: true});
      await page.evaluate(axeSource);
      const found = await page.evaluate(() => axe.run({resultTypes: ["violations"]}));
      const serious = found.violations.filter(one => ["serious", "critical"].includes(one.impact));
      assert.deepEqual(serious.map(one => `${one.id}: ${one.nodes.map(node => node.target).join(" ")}`), [], `${name} ${scheme} ${width}`);
    }
  }
  await page.setViewport({width: 1200, height: 800});
}

try {
  const place = await open();
  page = await place.browser.newPage();
  const refusals = [];
  page.on("console", message => { if (/Content Security Policy|Refused/.test(message.text())) refusals.push(message.text()); });
  page.on("pageerror", error => refusals.push(String(error)));
  const go = path => page.goto(place.base + path);

  await step("a stranger sees the sign-in, and a wrong token is refused", async () => {
    await go("/");
    assert.equal(await heading(), "Sign in");
    await looked("sign-in");
    await fill("api-token", "wrong");
    await press("Sign in");
    assert.match(await text(), /the API token is not the one/);
  });
  await step("the token lets in, by keyboard alone", async () => {
    await go("/signin");
    await page.focus("[name=api-token]");
    await page.keyboard.type(place.token);
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
    assert.equal(await heading(), "Instances");
    assert.match(await text(), /no instances yet/);
    await looked("empty");
  });
  await step("the next runs follow what is typed", async () => {
    await press("New instance");
    await fill("event.poller.schedule", "30 2 * * *");
    await fill("event.poller.timezone", "Europe/Berlin");
    await until("the runs", () => page.$eval("#runs", runs => /02:30:00 \+0[12]:00/.test(runs.textContent)));
    await fill("event.poller.schedule", "61 * * * *");
    await until("the complaint", () => page.$eval("#runs", runs => runs.querySelector(".bad") !== null));
  });
  await step("form and JSON follow each other while either is typed, and neither loses what is the other's", async () => {
    await go("/page/instances/new");
    await fill("name", "Näme");
    await until("the JSON", () => page.$eval("#document", json => JSON.parse(json.value).name === "Näme"));
    const document = JSON.parse(await page.$eval("#document", json => json.value));
    document.name = "Other";
    document.configuration["event.filter.types"] = ["CREATED"];
    await fill("document", JSON.stringify(document));
    await until("the form", () => page.$eval("[name=name]", field => field.value === "Other"));
    await fill("tags", "one, two");
    await until("the JSON again", () => page.$eval("#document", json => JSON.parse(json.value).tags.length === 2));
    const kept = JSON.parse(await page.$eval("#document", json => json.value));
    assert.deepEqual(kept.configuration["event.filter.types"], ["CREATED"]);
    await fill("document", "{");
    await until("the complaint", () => page.$eval("#told", told => told.textContent.includes("cannot be read")));
    await press("Add a resource");
    assert.match(await text(), /cannot be read/);
    await go("/page/instances/new");
    await press("Add a resource");
    assert.equal((await page.$$("[name^='url.']")).length, 2);
  });
  await step("every mistake stands at its field", async () => {
    await go("/page/instances/new");
    await fill("event.poller.schedule", "61 * * * *");
    await fill("name", "123");
    await fill("event.notification.callback.url", "ftp://x");
    await page.$eval("form[action='/page/instances/new']", form => { form.noValidate = true; });
    await press("Create Instance");
    const wrong = await page.$$eval("[aria-invalid]", fields => fields.map(field => field.name));
    for (const name of ["name", "event.notification.callback.url", "event.poller.schedule"]) assert.ok(wrong.includes(name), `${name} in ${wrong}`);
    assert.equal(await page.evaluate(() => document.activeElement.name), "name");
    await looked("mistakes");
  });
  await step("an instance is created by keyboard alone, through the provider's sign-in", async () => {
    await go("/page/instances/new");
    await typed("name", "Finance OneDrive");
    await typed("tags", "Docs, Berlin");
    await typed("oauth.api.key", "app-id");
    await typed("oauth.api.secret", "app-secret");
    await typed("event.notification.callback.url", place.callback);
    await typed("event.notification.signature.key", "a key of mine");
    await until("the JSON", () => page.$eval("#document", json => json.value.includes("event.notification.signature.key")));
    await looked("create");
    await page.focus("[name=name]");
    await enter();
    assert.equal(await heading(), "Sign in at Microsoft");
    await page.focus("a.main");
    await enter();
    assert.match(await text(), /signed in: instance 1/);
  });
  await step("a change becomes a delivered event", async () => {
    await go("/page/instances/1");
    await press("Poll now");
    await until("the first poll", async () => { await go("/page/instances/1"); return (await text()).includes("done"); });
    await place.ask("file", "/<img src=x onerror=document.title=1>.txt");
    await press("Poll now");
    await until("the delivery", () => place.delivered.some(body => body.message.events.some(event => event.path.includes("onerror"))));
    await until("the page", async () => { await go("/page/instances/1"); return (await text()).includes("delivered"); });
    assert.match(await text(), /<img src=x onerror=document.title=1>.txt/);
    assert.equal(await page.title(), "Finance OneDrive · deltapost");
    await looked("instance");
  });
  await step("the list and the outbox show it", async () => {
    await go("/");
    assert.match(await text(), /Finance OneDrive/);
    await looked("instances");
    await go("/page/outbox?state=delivered");
    await looked("outbox");
    await go("/page/outbox/1");
    assert.match(await text(), /200/);
    await looked("notification");
  });
  await step("a receiver that fails is shown, and can be resumed once it is mended", async () => {
    place.answerWith(503);
    await place.ask("file", "/late.txt");
    await go("/page/instances/1");
    await press("Poll now");
    await until("the failure", async () => { await go("/page/outbox"); return (await text()).includes("backing off"); });
    assert.match(await text(), /503/);
    await looked("outbox-failing");
    await press("2");
    await looked("notification-failing");
    place.answerWith(200);
    await go("/page/outbox");
    await press("Resume");
    await until("the delivery", () => place.delivered.some(body => body.message.events.some(event => event.path === "/late.txt")));
    await until("the page", async () => { await go("/page/outbox"); return (await text()).includes("active"); });
  });
  await step("everything can be reached with the tabulator, and shows where it is", async () => {
    await go("/page/instances/1");
    const all = await page.$$eval("a, button, input:not([type=hidden]), textarea", found => found.length);
    const seen = new Set();
    for (let at = 0; at < all + 12; at++) {
      await page.keyboard.press("Tab");
      seen.add(await page.evaluate(() => {
        const now = document.activeElement, style = getComputedStyle(now);
        return `${now.tagName} ${now.textContent.slice(0, 20)} ${now.name ?? ""} ${now === document.body || style.outlineStyle !== "none"}`;
      }));
    }
    assert.ok(seen.size >= Math.min(all, 12), `${seen.size} of ${all}`);
    assert.deepEqual([...seen].filter(one => one.endsWith("false")), []);
  });
  await step("it works without a script", async () => {
    await page.setJavaScriptEnabled(false);
    await go("/page/instances/new");
    await fill("event.poller.schedule", "0 4 * * *").catch(() => {});
    assert.match(await page.content(), /The next runs/);
    await go("/page/instances/1");
    assert.match(await page.content(), /UTC<\/time>/);
    await page.setJavaScriptEnabled(true);
  });
  await step("deletion wants the name typed, and signing out ends it", async () => {
    await go("/page/instances/1");
    await page.type("[name=name]", "Finance");
    await press("Delete instance");
    assert.match(await text(), /nothing was deleted/);
    await go("/page/instances/1");
    await page.type("[name=name]", "Finance OneDrive");
    await press("Delete instance");
    assert.match(await text(), /no instances yet/);
    await press("Sign out");
    await go("/");
    assert.equal(await heading(), "Sign in");
  });
  await step("the browser had nothing to refuse", async () => assert.deepEqual(refusals, []));
} catch (error) {
  failed++;
  console.error(error);
} finally {
  await leave();
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
