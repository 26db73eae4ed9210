/* When the network is away, a page that says so instead of the browser's own. Asks the network
   first, always. Keeps only what is the same for everybody: style sheets, scripts, that one page.
   Never a page about a person, never film. */

const SHELL = `shell${self.location.search}`;
const AWAY = "/offline";
const STATIC = "/static/";
/* What that page is made of: it is seen for the first time when nothing can be fetched. */
const ITS_PARTS = [
  "js/away.js", "js/kept.js", "pages.css", "early.js", "vendor-start.js",
  "vendor/nhsuk-frontend/nhsuk-frontend.min.css", "vendor/nhsuk-frontend/nhsuk-frontend.min.js", "icons/favicon.svg",
].map((path) => STATIC + path);

self.addEventListener("install", (event) => {
  // Asked for without cookies: nobody's name may stand on it.
  const asked = new Request(AWAY, { credentials: "omit", cache: "reload" });
  event.waitUntil(caches.open(SHELL).then((shell) => shell.addAll([asked, ...ITS_PARTS])).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = caches.keys().then((names) => Promise.all(names.filter((name) => name !== SHELL).map((name) => caches.delete(name))));
  event.waitUntil(old.then(() => self.clients.claim()));
});

const shared = async (request) => {
  const shell = await caches.open(SHELL);
  try {
    const answer = await fetch(request);
    if (answer.ok && answer.status === 200) await shell.put(request, answer.clone());
    return answer;
  } catch (away) {
    const kept = await shell.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw away;
  }
};

const page = async (request) => {
  try {
    return await fetch(request);
  } catch (away) {
    const kept = await caches.match(AWAY);
    if (kept) return kept;
    throw away;
  }
};

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const address = new URL(request.url);
  if (request.method !== "GET" || address.origin !== self.location.origin) return;
  if (address.pathname.startsWith(STATIC)) event.respondWith(shared(request));
  else if (request.mode === "navigate") event.respondWith(page(request));
});
