// Times in the viewer's zone. This stores the zone in a cookie for the server, and rewrites the times of the first page.
// Without script times stay in the server's zone, which the page names.
"use strict";

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const known = document.cookie.split("; ").find((cookie) => cookie.startsWith("zone="));

if (zone && (!known || decodeURIComponent(known.slice(5)) !== zone)) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `zone=${encodeURIComponent(zone)}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  const two = (number) => String(number).padStart(2, "0");
  for (const element of document.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
    const form = element.dataset.form || "full";
    element.textContent = { full: `${day} ${clock}:${two(at.getSeconds())}`, day, clock, minute: `${day} ${clock}` }[form];
  }
  for (const element of document.querySelectorAll("[data-zone]")) element.textContent = zone;
}

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
