// What every scene has: a browser of its own, an administrator, the API beside the pages, and eyes for what must never happen.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

export const base = process.argv[2];
export const token = process.env.GATEBOOK_TOKEN;
export const DEFAULT = "67617465-626f-4f6b-8000-000000000001";
export const clients = `/ui/servers/${DEFAULT}/clients`;
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

/// Plays a scene from its beginning to its end. Whatever a page complained about is a failure, unless the scene expected it.
export async function play(scene) {
  const browser = await chromium.launch({ executablePath: process.env.GATEBOOK_BROWSER, args: FLAGS });
  const stage = new Stage(browser);
  try {
    await scene(stage);
    assert.deepEqual(stage.complaints, [], "the pages complained");
  } finally {
    await browser.close();
  }
  console.log("all is well");
}

class Stage {
  constructor(browser) {
    this.browser = browser;
    this.complaints = [];
    this.expected = [];
  }

  /// A window of somebody who is not signed in.
  async window(options = {}) {
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 820 }, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    const complain = (text) => {
      if (!this.expected.some((known) => text.includes(known))) this.complaints.push(text);
    };
    page.on("console", (message) => { if (message.type() === "error") complain(message.text()); });
    page.on("pageerror", (error) => complain(String(error)));
    page.on("response", (answer) => { if (answer.status() >= 500) complain(`${answer.status()} ${answer.url()}`); });
    page.on("request", (request) => {
      if (!request.url().startsWith(base) && !request.url().startsWith("data:")) complain(`asked elsewhere: ${request.url()}`);
    });
    return page;
  }

  /// A window of somebody who signed in with a token; the administrator's, unless another is given.
  async signedIn(options = {}) {
    const { as = token, ...rest } = options;
    const page = await this.window(rest);
    await page.goto(`${base}/ui/sign-in`);
    await page.fill("#token", as);
    await page.getByRole("button", { name: "Sign in with a token" }).click();
    await page.waitForURL(`${base}/ui`);
    return page;
  }

  /// Says that a page may complain about this, which the scene brings about itself.
  expect(text) {
    this.expected.push(text);
  }
}

/// A call of the API; what it answers.
export async function call(method, path, body, bearer) {
  const headers = { "content-type": "application/json" };
  if (bearer) headers.authorization = `Bearer ${bearer}`;
  const answer = await fetch(base + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  return { status: answer.status, body: text ? JSON.parse(text) : null };
}

export const admin = (method, path, body) => call(method, path, body, token);

/// A client that registers itself.
export async function register(members) {
  const answer = await call("POST", "/oauth/register", members);
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer.body;
}

export const claude = (port) => register({
  client_name: "Claude Code", redirect_uris: [`http://localhost:${port}/callback`],
  grant_types: ["authorization_code", "refresh_token"], token_endpoint_auth_method: "none",
});

/// A client whose change of redirect URIs waits.
export async function withStagedChange(name, added) {
  const client = await register({ client_name: name, redirect_uris: ["https://dash.example.com/cb"], token_endpoint_auth_method: "none" });
  const wider = { client_id: client.client_id, client_name: name, redirect_uris: ["https://dash.example.com/cb", added], token_endpoint_auth_method: "none" };
  const answer = await call("PUT", new URL(client.registration_client_uri).pathname, wider, client.registration_access_token);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return client;
}

/// A client as the administrators' API has it.
export async function shown(client_id) {
  return (await admin("GET", `/authsec/resource-servers/${DEFAULT}/clients/${encodeURIComponent(client_id)}`)).body;
}

/// What axe finds wrong with a page. The page's own policy forbids what is injected, so this window has it off.
export async function violations(page) {
  const require = createRequire(import.meta.url);
  await page.evaluate(await readFile(require.resolve("axe-core/axe.min.js"), "utf8"));
  const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  return found.violations.map((of) => `${of.id}: ${of.nodes.slice(0, 4).map((node) => `${node.target} ${node.failureSummary}`).join(" | ")}`);
}

export { assert };
