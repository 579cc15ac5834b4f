// Refreshes a page (the overview): fetches its parts and replaces only those that changed, so that the scroll position, open
// details, focus and selection stay. Nothing moves or fades, for readers who want no motion.
"use strict";

const live = document.querySelector("[data-refresh]");
const bar = document.querySelector(".refresh");
const [status, announcement, button] = [bar.querySelector("p"), bar.querySelector("[role=status]"), bar.querySelector("button")];
const interval = Number(live.dataset.seconds) * 1000;
let [timer, paused, refreshedAt, failing] = [0, false, new Date(), false];

const clock = (when) => when.toLocaleTimeString([], { hour12: false });

// Screen readers announce when refreshing stops or resumes, not each refresh.
function showStatus() {
  const last = `as of ${clock(refreshedAt)}`;
  status.textContent = failing ? `Server unavailable, ${last}. Retrying.`
    : paused ? `Paused, ${last}` : `Refreshes every ${interval / 1000} s, ${last}`;
  const text = failing ? "Server unavailable." : paused ? "Paused." : "";
  if (announcement.textContent !== text) announcement.textContent = text;
}

function partsByName(root) {
  return new Map([...root.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
}

function hasSelection(part) {
  const selection = getSelection();
  return !selection.isCollapsed && selection.containsNode(part, true);
}

// Opens the details that were open, and returns a function that restores the focus. Elements are matched by their index, as
// both parts are rendered from the same template.
function keepState(from, to) {
  const [before, after] = [from, to].map((part) => [...part.querySelectorAll("details")]);
  before.forEach((details, index) => { if (details.open && after[index]) after[index].open = true; });
  const focusable = "a, button, summary, [tabindex]";
  const index = [...from.querySelectorAll(focusable)].indexOf(document.activeElement);
  return () => { if (index >= 0) [...to.querySelectorAll(focusable)][index]?.focus({ preventScroll: true }); };
}

function replace(html) {
  const template = document.createElement("template");
  // Rendered and escaped by our own page.
  template.innerHTML = html;
  showLocalTimes(template.content);
  const [old, fresh] = [partsByName(live), partsByName(template.content)];
  if (!fresh.size) throw new Error("unexpected response");
  const visible = [...old.values()].find((part) => part.getBoundingClientRect().bottom > 80);
  const name = visible?.dataset.part;
  const top = visible?.getBoundingClientRect().top;
  for (const [key, part] of fresh) {
    const current = old.get(key);
    if (!current) live.append(part);
    else if (current.innerHTML !== part.innerHTML && !hasSelection(current)) {
      const restoreFocus = keepState(current, part);
      current.replaceWith(part);
      restoreFocus();
    }
  }
  for (const [key, part] of old) if (!fresh.has(key)) part.remove();
  const replaced = name && partsByName(live).get(name);
  if (replaced && scrollY > 0) scrollBy({ top: replaced.getBoundingClientRect().top - top, behavior: "instant" });
}

async function refresh() {
  try {
    const response = await fetch(live.dataset.refresh, { signal: AbortSignal.timeout(10000), redirect: "manual" });
    if (response.type === "opaqueredirect") { location.reload(); return; } // logged out: reload leads to the login and back
    if (!response.ok) throw new Error(String(response.status));
    replace(await response.text());
    [refreshedAt, failing] = [new Date(), false];
  } catch {
    failing = true;
  }
  bar.classList.toggle("failing", failing);
  showStatus();
  schedule();
}

function schedule(delay = interval) {
  clearTimeout(timer);
  if (!paused && !document.hidden) timer = setTimeout(refresh, delay);
}

button.addEventListener("click", () => {
  paused = !paused;
  button.setAttribute("aria-pressed", String(paused));
  showStatus();
  schedule(0);
});
document.addEventListener("visibilitychange", () => schedule(Date.now() - refreshedAt > interval ? 0 : interval));

bar.hidden = false;
showStatus();
schedule();
