// A staged change is approved and another rejected, by keyboard; the queue grows in a tab that nobody touches.
import { admin, assert, base, DEFAULT, play, register, shown, withStagedChange } from "./stage.mjs";

await play(async (stage) => {
  const first = await withStagedChange("Dashboard", "https://dash-staging.example.net/cb");
  const page = await stage.signedIn();
  const other = await stage.signedIn();
  await other.goto(`${base}/ui/approvals`);
  await other.locator("html[data-live=on]").waitFor();
  await page.goto(`${base}/ui/approvals`);
  const item = page.locator(".queue > li");
  assert.equal(await item.count(), 1);
  assert.match(await item.locator(".added").innerText(), /dash-staging\.example\.net/);

  const second = await withStagedChange("Relay", "https://relay.example.org/cb");
  await other.getByText("Relay", { exact: true }).waitFor();
  assert.equal(await other.locator("#waiting-count").innerText().then((text) => text.trim().startsWith("2")), true);

  // The oldest first: approved with one key, and the next one is at hand.
  await page.getByText("Relay", { exact: true }).waitFor();
  await page.keyboard.press("j");
  assert.match(await page.locator(".queue > li.at").innerText(), /Dashboard/);
  await page.keyboard.press("a");
  await page.getByText("Dashboard was given what it asked for.").waitFor();
  assert.deepEqual((await shown(first.client_id)).redirect_uris, ["https://dash.example.com/cb", "https://dash-staging.example.net/cb"]);
  await page.locator(".queue > li.at").getByText("Relay", { exact: true }).waitFor();
  await page.keyboard.press("r");
  await page.keyboard.type("nobody knows relay.example.org");
  await page.keyboard.press("Enter");
  await page.getByText("Relay was refused what it asked for.").waitFor();
  const refused = await shown(second.client_id);
  assert.equal(refused.staged_change, undefined);
  assert.deepEqual(refused.redirect_uris, ["https://dash.example.com/cb"]);
  await other.getByText("Nothing waits").waitFor();
  assert.ok(refused.history.some((event) => event.data.reason === "nobody knows relay.example.org" && event.actor.via === "ui"));

  // What somebody else decided meanwhile is said, and nothing is decided twice.
  const third = await withStagedChange("Late", "https://late.example.org/cb");
  await page.goto(`${base}/ui/servers/${DEFAULT}/clients/${third.client_id}`);
  await page.evaluate(() => document.body.removeAttribute("data-live-at"));
  const stale = await stage.signedIn({ javaScriptEnabled: false });
  await stale.goto(`${base}/ui/servers/${DEFAULT}/clients/${third.client_id}`);
  await admin("PUT", `/authsec/resource-servers/${DEFAULT}/clients/${third.client_id}/reject-redirects`, {});
  await stale.getByRole("button", { name: "Approve" }).click();
  await stale.getByRole("alert").getByText("Nothing was changed").waitFor();
  assert.deepEqual((await shown(third.client_id)).redirect_uris, ["https://dash.example.com/cb"]);

  // A registration that waits, where the resource server wants a review.
  await admin("PATCH", `/authsec/resource-servers/${DEFAULT}`, { policy: { admission: { dcr: "review" } } });
  const asking = await register({ client_name: "Invoice Agent", redirect_uris: ["https://agent.example.org/cb"] });
  await page.goto(`${base}/ui/servers/${DEFAULT}/clients/${asking.client_id}`);
  await page.getByRole("heading", { name: "It asks to be let in" }).waitFor();
  await page.getByRole("button", { name: "Approve" }).click();
  await page.getByText("Invoice Agent was approved.").waitFor();
  assert.equal((await shown(asking.client_id)).status, "approved");
});
