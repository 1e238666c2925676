// Gatebook's pages work without this. It shows times in the zone that the viewer chose, copies, moves along rows by keyboard, and brings
// what changed elsewhere into the page.
"use strict";

(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Times: all in one zone, which each of them names. It is UTC unless the viewer chose the browser's own.
  const chosen = () => { try { return localStorage.getItem("gatebook-zone") === "local" ? undefined : "UTC"; } catch { return "UTC"; } };
  let zone = chosen();
  const near = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
  const parts = { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false };
  const inZone = (options) => new Intl.DateTimeFormat(undefined, { ...options, timeZone: zone, timeZoneName: "short" });
  let day, exact;
  function useZone() {
    day = inZone(parts);
    exact = inZone({ ...parts, second: "2-digit" });
  }
  useZone();
  const zoneName = () => zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
  const minute = 60, hour = 3600;

  // Fields for a moment hold it in the zone that is shown; what is sent is UTC.
  const two = (number) => String(number).padStart(2, "0");
  const fieldText = (at, local) => {
    const [year, month, date, hours, minutes, seconds] = local
      ? [at.getFullYear(), at.getMonth(), at.getDate(), at.getHours(), at.getMinutes(), at.getSeconds()]
      : [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate(), at.getUTCHours(), at.getUTCMinutes(), at.getUTCSeconds()];
    return `${String(year).padStart(4, "0")}-${two(month + 1)}-${two(date)}T${two(hours)}:${two(minutes)}:${two(seconds)}`;
  };
  const moments = (root) => all("input[type=datetime-local]", root);
  function sayZone() {
    all("[data-zone]").forEach((text) => { text.textContent = zoneName(); });
    all("[data-zone-switch]").forEach((button) => {
      button.hidden = false;
      button.textContent = zone ? "Show times of this browser's zone" : "Show times in UTC";
    });
  }
  function moveFields(root, from, to) {
    if (from === to) return;
    for (const field of moments(root)) {
      if (!field.value) continue;
      const at = new Date(from === "UTC" ? field.value + "Z" : field.value);
      if (!Number.isNaN(at.getTime())) field.value = fieldText(at, to !== "UTC");
    }
  }

  function say(time) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) return;
    const seconds = (Date.now() - at.getTime()) / 1000;
    if ("exact" in time.dataset) time.textContent = exact.format(at);
    else if (seconds >= 0 && seconds < minute) time.textContent = "just now";
    else if (seconds >= 0 && seconds < hour) time.textContent = near.format(-Math.floor(seconds / minute), "minute");
    else if (seconds >= 0 && seconds < 20 * hour) time.textContent = near.format(-Math.floor(seconds / hour), "hour");
    else time.textContent = day.format(at);
    time.title = seconds >= 0 ? exact.format(at) : time.title;
  }

  // Copying, where the browser lets a page do it.
  async function copy(button) {
    const was = button.textContent;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => { button.textContent = was; }, 1600);
  }

  // Rows and entries that the keyboard goes along.
  let at = null;
  const rows = () => all("[data-row]");
  const name = (row) => row && (row.id || row.querySelector("input[type=checkbox]")?.value || null);

  function go(row) {
    all(".at").forEach((old) => old.classList.remove("at"));
    at = name(row);
    if (!row) return;
    row.classList.add("at");
    row.scrollIntoView({ block: "nearest" });
    (row.querySelector("a.open, a, button") ?? row).focus({ preventScroll: true });
  }

  function step(by) {
    const list = rows();
    if (list.length === 0) return;
    const index = list.findIndex((row) => row.classList.contains("at"));
    go(list[Math.min(list.length - 1, Math.max(0, index < 0 ? 0 : index + by))]);
  }

  function count() {
    const picked = all("form.list td.pick input:checked").length;
    all("[data-selected]").forEach((text) => { text.textContent = picked === 0 ? "With those selected:" : `With ${picked} selected:`; });
    all("[data-pick-all]").forEach((box) => {
      const boxes = all("form.list td.pick input");
      box.checked = boxes.length > 0 && picked === boxes.length;
      box.indeterminate = picked > 0 && picked < boxes.length;
    });
  }

  const typing = (element) => element?.matches?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const row = document.querySelector("[data-row].at");
    const press = (selector) => {
      const target = row?.querySelector(selector);
      if (!target) return;
      event.preventDefault();
      if (typing(target) || "asks" in target.dataset) target.focus(); else target.click();
    };
    if (event.key === "j") { event.preventDefault(); step(1); }
    else if (event.key === "k") { event.preventDefault(); step(-1); }
    else if (event.key === "x") press("td.pick input");
    else if (event.key === "a") { if (row) sessionStorage.setItem("gatebook-keys", "1"); press("[data-key=a]"); }
    else if (event.key === "r") press("[data-key=r]");
    else if (event.key === "/") {
      const find = document.querySelector("[data-key='/']");
      if (find) { event.preventDefault(); find.focus(); find.select(); }
    }
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (button) copy(button);
    if (event.target.closest?.("[data-zone-switch]")) {
      const before = zone;
      try { localStorage.setItem("gatebook-zone", zone ? "local" : "utc"); } catch { /* it holds for this page only */ }
      zone = zone ? undefined : "UTC";
      useZone();
      moveFields(document, before, zone);
      sayZone();
      all("time[datetime]").forEach(say);
    }
  });

  // A form sends its moments in UTC, whatever zone they are shown in.
  document.addEventListener("submit", (event) => moveFields(event.target, zone, "UTC"));

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-pick-all]")) {
      all("form.list td.pick input").forEach((box) => { box.checked = event.target.checked; });
    }
    if (event.target.matches("form.list input[type=checkbox]")) count();
  });

  // A form that asks what is wrong with it while it is typed.
  function checkAsTyped(form) {
    let timer = 0, asked = 0;
    const check = async () => {
      const mine = ++asked;
      const answer = await fetch(form.dataset.check, {
        method: "POST", body: new URLSearchParams(new FormData(form)), headers: { "x-gatebook-live": "1" },
      }).catch(() => null);
      if (!answer?.ok || mine !== asked) return;
      const problems = await answer.json();
      all("[data-problem]", form).forEach((place) => {
        const text = problems[place.dataset.problem] ?? "";
        if (place.textContent !== text) place.textContent = text;
        const field = form.elements.namedItem(place.dataset.problem);
        if (field?.setAttribute) text ? field.setAttribute("aria-invalid", "true") : field.removeAttribute("aria-invalid");
      });
    };
    form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(check, 250); });
  }

  // What changed elsewhere: the page is asked for again, and the parts that live are put in place of the old ones.
  function prepare(root) {
    all("time[datetime]", root).forEach(say);
    sayZone();
    all("[data-copy], [data-pick-all]", root).forEach((button) => { button.hidden = false; });
  }

  function swap(old, fresh) {
    const ticked = new Set(all("input[type=checkbox]:checked", old).map((box) => box.name + "\n" + box.value));
    const open = new Set(all("details[open][id]", old).map((details) => details.id));
    const known = new Set(all("[data-row]", old).map(name));
    const active = document.activeElement;
    const place = old.contains(active) ? { row: name(active.closest("[data-row]")), href: active.getAttribute("href"), id: active.id } : null;
    old.replaceWith(fresh);
    all("input[type=checkbox]", fresh).forEach((box) => { if (ticked.has(box.name + "\n" + box.value)) box.checked = true; });
    all("details[id]", fresh).forEach((details) => { details.open = open.has(details.id) || details.open; });
    all("[data-row]", fresh).forEach((row) => {
      if (at !== null && name(row) === at) row.classList.add("at");
      if (known.size > 0 && !known.has(name(row))) row.classList.add("new-row");
    });
    prepare(fresh);
    if (place) {
      const again = (place.id && document.getElementById(place.id)) ||
        (place.href && all("a[href]", fresh).find((link) => link.getAttribute("href") === place.href)) ||
        rows().find((row) => row.classList.contains("at"))?.querySelector("a.open, a, button");
      again?.focus?.({ preventScroll: true });
    }
  }

  const shown = new Map();
  let asking = false, again = false;
  async function refresh() {
    if (asking) { again = true; return; }
    asking = true;
    do {
      again = false;
      const answer = await fetch(location.href, { headers: { "x-gatebook-live": "1" } }).catch(() => null);
      if (!answer?.ok) break;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of all("[data-live]")) {
        const fresh = page.getElementById(old.id);
        const written = all("input[type=text], textarea", old).some((field) => field.value !== field.defaultValue);
        if (!fresh || written || fresh.outerHTML === shown.get(old.id)) continue;
        shown.set(old.id, fresh.outerHTML);
        swap(old, fresh);
      }
      count();
      document.documentElement.dataset.refreshed = String(Number(document.documentElement.dataset.refreshed ?? 0) + 1);
      await new Promise((done) => setTimeout(done, 400));
    } while (again);
    asking = false;
  }

  function live() {
    const address = document.body.dataset.liveAt;
    if (!address || !document.querySelector("[data-live]")) return;
    const source = new EventSource(address);
    source.addEventListener("changed", refresh);
    source.addEventListener("open", () => { document.documentElement.dataset.live = "on"; });
    addEventListener("pagehide", () => source.close());
  }

  // A secret is gone from a page that was left, also from the one that "back" brings.
  addEventListener("pagehide", () => all("[data-once]").forEach((secret) => secret.remove()));

  prepare(document);
  moveFields(document, "UTC", zone);
  all("form[data-check]").forEach(checkAsTyped);
  count();
  live();
  // Whoever decided by keyboard goes on with the next one.
  if (sessionStorage.getItem("gatebook-keys") && document.querySelector(".queue")) { sessionStorage.removeItem("gatebook-keys"); step(0); }
  setInterval(() => all("time[datetime]:not([data-exact])").forEach(say), 60_000);
})();
