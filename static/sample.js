// Queries each server of a sample's page by a separate request, so that none delays the page or another one.
"use strict";

for (const place of document.querySelectorAll("[data-ask]")) {
  place.textContent = "checking …";
  fetch(place.dataset.ask, { headers: { "X-Requested-With": "fetch" } })
    .then((response) => (response.ok ? response.text() : Promise.reject(new Error(String(response.status)))))
    .then((html) => {
      // Rendered and escaped by our own page; a template runs no scripts.
      const template = document.createElement("template");
      template.innerHTML = html;
      showLocalTimes(template.content);
      place.replaceChildren(template.content);
    })
    .catch((error) => { place.textContent = `Check failed (${error.message}).`; });
}
