/* Marks the moment that is shown, by button or key; says when a film stops before its end. */
(() => {
  const film = document.querySelector("video[data-film]");
  if (!film) return;
  const said = document.getElementById("film-said");
  const FRAME = 1 / 25;

  if (window.customElements) {
    customElements.whenDefined("media-controller").then(() => { film.removeAttribute("controls"); });
  }

  const moment = (seconds) => {
    const tenths = Math.floor(seconds * 10 + 1e-6);
    const minutes = Math.floor(tenths / 600);
    const rest = tenths % 600;
    const tenth = rest % 10;
    return `${minutes}:${String(Math.floor(rest / 10)).padStart(2, "0")}${tenth ? `.${tenth}` : ""}`;
  };
  const words = { start_ms: "Start", end_ms: "End", at_ms: "Photo" };

  const mark = (name) => {
    const field = document.getElementById(name);
    if (!field) return;
    field.value = moment(film.currentTime);
    said.textContent = `${words[name]} at ${field.value}`;
  };

  document.querySelectorAll("[data-mark]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => mark(button.dataset.mark));
  });
  const keys = document.querySelector("[data-keys]");
  if (keys) keys.hidden = false;

  const step = (by) => {
    film.pause();
    film.currentTime = Math.min(Math.max(film.currentTime + by * FRAME, 0), film.duration || 0);
  };
  const acts = {
    i: () => mark("start_ms"),
    o: () => mark("end_ms"),
    p: () => mark("at_ms"),
    ",": () => step(-1),
    ".": () => step(1),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select")) return;
    const act = acts[event.key.toLowerCase()];
    if (act) { event.preventDefault(); act(); }
  });

  film.addEventListener("error", () => {
    said.textContent = "The film cannot be shown. Somebody may have changed their mind. Load the page again to see how things stand.";
  });
})();
