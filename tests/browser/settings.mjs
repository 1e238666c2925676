// Registration by clients themselves is switched off, and somebody is refused; a draft of rules is rehearsed before it holds.
import { admin, assert, base, call, claude, DEFAULT, play, register, shown } from "./stage.mjs";

await play(async (stage) => {
  const first = await claude(33_417);
  await register({ client_name: "Dashboard", redirect_uris: ["https://dash.example.com/cb"] });
  const page = await stage.signedIn();
  await page.goto(`${base}/ui/servers/${DEFAULT}/settings`);
  await page.getByText("2 clients came this way.").waitFor();

  await page.getByRole("checkbox", { name: "Clients register themselves" }).uncheck();
  await page.getByRole("button", { name: "Save the ways in" }).click();
  await page.getByText("Open now: cimd, prereg.").waitFor();
  const refused = await call("POST", "/oauth/register", { client_name: "Codex", redirect_uris: ["http://127.0.0.1/cb"] });
  assert.deepEqual([refused.status, refused.body.error], [403, "access_denied"]);
  assert.equal((await shown(first.client_id)).status, "approved", "who is in stays in");

  // Off for those who are in, too.
  await page.getByRole("checkbox", { name: "Clients register themselves" }).check();
  await page.getByRole("button", { name: "Save the ways in" }).click();
  await page.getByText("Open now: cimd, dcr, prereg.").or(page.getByText("Open now: dcr, cimd, prereg.")).waitFor();
  await page.getByRole("checkbox", { name: "Clients register themselves" }).uncheck();
  await page.getByRole("radio", { name: "are suspended until it is switched on again" }).check();
  await page.getByRole("button", { name: "Save the ways in" }).click();
  await page.getByText("They are suspended while it is off").waitFor();
  assert.equal((await shown(first.client_id)).reason, "mode_suspended");
  await page.getByRole("checkbox", { name: "Clients register themselves" }).check();
  await page.getByRole("button", { name: "Save the ways in" }).click();
  await page.getByRole("status").waitFor();
  assert.equal((await shown(first.client_id)).status, "approved");

  // A draft says whom it would turn away, and changes nothing until it is saved.
  const rules = page.getByLabel("Redirect URIs that are expected");
  await rules.fill("preset claude\nexact nonsense");
  await page.getByRole("button", { name: "Rehearse" }).click();
  await page.getByRole("alert").waitFor();
  assert.match(await rules.inputValue(), /exact nonsense/, "what was typed stays");
  await rules.fill("preset claude\nanything");
  await page.getByRole("button", { name: "Rehearse" }).click();
  await page.getByRole("alert").getByText("Line 2 of the redirect rules is none").waitFor();
  await rules.fill("preset claude");
  await page.getByRole("button", { name: "Rehearse" }).click();
  await page.getByText("1 would be refused").waitFor();
  await page.getByRole("region", { name: "Clients that the draft would turn away" }).getByRole("link", { name: "Dashboard" }).waitFor();
  const policy = async () => (await admin("GET", `/authsec/resource-servers/${DEFAULT}`)).body.policy;
  assert.deepEqual((await policy()).redirect_rules, []);
  await page.getByRole("button", { name: "Save the rules" }).click();
  await page.getByText("The rules are saved.").waitFor();
  assert.deepEqual((await policy()).redirect_rules, [{ kind: "preset", preset: "claude", version: 1 }]);
  const outside = await call("POST", "/oauth/register", { client_name: "Codex", redirect_uris: ["https://codex.example/cb"] });
  assert.equal(outside.status, 400);

  // Another one is added and retired.
  await page.getByRole("link", { name: "Add a resource server" }).click();
  await page.getByLabel("Name", { exact: true }).fill("Payments API");
  await page.getByRole("button", { name: "Add it" }).click();
  await page.getByRole("heading", { name: "No client has come yet" }).waitFor();
  await page.getByRole("link", { name: "Settings" }).click();
  await page.getByText("End this resource server").click();
  await page.getByLabel("Type its name to confirm").fill("Payments API");
  await page.getByRole("button", { name: "Retire it" }).click();
  await page.getByText("Payments API is retired.").waitFor();
});
