// Draws the README's pictures into the folder that is named second.
import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { admin, base, clients, DEFAULT, play } from "./stage.mjs";

const folder = process.argv[3];
const everything = Boolean(process.env.GATEBOOK_PICTURES_ALL);

await play(async (stage) => {
  await mkdir(folder, { recursive: true });
  const listed = async (query) => (await admin("GET", `/authsec/resource-servers/${DEFAULT}/clients?${query}`)).body.clients[0].client_id;
  const opencode = `${clients}/${encodeURIComponent(await listed("q=opencode"))}`;
  const dashboard = `${clients}/${encodeURIComponent(await listed("q=dashboard"))}`;
  const draw = async (name, place, { colorScheme = "light", width = 1200, height = 760, full = false } = {}) => {
    const page = await stage.signedIn({ colorScheme, viewport: { width, height }, timezoneId: "UTC", locale: "en-GB" });
    await page.goto(base + place);
    await page.evaluate(() => document.fonts.ready);
    const path = join(folder, `${name}.png`);
    await page.screenshot({ path, fullPage: full });
    // Fewer colours, where the program for it is there.
    try { execFileSync("pngquant", ["--force", "--strip", "--ext", ".png", "--quality", "70-95", "96", path], { stdio: "ignore" }); } catch { }
    await page.context().close();
  };
  await draw("clients", clients);
  await draw("client", dashboard);
  await draw("approvals", "/ui/approvals", { colorScheme: "dark" });
  await draw("overview", "/ui");
  await draw("settings", `/ui/servers/${DEFAULT}/settings`);
  if (!everything) return;
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1200, 390]) {
      const options = { colorScheme, width, full: true };
      const of = (name) => `${name}-${colorScheme}-${width}`;
      await draw(of("clients"), clients, options);
      await draw(of("flat"), `${clients}?group=none`, options);
      await draw(of("client"), dashboard, options);
      await draw(of("document"), opencode, options);
      await draw(of("approvals"), "/ui/approvals", options);
      await draw(of("overview"), "/ui", options);
      await draw(of("settings"), `/ui/servers/${DEFAULT}/settings`, options);
      await draw(of("enter"), `/ui/servers/${DEFAULT}/enter?start=claude`, options);
      await draw(of("audit"), "/ui/audit", { ...options, full: false });
    }
  }
});
