// Thirty instances are suspended and reinstated together, after a preview that says what is about to happen.
import { assert, base, claude, clients, play, register, shown } from "./stage.mjs";

await play(async (stage) => {
  const claudes = [];
  for (let port = 0; port < 30; port += 1) claudes.push(await claude(33_417 + port));
  const codex = await register({ client_name: "Codex", redirect_uris: ["http://127.0.0.1:1455/cb"], token_endpoint_auth_method: "none" });
  const page = await stage.signedIn();
  await page.goto(base + clients);
  assert.equal(await page.locator("tbody tr").count(), 2, "one row for a family, and one for Codex");
  await page.getByText("30 instances").waitFor();

  await page.getByRole("checkbox", { name: "Select Claude Code" }).check();
  await page.getByText("With 1 selected:").waitFor();
  await page.getByRole("button", { name: "Suspend…" }).click();
  await page.getByRole("heading", { name: "Suspend 30 clients?" }).waitFor();
  assert.equal((await shown(claudes[0].client_id)).status, "approved", "a preview changes nothing");
  await page.getByLabel("Reason, for the history").fill("laptops are being replaced");
  await page.getByRole("button", { name: "Suspend 30 clients" }).click();
  await page.getByText("30 clients were suspended.").waitFor();
  for (const client of claudes) assert.equal((await shown(client.client_id)).status, "suspended");
  assert.equal((await shown(codex.client_id)).status, "approved");

  // One by one, filtered by the status: all of them, and what is so already stays.
  await page.goto(`${base}${clients}?status=suspended&group=none`);
  await page.getByRole("checkbox", { name: "Select all on this page" }).check();
  await page.getByText("With 30 selected:").waitFor();
  await page.getByRole("button", { name: "Reinstate…" }).click();
  await page.getByRole("button", { name: "Reinstate 30 clients" }).click();
  await page.getByText("30 clients were reinstated.").waitFor();
  for (const client of claudes) assert.equal((await shown(client.client_id)).status, "approved");

  await page.goto(`${base}${clients}?group=none`);
  await page.getByRole("checkbox", { name: "Select Codex" }).check();
  await page.getByRole("button", { name: "Reinstate…" }).click();
  await page.getByText("Cannot be done").or(page.getByText("Stays as it is")).first().waitFor();
  await page.getByText("Nothing would change.").waitFor();
});
