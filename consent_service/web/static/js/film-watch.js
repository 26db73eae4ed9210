/* The film page and the shared screen: one set of controls, as buttons and as keys, that also keep
   moments without leaving the place in the film. Without this script everything is typed and sent. */
(() => {
  const film = document.querySelector("video[data-film]");
  if (!film) return;
  const said = document.getElementById("film-said");
  const say = (words) => { said.textContent = words; };
  const byId = (id) => document.getElementById(id);

  if (window.customElements) {
    customElements.whenDefined("media-controller").then(() => { film.removeAttribute("controls"); });
  }

  /* Moments: `1:05.2`, no finer than a millisecond, no zeros at the end. */
  const written = (seconds) => {
    const ms = Math.floor(seconds * 1000 + 1e-6);
    const whole = Math.floor(ms / 1000);
    const rest = String(ms % 1000).padStart(3, "0").replace(/0+$/, "");
    const text = `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
    return rest ? `${text}.${rest}` : text;
  };

  /* Moving in the film. */
  const fps = Number(film.dataset.fps) || 25;
  let stopAt = null;
  const goTo = (seconds) => {
    film.currentTime = Math.min(Math.max(seconds, 0), film.duration || 0);
  };
  const step = (by) => {
    film.pause();
    stopAt = null;
    /* The middle of a picture: its edge belongs to two of them, and players round either way. */
    goTo((Math.floor(film.currentTime * fps + 1e-6) + by + 0.5) / fps);
    film.addEventListener("seeked", () => say(`At ${written(film.currentTime)}`), { once: true });
  };
  const jump = (seconds) => { stopAt = null; goTo(film.currentTime + seconds); };
  const play = () => {
    stopAt = null;
    if (film.paused) film.play().catch(() => {}); else film.pause();
  };
  const playPart = (from, to) => {
    goTo(from);
    stopAt = to;
    film.play().catch(() => {});
    film.scrollIntoView({ block: "nearest" });
  };
  film.addEventListener("timeupdate", () => {
    if (stopAt === null || film.currentTime < stopAt) return;
    stopAt = null;
    film.pause();
  });

  const speed = byId("speed");
  const pace = (value) => {
    film.playbackRate = value;
    if (speed) speed.value = String(value);
    say(value === 1 ? "Ordinary speed" : `Speed ${value}`);
  };
  const paces = speed ? [...speed.options].map((option) => Number(option.value)) : [1];
  const faster = (by) => {
    const place = paces.indexOf(film.playbackRate) + by;
    if (place in paces) pace(paces[place]);
  };
  if (speed) {
    speed.value = "1";
    speed.addEventListener("change", () => pace(Number(speed.value)));
  }

  /* Marking. */
  const words = { start_ms: "Start", end_ms: "End", at_ms: "Photo" };
  const mark = (name) => {
    const field = byId(name);
    if (!field) return;
    field.value = written(film.currentTime);
    say(`${words[name]} at ${field.value}`);
  };
  const picture = () => {
    const form = byId("photo-form");
    if (!form) return;
    film.pause();
    mark("at_ms");
    form.requestSubmit();
  };

  const acts = {
    play,
    back: () => jump(-5),
    on: () => jump(5),
    "little-back": () => jump(-1),
    "little-on": () => jump(1),
    "picture-back": () => step(-1),
    "picture-on": () => step(1),
    slower: () => faster(-1),
    faster: () => faster(1),
    start: () => mark("start_ms"),
    end: () => mark("end_ms"),
    picture,
    next: () => byId("next-clip")?.click(),
    previous: () => byId("previous-clip")?.click(),
  };
  document.querySelectorAll("[data-with-script]").forEach((part) => { part.hidden = false; });
  const playButton = document.querySelector('[data-act="play"]');
  if (playButton) {
    const shows = () => { playButton.textContent = film.paused ? "Play" : "Stop"; };
    film.addEventListener("play", shows);
    film.addEventListener("pause", shows);
  }
  document.addEventListener("click", (event) => {
    const act = event.target.closest("[data-act]");
    if (act) acts[act.dataset.act]();
    const part = event.target.closest("[data-play]");
    if (part) {
      const [from, to] = part.dataset.play.split(",").map((ms) => Number(ms) / 1000);
      if (to > from) playPart(from, to); else { film.pause(); goTo(from); }
    }
  });

  /* Keys: never while something is written, chosen or pressed, and not at all if switched off. */
  const keys = {
    " ": "play", k: "play", j: "back", l: "on", arrowleft: "little-back", arrowright: "little-on",
    ",": "picture-back", ".": "picture-on", "-": "slower", "+": "faster", "=": "faster",
    i: "start", o: "end", s: "picture", n: "next", b: "previous",
  };
  const wanted = byId("keys-wanted");
  const KEPT = "film-keys";
  if (wanted) {
    try { wanted.checked = localStorage.getItem(KEPT) !== "off"; } catch { /* not kept, then */ }
    wanted.addEventListener("change", () => {
      try { localStorage.setItem(KEPT, wanted.checked ? "on" : "off"); } catch { /* as above */ }
      say(wanted.checked ? "Keys work" : "Keys do nothing");
    });
  }
  const busy = (target, key) => {
    if (target.closest('input:not([type="checkbox"], [type="radio"]), textarea, select')) return true;
    if (key === " ") return Boolean(target.closest("button, a, summary, input, media-control-bar"));
    if (key.startsWith("arrow")) return Boolean(target.closest("input, media-time-range"));
    return false;
  };
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    const act = keys[key];
    if (!act || (wanted && !wanted.checked) || busy(event.target, key)) return;
    event.preventDefault();
    acts[act]();
  });

  /* Keeping a moment: sent behind the page, so that the film stays where it is. */
  const keep = async (form) => {
    say("Keeping it…");
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const kept = page.getElementById("kept");
    if (!answer.ok || !kept) {
      /* What is wrong, the page itself says best. */
      form.submit();
      return;
    }
    byId("kept").replaceWith(kept);
    kept.querySelectorAll("[data-with-script]").forEach((part) => { part.hidden = false; });
    form.reset();
    const told = page.querySelector(".nhsuk-notification-banner__heading");
    say(told ? told.textContent.trim() : "Kept");
  };
  document.querySelectorAll("form[data-keep]").forEach((form) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      keep(form).catch(() => say("It was not kept: the service does not answer. Try again."));
    });
  });

  film.addEventListener("ended", () => {
    const next = byId("next-clip");
    if (next) say("The clip has ended.");
  });
  film.addEventListener("error", () => {
    say("The film cannot be shown. Somebody may have changed their mind. Load the page again to see how things stand.");
  });
})();
