// The whole Clients tab without a mouse: to it, along it, into it, and a decision about what was ticked.
import { assert, base, claude, clients, play, register, shown } from "./stage.mjs";

await play(async (stage) => {
  const names = ["Amber", "Birch", "Cedar"];
  const made = [];
  for (const name of names) made.push(await register({ client_name: name, redirect_uris: [`https://${name.toLowerCase()}.example/cb`] }));
  await claude(33_417);
  const page = await stage.signedIn();
  await page.goto(base + clients);
  const focused = () => page.evaluate(() => document.activeElement.closest("[data-row]")?.innerText ?? document.activeElement.outerHTML);

  // The first stop leads past the navigation.
  await page.keyboard.press("Tab");
  assert.match(await focused(), /Skip to the content/);
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");

  // Find, with the key that everybody tries; the answer is in the address.
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.id), "q");
  await page.keyboard.type("birch");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\?q=birch/);
  assert.equal(await page.locator("tbody tr").count(), 1);
  await page.keyboard.press("j");
  assert.match(await focused(), /Birch/);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "birch.example Birch" }).waitFor();
  await page.goBack();

  // A chip by Tab alone: every one is a link.
  await page.goto(base + clients);
  for (let steps = 0; steps < 60; steps += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement.textContent.trim() === "Name")) break;
  }
  await page.keyboard.press("Enter");
  await page.waitForURL(/sort=name/);
  const order = await page.locator("td.who .name").allInnerTexts();
  assert.deepEqual(order, ["Amber", "Birch", "Cedar", "Claude Code"]);

  // Two are ticked and suspended.
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  await page.getByText("With 2 selected:").waitFor();
  for (let steps = 0; steps < 30; steps += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement.value === "suspend")) break;
  }
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Suspend 2 clients?" }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), "reason");
  await page.keyboard.type("audit");
  await page.keyboard.press("Enter");
  await page.getByText("2 clients were suspended.").waitFor();
  assert.deepEqual(await Promise.all(made.map(async (client) => (await shown(client.client_id)).status)), ["suspended", "approved", "suspended"]);
});
