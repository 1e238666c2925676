// Times are in one zone, which rows and fields name, and which the viewer switches.
import { assert, base, clients, claude, play } from "./stage.mjs";

await play(async (stage) => {
  const client = await claude(33_417);
  // New York, where it is never the time of UTC.
  const page = await stage.signedIn({ timezoneId: "America/New_York", locale: "en-GB" });
  await page.goto(`${base}/ui/audit?since=2020-06-01T12:00:00`);
  assert.equal(await page.inputValue("#f-since"), "2020-06-01T12:00");
  assert.match(await page.locator("label[for=f-since]").innerText(), /UTC/);
  assert.match(await page.locator(".trail time").first().innerText(), /UTC$/);

  await page.getByRole("button", { name: "Show times of this browser's zone" }).click();
  assert.equal(await page.inputValue("#f-since"), "2020-06-01T08:00");
  assert.match(await page.locator("label[for=f-since]").innerText(), /America\/New_York/);
  assert.doesNotMatch(await page.locator(".trail time").first().innerText(), /UTC$/);

  // What is sent is UTC again, and the next page goes on in the zone that was chosen.
  await page.getByRole("button", { name: "Show", exact: true }).click();
  await page.waitForURL(/since=2020-06-01T12%3A00/);
  assert.equal(await page.inputValue("#f-since"), "2020-06-01T08:00");

  await page.goto(`${base}${clients}/${client.client_id}`);
  await page.getByRole("button", { name: "Show times in UTC" }).click();
  assert.match(await page.locator("#events time").first().innerText(), /UTC$/);

  // What takes a client's access away is asked about first.
  await page.fill("#decide-reason", "a lost laptop");
  await page.getByRole("button", { name: "Suspend…" }).click();
  await page.getByRole("heading", { name: "Suspend 1 client?" }).waitFor();
  assert.equal(await page.inputValue("#reason"), "a lost laptop");
  await page.getByRole("button", { name: "Suspend 1 client" }).click();
  await page.getByText("1 client was suspended.").waitFor();
});
