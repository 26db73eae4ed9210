/* Warns two minutes before somebody is signed out for being idle, and then clears the screen.

   Whoever types or points is not idle, nor is a film that is being recorded or sent. What is on the
   screen may be about a family: it goes when the session does. */

import { stillHere } from "./session.js";

const WARNED_BEFORE_MS = 120 * 1000;
const TOLD_EVERY_MS = 5 * 60 * 1000;
const AGAIN_AFTER_MS = 10 * 1000;
const LOOK_EVERY_MS = 1000;
const LAST_HEARD = "last-heard";
const dialog = document.getElementById("idle");
const left = document.getElementById("idle-left");
const longest = Number(dialog.dataset.seconds) * 1000;
let isActive = false;
let toldAt = 0;

/* All windows of a browser share a session, so they share when it was last heard of. */
const opened = Date.now();
const heard = () => Math.max(opened, Number(localStorage.getItem(LAST_HEARD)) || 0);
const note = () => localStorage.setItem(LAST_HEARD, String(Date.now()));

const tell = async () => {
  isActive = false;
  toldAt = Date.now();
  if (await stillHere()) note();
};

const stay = async () => {
  dialog.close();
  await tell();
};

const words = (ms) => {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  if (seconds > 60) return "2 minutes";
  return seconds > 30 ? "1 minute" : `${Math.ceil(seconds / 10) * 10} seconds`;
};

const look = () => {
  const since = Date.now() - heard();
  const isBusy = Boolean(document.documentElement.dataset.busy);
  const isDue = since > TOLD_EVERY_MS && Date.now() - toldAt > AGAIN_AFTER_MS;
  if (isDue && (isActive || isBusy) && !dialog.open) { tell(); return; }
  if (isBusy) return;
  if (since >= longest) {
    // The service says the rest, and leads back here after the next sign-in.
    window.location.assign(window.location.pathname + window.location.search);
  } else if (since >= longest - WARNED_BEFORE_MS) {
    const sentence = words(longest - since);
    if (left.textContent !== sentence) left.textContent = sentence;
    if (!dialog.open) dialog.showModal();
  } else if (dialog.open) {
    dialog.close();
  }
};

note();
document.getElementById("idle-stay").addEventListener("click", stay);
dialog.addEventListener("cancel", (event) => { event.preventDefault(); stay(); });
for (const kind of ["keydown", "pointerdown", "scroll"]) {
  document.addEventListener(kind, () => { isActive = true; }, { passive: true });
}
document.addEventListener("visibilitychange", look);
setInterval(look, LOOK_EVERY_MS);
