// A client is pre-registered: what is wrong is said while it is typed, and the secret is shown once.
import { DEFAULT, admin, assert, base, clients, play, shown } from "./stage.mjs";

await play(async (stage) => {
  const page = await stage.signedIn();
  await page.goto(`${base}${clients}`);
  await page.getByRole("link", { name: "Pre-register", exact: true }).click();

  await page.getByLabel("Name", { exact: true }).fill("release-ci");
  const uris = page.getByLabel("Redirect URIs");
  await uris.fill("http://ci.example.com/cb");
  await page.getByText("Line 1", { exact: false }).waitFor();
  assert.equal(await uris.getAttribute("aria-invalid"), "true");
  await uris.fill("https://ci.example.com/cb");
  await page.waitForFunction(() => document.querySelector("#redirect_uris-wrong").textContent === "");

  await page.getByRole("button", { name: "Enter the client" }).click();
  const secret = await page.locator("#secret").textContent();
  assert.match(secret, /^gbs_/);
  const { body } = await admin("GET", `/authsec/resource-servers/${DEFAULT}/clients`);
  const [entered] = body.clients;
  assert.equal(body.clients.length, 1);
  assert.ok(!page.url().includes(secret), "a secret is in no address");

  // A reload sends the form again: nobody else is entered, and nothing is shown again.
  await page.reload();
  await page.getByText("entered already").waitFor();
  assert.ok(!(await page.content()).includes(secret));
  assert.equal((await admin("GET", `/authsec/resource-servers/${DEFAULT}/clients`)).body.clients.length, 1);
  await page.goBack().catch(() => null);
  assert.ok(!(await page.content()).includes(secret), "nor by going back");

  // It is replaced, and the form that did it replaces it no second time.
  const own = `${base}${clients}/${encodeURIComponent(entered.client_id)}`;
  await page.goto(own);
  await page.getByLabel("The old secret").selectOption("3600");
  await page.getByRole("button", { name: "Make a new secret" }).click();
  const other = await page.locator("#secret").textContent();
  assert.match(other, /^gbs_/);
  assert.notEqual(other, secret);
  await page.reload();
  await page.getByText("was replaced since that page was opened").waitFor();
  assert.ok(!(await page.content()).includes(other));
  await page.goto(own);
  await page.getByText("works until").waitFor();
  await page.getByRole("button", { name: "End the old secret now" }).click();
  await page.getByText("The old secret works no more.").waitFor();

  // The presets fill the form in, without the script too.
  await page.goto(`${base}/ui/servers/${DEFAULT}/enter`);
  await page.getByRole("link", { name: "claude" }).click();
  assert.match(await page.getByLabel("Redirect URIs").inputValue(), /^https:\/\/claude\.ai\/api\/mcp\/auth_callback/);
  await page.getByRole("button", { name: "Enter the client" }).click();
  await page.getByText("It has no secret").waitFor();
  const client_id = decodeURIComponent(page.url().split("/").pop());
  assert.equal((await shown(client_id)).token_endpoint_auth_method, "none");
});
