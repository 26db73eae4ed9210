/* What filming and sending a file have in common: how far it is, how it ended, and that the page
   is not left by accident nor signed out meanwhile. */

import { duration, size } from "./amounts.js";

const at = (id) => document.getElementById(id);
const going = at("film-going");
const progress = at("film-progress");
const figures = at("film-figures");
const said = at("film-said");
const title = at("film-going-title");
const REMEMBERED_MS = 10000;

const warn = (event) => { event.preventDefault(); event.returnValue = ""; };

/** While this is so, leaving the page asks first, and nobody is signed out for being idle. */
export const busy = (isBusy) => {
  if (isBusy) {
    window.addEventListener("beforeunload", warn);
    document.documentElement.dataset.busy = "yes";
  } else {
    window.removeEventListener("beforeunload", warn);
    delete document.documentElement.dataset.busy;
  }
};

/** Say a sentence to everybody, screen readers too. */
export const say = (sentence) => { if (said.textContent !== sentence) said.textContent = sentence; };

/** Show that sending has begun. Until `meter` tells of it, there is no end to measure it by. */
export const begin = (heading) => {
  going.hidden = false;
  at("film-how").hidden = true;
  title.textContent = heading;
  busy(true);
};

/** Return what to tell of progress to: bytes sent, of how many. */
export const meter = () => {
  const marks = [];
  let spoken = 0;
  return (sent, total) => {
    const now = performance.now();
    marks.push([now, sent]);
    while (marks.length > 2 && now - marks[0][0] > REMEMBERED_MS) marks.shift();
    const [since, before] = marks[0];
    const speed = (sent - before) / Math.max((now - since) / 1000, 0.2);
    const part = total ? Math.floor((sent / total) * 100) : 0;
    progress.hidden = false;
    progress.value = part;
    progress.textContent = `${part}%`;
    const left = speed > 0 ? `, about ${duration((total - sent) / speed)} left` : "";
    const fast = speed > 0 ? `, ${size(speed)} a second` : "";
    figures.textContent = sent < total ? `${part}%: ${size(sent)} of ${size(total)}${fast}${left}` : "";
    if (part >= spoken + 25 && part < 100) { spoken = part - (part % 25); say(`${spoken}% sent`); }
  };
};

const end = (heading, sentence, shown) => {
  busy(false);
  progress.hidden = true;
  figures.hidden = true;
  document.querySelectorAll("[data-while-sending]").forEach((part) => { part.hidden = true; });
  title.textContent = heading;
  say(sentence);
  at(shown).hidden = false;
  title.focus();
};

/** It is stored, and proven to be. */
export const stored = (sentence) => end("The film is stored", sentence, "film-stored");

/** The service does not take it: a new beginning is the way on. */
export const refused = (sentence) => {
  going.classList.add("nhsuk-error-summary");
  end("The film was not stored", sentence, "film-again");
};

/** A film is stored, but it is not what is here: somebody has to look. */
export const unlike = (sentence) => {
  going.classList.add("nhsuk-error-summary");
  end("Stored, but not the same", sentence, "film-stored");
};

/** It stands still, and goes on from this page when it is loaded again. */
export const brokeOff = (sentence) => end("Sending broke off", sentence, "film-reload");
