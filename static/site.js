// Times in the viewer's zone. A cookie tells the server the zone. What it rendered in another zone (the first page, or a zone
// that it does not know) is rewritten here. Without script times stay in the server's zone, which the page names.
"use strict";

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const isLocal = !zone || document.documentElement.dataset.zone === zone;

function showLocalTimes(root) {
  if (isLocal) return;
  const two = (number) => String(number).padStart(2, "0");
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
    const form = element.dataset.form || "full";
    element.textContent = { full: `${day} ${clock}:${two(at.getSeconds())}`, day, clock, minute: `${day} ${clock}` }[form];
  }
  for (const element of root.querySelectorAll("[data-zone-name]")) {
    element.textContent = element.dataset.zoneName.replace("ZONE", zone);
  }
}

const zoneCookie = () => document.cookie.split("; ").find((cookie) => cookie.startsWith("zone="))?.slice(5);
const encodedZone = encodeURIComponent(zone || "");
if (zone && zoneCookie() !== encodedZone) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `zone=${encodedZone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  // Fields and charts hold times that only the server can write. Not if the browser keeps no cookies: this would never end.
  const fixed = document.querySelector("input[type=datetime-local], figure svg");
  if (!isLocal && fixed && zoneCookie() === encodedZone) location.reload();
}
showLocalTimes(document);

// A menu closes with Escape, and on a click elsewhere.
const menus = document.querySelectorAll("details.menu");
document.addEventListener("click", (event) => {
  for (const menu of menus) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of menus) {
    if (menu.open && menu.contains(document.activeElement)) menu.querySelector("summary").focus();
    menu.open = false;
  }
});
