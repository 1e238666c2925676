// A register of five thousand clients stays usable: pages come quickly, one after the other, and the filter is as quick.
import { assert, base, clients, play, register } from "./stage.mjs";

const MANY = 5_000;

await play(async (stage) => {
  let next = 0;
  const registering = async () => {
    while (next < MANY) {
      const number = next++;
      // Half are instances of one program, half are all different.
      const members = number % 2 === 0
        ? { client_name: "Claude Code", redirect_uris: [`http://localhost:${1024 + (number % 60_000)}/callback`] }
        : { client_name: `Tool ${number}`, redirect_uris: [`https://tool-${number}.example/cb`] };
      await register({ ...members, token_endpoint_auth_method: "none" });
    }
  };
  await Promise.all(Array.from({ length: 16 }, registering));

  const page = await stage.signedIn();
  const timed = async (what, act) => {
    const begun = performance.now();
    await act();
    const took = performance.now() - begun;
    assert.ok(took < 3_000, `${what} took ${Math.round(took)} ms`);
    console.log(`${what}: ${Math.round(took)} ms`);
  };
  await timed("by family", () => page.goto(base + clients));
  await page.getByText("2 500 instances").or(page.getByText("2 500 instances")).first().waitFor();
  assert.equal(await page.locator("tbody tr").count(), 50);
  await timed("one by one", () => page.goto(`${base}${clients}?group=none`));
  const seen = new Set(await page.locator("td.pick input").evaluateAll((boxes) => boxes.map((box) => box.value)));
  for (let turn = 0; turn < 3; turn += 1) {
    await timed("next page", () => page.getByRole("link", { name: "Next page" }).click());
    await page.waitForURL(/cursor=/);
    for (const value of await page.locator("td.pick input").evaluateAll((boxes) => boxes.map((box) => box.value))) {
      assert.ok(!seen.has(value), "a client is on one page only");
      seen.add(value);
    }
  }
  assert.equal(seen.size, 200);
  await timed("a filter", () => page.goto(`${base}${clients}?q=tool-4999.example`));
  assert.equal(await page.locator("tbody tr").count(), 1);
  await timed("a family", () => page.goto(`${base}${clients}?q=claude`));
  await page.locator("a.open").first().click();
  await page.waitForURL(/family=/);
  assert.equal(await page.locator("tbody tr").count(), 50);
  await timed("the overview", () => page.goto(`${base}/ui`));
});
