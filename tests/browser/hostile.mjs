// Clients that want to be somebody else, or to break the page: nothing runs, nothing leaves its place, and where a client comes
// from stands before what it calls itself.
import { admin, assert, base, call, clients, DEFAULT, play } from "./stage.mjs";

const wide = "Ｗ".repeat(256);
const NAMES = [
  "<script>globalThis.hacked = 1</script>",
  "<img src=x onerror=globalThis.hacked=1>",
  "\"><svg onload=globalThis.hacked=1>",
  "javascript:globalThis.hacked=1",
  "claude.ai ".repeat(25).trim(),
  wide,
  "شركة اختبار",
  "a\u200bb\u2060c",
  "Z̴̢͔a̷͎͝l̸̰͊g̶͚̈o̵̱͑ ".repeat(8).slice(0, 200),
  "{{constructor.constructor('globalThis.hacked=1')()}}",
];
const LONG = `https://${"a".repeat(60)}.${"b".repeat(60)}.${"c".repeat(60)}.evil.example/${"d".repeat(1_800)}`;

await play(async (stage) => {
  const made = [];
  for (const [index, client_name] of NAMES.entries()) {
    const answer = await call("POST", "/oauth/register", {
      client_name, redirect_uris: [`https://host-${index}.example/cb?x=<b>`.replace(/[<>]/g, ""), LONG], client_uri: "https://evil.example/<>".replace(/[<>]/g, ""),
      scope: "read", contacts: ["<script>globalThis.hacked=1</script>"], software_id: "\"><script>globalThis.hacked=1</script>", token_endpoint_auth_method: "none",
    });
    // A name with direction overrides or the like is refused at the door; what is let in is shown.
    if (answer.status === 201) made.push(answer.body);
    else assert.equal(answer.status, 400, JSON.stringify(answer.body));
  }
  assert.ok(made.length >= 8, `${made.length} came in`);
  const override = await call("POST", "/oauth/register", { client_name: "good\u202egnp.exe", redirect_uris: ["https://evil.example/cb"] });
  assert.equal(override.status, 400);
  await admin("PATCH", `/authsec/resource-servers/${DEFAULT}`, { name: "<script>globalThis.hacked = 1</script>" });
  await admin("POST", `/authsec/resource-servers/${DEFAULT}/clients/${made[0].client_id}/suspend`, { reason: "<script>globalThis.hacked=1</script>\u202e" });
  await admin("PATCH", `/authsec/resource-servers/${DEFAULT}`, { policy: { admission: { dcr: "review" } } });
  await call("POST", "/oauth/register", { client_name: wide, redirect_uris: [LONG], token_endpoint_auth_method: "none" });

  const places = ["/ui", `${clients}`, `${clients}?group=none`, "/ui/approvals", "/ui/audit", `${clients}?q=${encodeURIComponent("<script>globalThis.hacked=1</script>")}`,
    `/ui/servers/${DEFAULT}/settings`, ...made.map((client) => `${clients}/${client.client_id}`)];
  for (const width of [1280, 390]) {
    const page = await stage.signedIn({ viewport: { width, height: 820 } });
    for (const place of places) {
      await page.goto(base + place);
      assert.equal(await page.evaluate(() => globalThis.hacked), undefined, place);
      assert.equal(await page.evaluate(() => document.querySelectorAll("body script, body img, body iframe").length), 0, place);
      const [whole, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      const beyond = whole <= seen + 1 ? [] : await page.evaluate(() => [...document.querySelectorAll("*")]
        .filter((element) => element.getBoundingClientRect().right > innerWidth + 1).map((element) => `${element.tagName}.${element.className}`));
      assert.ok(whole <= seen + 1, `${place} at ${width}: ${whole} wide in ${seen}: ${beyond}`);
      const tall = await page.locator("td.who").evaluateAll((cells) => cells.map((cell) => cell.getBoundingClientRect().height));
      assert.ok(width < 500 || tall.every((height) => height < 60), `${place}: rows of ${tall}`);
      // Where it comes from stands first, and is in sight.
      for (const client of await page.locator(".client").all()) {
        const host = client.locator(".host");
        const [at, name] = [await host.boundingBox(), await client.locator(".name").boundingBox()];
        assert.ok(at.width > 20 && at.x >= 0 && at.x + 20 < width, `${place}: a host out of sight`);
        assert.ok(!name || name.width === 0 || at.x <= name.x || at.y < name.y, `${place}: a name before its host`);
      }
    }
    await page.context().close();
  }

  // The end of a long host is what tells whose it is.
  const page = await stage.signedIn();
  await page.goto(`${base}/ui/approvals`);
  assert.match(await page.locator(".queue .host").first().innerText(), /\.evil\.example$/);
  // What has no shape is shown by its number.
  const invisible = made.find((client) => client.client_name.includes("\u200b"));
  if (invisible) {
    await page.goto(`${base}${clients}/${invisible.client_id}`);
    await page.getByText("U+200B").first().waitFor();
  }
  await page.goto(`${base}${clients}/${made[0].client_id}`);
  await page.locator("#events .odd", { hasText: "U+202E" }).first().waitFor();
});
