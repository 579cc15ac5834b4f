// Keeps a page up to date (the overview): fetches what changes and replaces only the parts that did, so that the reader's
// place, what is unfolded, what has the focus and what is selected stay. Nothing moves or fades, for readers who want no motion.
"use strict";

const live = document.querySelector("[data-refresh]");
const bar = document.querySelector(".refreshing");
const [said, told, button] = [bar.querySelector("p"), bar.querySelector("[role=status]"), bar.querySelector("button")];
const every = Number(live.dataset.seconds) * 1000;
let [timer, paused, succeeded, failing] = [0, false, new Date(), false];

const clock = (when) => when.toLocaleTimeString([], { hour12: false });

// A screen reader is told when refreshing stops or goes on, not of each time.
function say() {
  said.textContent = standing();
  const news = failing ? "The server can't be reached." : paused ? "Paused." : "";
  if (told.textContent !== news) told.textContent = news;
}

function standing() {
  const last = `as of ${clock(succeeded)}`;
  if (failing) return `The server can't be reached: this is ${last}. Trying again.`;
  return paused ? `Paused: this is ${last}.` : `Refreshed every ${every / 1000} s, ${last}`;
}

function parts(root) {
  return new Map([...root.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
}

function busy(part) {
  const selection = getSelection();
  return !selection.isCollapsed && selection.containsNode(part, true);
}

// What a reader had unfolded or focused, by its place among its like: the parts are rendered from the same template.
function keep(from, to) {
  const [before, after] = [from, to].map((part) => [...part.querySelectorAll("details")]);
  before.forEach((one, place) => { if (one.open && after[place]) after[place].open = true; });
  const targets = "a, button, summary, [tabindex]";
  const place = [...from.querySelectorAll(targets)].indexOf(document.activeElement);
  return () => { if (place >= 0) [...to.querySelectorAll(targets)][place]?.focus({ preventScroll: true }); };
}

function replace(html) {
  const template = document.createElement("template");
  // Our own page made it, and escaped what is in it.
  template.innerHTML = html;
  const [old, fresh] = [parts(live), parts(template.content)];
  if (!fresh.size) throw new Error("not the page that was asked for");
  const seen = [...old.values()].find((part) => part.getBoundingClientRect().bottom > 80);
  const name = seen?.dataset.part;
  const top = seen?.getBoundingClientRect().top;
  for (const [key, part] of fresh) {
    const was = old.get(key);
    if (!was) live.append(part);
    else if (was.innerHTML !== part.innerHTML && !busy(was)) {
      const focus = keep(was, part);
      was.replaceWith(part);
      focus();
    }
  }
  for (const [key, part] of old) if (!fresh.has(key)) part.remove();
  const now = name && parts(live).get(name);
  if (now && scrollY > 0) scrollBy({ top: now.getBoundingClientRect().top - top, behavior: "instant" });
}

async function refresh() {
  try {
    const response = await fetch(live.dataset.refresh, { signal: AbortSignal.timeout(10000), redirect: "manual" });
    if (response.type === "opaqueredirect") { location.reload(); return; } // logged out: to the login, and back here
    if (!response.ok) throw new Error(String(response.status));
    replace(await response.text());
    [succeeded, failing] = [new Date(), false];
  } catch {
    failing = true;
  }
  bar.classList.toggle("failing", failing);
  say();
  plan();
}

function plan(wait = every) {
  clearTimeout(timer);
  if (!paused && !document.hidden) timer = setTimeout(refresh, wait);
}

button.addEventListener("click", () => {
  paused = !paused;
  button.setAttribute("aria-pressed", String(paused));
  say();
  plan(0);
});
document.addEventListener("visibilitychange", () => plan(Date.now() - succeeded > every ? 0 : every));

bar.hidden = false;
say();
plan();
