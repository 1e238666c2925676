// The list and the history at the widths that screens have: no column without room, no broken button, no text on other text.
import { assert, base, claude, clients, play, register, withStagedChange } from "./stage.mjs";

await play(async (stage) => {
  await claude(33_417);
  await register({ client_name: "A dashboard with quite a long name", redirect_uris: ["https://dashboard.internal.example.com/oauth/callback"] });
  await withStagedChange("Acme Dashboard", "https://dash-staging.example.net/cb");
  const page = await stage.signedIn();
  for (const width of [390, 768, 1024, 1280, 1366, 1440, 1920]) {
    await page.setViewportSize({ width, height: 820 });
    for (const address of [clients, `${clients}?group=none`]) {
      await page.goto(base + address);
      const found = await page.evaluate(() => {
        const lines = (element) => Math.round(element.getBoundingClientRect().height / parseFloat(getComputedStyle(element).lineHeight));
        const list = document.querySelector(".scroll");
        return {
          page: document.documentElement.scrollWidth - innerWidth,
          list: list.scrollWidth - list.clientWidth,
          who: Math.min(...[...document.querySelectorAll("td.who")].map((cell) => cell.getBoundingClientRect().width)),
          wrapped: [...document.querySelectorAll("button, .button")].filter((button) => button.offsetParent && lines(button) > 2).map((button) => button.textContent),
        };
      });
      assert.ok(found.page <= 0, `${address} at ${width} px is ${found.page} px too wide`);
      assert.ok(found.list <= 0, `the list of ${address} at ${width} px is ${found.list} px too wide`);
      assert.ok(found.who >= 180, `${address} at ${width} px leaves ${found.who} px to the client`);
      assert.deepEqual(found.wrapped, [], `at ${width} px`);
    }
    await page.goto(`${base}/ui/audit`);
    const touching = await page.evaluate(() => [...document.querySelectorAll(".trail > li")].filter((entry) => {
      const range = document.createRange();
      range.selectNodeContents(entry.querySelector("time"));
      const [time, what] = [range.getBoundingClientRect(), entry.querySelector(".what").getBoundingClientRect()];
      return time.bottom > what.top && time.right + 4 > what.left;
    }).length);
    assert.equal(touching, 0, `times touch the text beside them at ${width} px`);
  }
});
