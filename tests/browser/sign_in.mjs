// Somebody signs in with a token, comes to where they wanted to be, and signs out for good.
import { assert, base, clients, play, token } from "./stage.mjs";

await play(async (stage) => {
  const page = await stage.window();
  await page.goto(base + clients + "?q=codex");
  assert.equal(new URL(page.url()).pathname, "/ui/sign-in", "nobody sees a page who is not signed in");

  await page.fill("#token", "not.a.token");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").getByText("not a JWT").waitFor();
  await page.fill("#token", process.env.GATEBOOK_DECIDER);
  await page.keyboard.press("Enter");
  await page.getByText("gives none of the roles").waitFor();

  await page.fill("#token", token);
  await page.keyboard.press("Enter");
  await page.waitForURL(base + clients + "?q=codex");
  const cookies = await page.context().cookies();
  const session = cookies.find((cookie) => cookie.name === "gatebook_session");
  assert.ok(session.httpOnly && session.sameSite === "Lax", JSON.stringify(session));
  assert.equal(await page.evaluate(() => document.cookie), "", "no script reads a cookie");

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL(`${base}/ui/sign-in`);
  // Whoever kept a copy of the cookie has nothing.
  await page.context().addCookies([session]);
  await page.goto(`${base}/ui`);
  assert.equal(new URL(page.url()).pathname, "/ui/sign-in");

  const viewer = await stage.signedIn({ as: process.env.GATEBOOK_VIEWER });
  await viewer.goto(base + clients);
  assert.equal(await viewer.getByRole("link", { name: "Audit" }).count(), 0, "a viewer is offered no audit");
  assert.equal(await viewer.getByRole("link", { name: "Pre-register", exact: true }).count(), 0, "and no entry");
  stage.expect("403");
  const refused = await viewer.goto(`${base}/ui/servers/67617465-626f-4f6b-8000-000000000001/enter`);
  assert.equal(refused.status(), 403);
});
