/* Sends a film from a file: goes on where it was after a closed page, a lost network or a restart. */

import { sha256 } from "../vendor/noble-hashes/sha256.js";
import { size } from "./amounts.js";
import { begin, brokeOff, meter, refused, say, stored, unlike } from "./film-page.js";
import { offerRest } from "./film-rest.js";
import { base64 } from "./kept-film.js";
import { isOver, Refusal, send } from "./sending.js";

const at = (id) => document.getElementById(id);
const form = at("film-file");
const field = at("film");
const fault = at("film-fault");
const hold = at("film-pause");
const { asset } = form.dataset;
const largest = Number(form.dataset.largest);
const came = Number(form.dataset.came);
const CHUNK = 4 * 1024 * 1024;
const READ_AT_ONCE = 1024 * 1024;
const MARK = `film-file-${asset}`;

form.hidden = false;

/* Which file was begun, by a sum that tells nobody its name. */
const marks = {
  findAllUploads: async () => [],
  findUploadsByFingerprint: async (mark) => (localStorage.getItem(MARK) === mark ? [{ uploadUrl: `/uploads/${asset}`, urlStorageKey: MARK }] : []),
  removeUpload: async () => {},
  addUpload: async (mark) => { localStorage.setItem(MARK, mark); return MARK; },
};
const markOf = async (film) => base64(sha256(new TextEncoder().encode([asset, film.name, film.size, film.lastModified].join("\n"))));

const complain = (sentence) => {
  fault.textContent = sentence;
  fault.hidden = false;
  at("film-group").classList.add("nhsuk-form-group--error");
  field.setAttribute("aria-describedby", "film-hint film-fault");
  field.focus();
};

const digestOf = async (film) => {
  const hash = sha256.create();
  for (let start = 0; start < film.size; start += READ_AT_ONCE) {
    hash.update(new Uint8Array(await film.slice(start, start + READ_AT_ONCE).arrayBuffer()));
  }
  return base64(hash.digest());
};

const faultOf = (film) => {
  if (!film) return "Choose a film first.";
  if (film.size === 0) return "This file is empty. Choose another one.";
  if (film.size > largest) return `This film is ${size(film.size)}; at most ${size(largest)} can be taken. Film a shorter piece.`;
  return "";
};

const start = (film) => {
  form.hidden = true;
  begin("Sending");
  at("film-going-title").focus();
  const tell = meter();
  const going = send({
    asset,
    input: film,
    length: film.size,
    chunkSize: CHUNK,
    more: { urlStorage: marks, fingerprint: markOf, storeFingerprintForResuming: true },
    onProgress: (sent) => {
      tell(sent, film.size);
      if (sent === film.size) say("All of it is here. It is being checked. Keep this page open.");
    },
    onTrouble: say,
  });
  hold.hidden = false;
  return going;
};

const pauses = (going) => {
  let isPaused = false;
  hold.addEventListener("click", () => {
    isPaused = !isPaused;
    hold.textContent = isPaused ? "Go on sending" : "Pause";
    say(isPaused ? "Paused. What was sent is kept for a day." : "Sending again.");
    (isPaused ? going.pause : going.goOn)();
  });
};

/* The digest of a file that can be read to its end; one that was moved or changed ends the sending. */
const digestWhile = (film, going) => digestOf(film).catch(() => {
  going.pause();
  throw new Error("This file cannot be read any more: it was changed, moved or deleted.");
});

const failed = async (refusal) => {
  if (await isOver({ isLate: false, about: { asset } }, refusal)) {
    localStorage.removeItem(MARK);
    refused(refusal.message);
  } else if (refusal instanceof Refusal) {
    refused(`${refusal.message} What was sent is kept, encrypted, for a day at most.`);
  } else {
    brokeOff(`${refusal.message} What was sent is kept, encrypted, for a day: choose the same file again and it goes on.`);
  }
};

const sendAll = async (film) => {
  const going = start(film);
  pauses(going);
  const own = digestWhile(film, going);
  try {
    // Whichever ends first: a file that cannot be read is never sent to its end.
    await Promise.race([going.stored, own.then(() => going.stored)]);
    const isSame = await going.stored === await own;
    localStorage.removeItem(MARK);
    if (isSame) stored("It arrived whole and is encrypted. Now delete it from this device.");
    else unlike("The service holds a whole film, encrypted, but it is not byte for byte the file on this device. Keep the file. Watch the film: if it is right, there is nothing more to do. If not, send the file again as another film, and have this one withdrawn from the family's page.");
  } catch (refusal) {
    await failed(refusal);
  }
};

if (came > 0) {
  at("film-throw-away").addEventListener("click", () => offerRest({
    asset,
    sentence: (offset) => `${size(offset)} of this film came in. What was thrown away is gone for good.`,
    letGo: async () => { localStorage.removeItem(MARK); form.hidden = true; },
  }));
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const film = field.files[0];
  const wrong = faultOf(film);
  if (wrong) { complain(wrong); return; }
  if (came > 0 && localStorage.getItem(MARK) !== await markOf(film)) {
    complain("This is not the file that was begun. Choose that one, or begin again with a new film.");
    at("film-again").hidden = false;
    return;
  }
  await sendAll(film);
});
