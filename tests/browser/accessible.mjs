// Every page, light and dark, wide and narrow: axe finds nothing wrong with it.
import { admin, assert, base, call, claude, clients, DEFAULT, play, register, violations, withStagedChange } from "./stage.mjs";

await play(async (stage) => {
  for (let port = 0; port < 3; port += 1) await claude(33_417 + port);
  const staged = await withStagedChange("Dashboard", "https://relay.example.org/cb");
  const entered = (await admin("POST", `/authsec/resource-servers/${DEFAULT}/clients`, { client_name: "nightly-ci" })).body;
  await admin("PATCH", `/authsec/resource-servers/${DEFAULT}`, { policy: { admission: { dcr: "review" } } });
  await register({ client_name: "CIaude Code", redirect_uris: ["https://claude-code.example.net/cb"], token_endpoint_auth_method: "none" });
  const suspended = await admin("POST", `/authsec/resource-servers/${DEFAULT}/clients/${entered.client_id}/suspend`, { reason: "audit" });
  assert.equal(suspended.status, 200);
  const server = `/ui/servers/${DEFAULT}`;
  const places = ["/ui", "/ui/approvals", "/ui/audit", "/ui/audit?type=client.deleted", clients, `${clients}?group=none`, `${clients}?q=nobody`, `${clients}/${staged.client_id}?ask=1&redirect_uri=https://evil.example/`,
    `${clients}/${entered.client_id}`, `${server}/enter`, `${server}/enter?start=claude`, `${server}/settings`, "/ui/servers/new", "/ui/nowhere"];
  stage.expect("404");
  const found = [];
  for (const [colorScheme, width] of [["light", 1280], ["dark", 1280], ["light", 390]]) {
    const options = { bypassCSP: true, colorScheme, viewport: { width, height: 820 } };
    const guest = await stage.window(options);
    await guest.goto(`${base}/ui/sign-in`);
    found.push(...(await violations(guest)).map((of) => `${colorScheme} ${width} sign-in: ${of}`));
    const page = await stage.signedIn(options);
    for (const place of places) {
      await page.goto(base + place);
      found.push(...(await violations(page)).map((of) => `${colorScheme} ${width} ${place}: ${of}`));
    }
    // Pages that answer a form.
    await page.goto(`${base}${clients}?group=none`);
    await page.getByRole("checkbox", { name: "Select nightly-ci" }).check();
    await page.getByRole("button", { name: "Reinstate…" }).click();
    await page.getByRole("heading", { name: "Reinstate 1 client?" }).waitFor();
    found.push(...(await violations(page)).map((of) => `${colorScheme} ${width} preview: ${of}`));
    await page.goto(`${base}${server}/settings`);
    await page.getByLabel("Redirect URIs that are expected").fill("loopback");
    await page.getByRole("button", { name: "Rehearse" }).click();
    await page.getByText("would be refused").first().waitFor();
    found.push(...(await violations(page)).map((of) => `${colorScheme} ${width} rehearsal: ${of}`));
    await page.goto(`${base}${server}/enter`);
    await page.getByLabel("Name", { exact: true }).fill(`made-${colorScheme}-${width}`);
    await page.getByRole("button", { name: "Enter the client" }).click();
    await page.locator("#secret").waitFor();
    found.push(...(await violations(page)).map((of) => `${colorScheme} ${width} secret: ${of}`));
    await page.context().close();
  }
  assert.deepEqual(found, []);
  // Whoever wants no motion gets none.
  const still = await stage.signedIn({ reducedMotion: "reduce" });
  await still.goto(base + clients);
  await still.locator("html[data-live=on]").waitFor();
  await call("POST", "/oauth/register", { client_name: "Newcomer", redirect_uris: ["https://new.example/cb"] });
  await still.getByText("Newcomer").waitFor();
  assert.equal(await still.evaluate(() => document.getAnimations().length), 0);
});
