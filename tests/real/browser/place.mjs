// What stands around the page: the simulated provider, a receiver, the agent, and a browser. Everything ends with `leave`.
import {spawn, spawnSync} from "node:child_process";
import {readFileSync, writeFileSync} from "node:fs";
import http from "node:http";
import readline from "node:readline";
import puppeteer from "puppeteer-core";

const {SITE: site, DELTAPOST: deltapost, STAGE: stageProgram, CHROMIUM: chromium} = process.env;
const leaving = [];
export const leave = () => Promise.all(leaving.reverse().map(end => end()));

const running = (program, args, options) => {
  const child = spawn(program, args, options);
  leaving.push(() => new Promise(ended => {
    if (child.exitCode !== null) return ended();
    child.once("exit", ended);
    child.kill();
  }));
  return child;
};

export async function until(what, is, patience = 30000) {
  const deadline = Date.now() + patience;
  for (;;) {
    if (await is()) return;
    if (Date.now() > deadline) throw new Error(`in vain waited for: ${what}`);
    await new Promise(wait => setTimeout(wait, 50));
  }
}

export async function open() {
  const delivered = [];
  let status = 200;
  const receiver = http.createServer((request, answer) => {
    let body = "";
    request.on("data", part => body += part).on("end", () => { if (status === 200) delivered.push(JSON.parse(body)); answer.writeHead(status).end(); });
  });
  await new Promise(listening => receiver.listen(0, "127.0.0.1", listening));
  leaving.push(() => new Promise(closed => { receiver.close(closed); receiver.closeAllConnections(); }));

  const stage = running(stageProgram, [], {stdio: ["pipe", "pipe", "inherit"]});
  const lines = readline.createInterface({input: stage.stdout})[Symbol.asyncIterator]();
  const line = async () => (await lines.next()).value;
  const authority = (await line()).split("\t")[1], graph = (await line()).split("\t")[1];
  const ask = async (...words) => {
    stage.stdin.write(words.join("\t") + "\n");
    const answer = await line();
    if (answer.startsWith("error")) throw new Error(answer);
    return answer;
  };

  const config = `${site}/deltapost.toml`;
  writeFileSync(config, `data_dir = "${site}/data"\n[listen]\naddress = "127.0.0.1:0"\n[microsoft]\nauthority = "${authority}"\ngraph = "${graph}"\n`);
  const init = spawnSync(deltapost, ["--config", config, "init"], {encoding: "utf8"});
  if (init.status !== 0) throw new Error(init.stderr);
  const agent = running(deltapost, ["--config", config, "run"], {stdio: ["ignore", "inherit", "pipe"]});
  let log = "";
  agent.stderr.on("data", part => { log += part; });
  await until("the agent listens", () => /page=(\S+)/.test(log));
  const port = new URL(/page=(\S+)/.exec(log)[1]).port;

  const browser = await puppeteer.launch({executablePath: chromium, args: ["--no-sandbox", "--disable-dev-shm-usage"]});
  leaving.push(() => browser.close());
  return {
    ask, browser, delivered, answerWith: code => { status = code; }, log: () => log, base: `http://localhost:${port}`, callback: `http://127.0.0.1:${receiver.address().port}/`,
    token: readFileSync(`${site}/data/api.token`, "utf8").trim(),
  };
}
