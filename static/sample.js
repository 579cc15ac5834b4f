// Asks each server of a sample's page by a request of its own, so that none of them holds up the page or another one.
"use strict";

for (const place of document.querySelectorAll("[data-ask]")) {
  place.textContent = "asking …";
  fetch(place.dataset.ask, { headers: { "X-Requested-With": "fetch" } })
    .then((response) => (response.ok ? response.text() : Promise.reject(new Error(String(response.status)))))
    .then((html) => {
      // Our own page made it, and escaped what is in it; a template runs nothing.
      const template = document.createElement("template");
      template.innerHTML = html;
      place.replaceChildren(template.content);
    })
    .catch((error) => { place.textContent = `The site could not ask (${error.message}).`; });
}
