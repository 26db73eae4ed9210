/* Says how many recordings wait on this device, and sends them, wherever this is shown. */

import { size } from "./amounts.js";
import { askTwice } from "./ask-twice.js";
import { alone, KeptFilm } from "./kept-film.js";
import { heldOf, isOver, send } from "./sending.js";

const CHUNK = 4 * 1024 * 1024;
const banner = document.getElementById("waiting");
const said = document.getElementById("waiting-said");
const title = document.getElementById("waiting-title");
const list = document.getElementById("waiting-list");
/* Recordings of which the service has more, or has stored something else: by box, why. */
const stuck = new Map();

const count = (many) => (many === 1 ? "1 recording waits to be sent" : `${many} recordings wait to be sent`);
const countStuck = (many) => (many === 1 ? "1 recording cannot be sent" : `${many} recordings cannot be sent`);

const when = (film) => (film.about.began
  ? new Date(film.about.began).toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" }) : "a day that is not known");

const WHY = {
  broken: "it cannot be read any more. Open it to keep what has come of it, or delete it here.",
  lost: "it cannot be read any more. Delete it here.",
  short: "this device holds less of it than the service. Open it to keep what has come, or to throw it away.",
  unlike: "the service stored a film that is not the same. Watch that one, then delete it here.",
};

const whyNot = (film) => {
  if (film.isBroken) return film.about.asset && !film.isLate ? "broken" : "lost";
  return stuck.get(film.name);
};

const pageOf = (film) => (film.isLate ? `/families/${film.about.involvement}/films/ready` : `/films/${film.about.asset}/upload?how=record`);

const line = (film) => {
  const item = document.createElement("li");
  const why = whyNot(film);
  const name = document.createElement(why === "lost" ? "span" : "a");
  if (why !== "lost") name.href = why === "unlike" ? `/films/${film.about.asset}` : pageOf(film);
  name.textContent = `Recording of ${when(film)}`;
  const more = document.createElement("span");
  if (why) more.textContent = `: ${WHY[why]}`;
  else if (film.isLate) more.textContent = `, ${size(film.size)}: its day is over. Send it as a new film, or delete it here.`;
  else more.textContent = `, ${size(film.size)}`;
  item.append(name, more);
  if (film.isLate || (why && why !== "short")) item.append(" ", deleteButton(film));
  return item;
};

const deleteButton = (film) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "nhsuk-button nhsuk-button--secondary nhsuk-button--small";
  askTwice(button, "Delete it from this device", "Delete it for good", async () => {
    await film.wipe();
    banner.dataset.done = "yes";
    await show();
    title.focus();
    said.textContent = "The recording is deleted from this device.";
  });
  return button;
};

const titleOf = (films) => {
  const still = films.filter((film) => !whyNot(film)).length;
  if (still) return count(still);
  return films.length ? countStuck(films.length) : "No recording waits on this device";
};

const show = async () => {
  const films = await KeptFilm.waiting().catch(() => []); // Nothing can be kept here, so nothing waits.
  banner.hidden = films.length === 0 && !banner.dataset.done;
  title.textContent = titleOf(films);
  list.replaceChildren(...films.map(line));
  return films;
};

const sendAll = async (film) => {
  const { asset } = film.about;
  const tell = (sent) => { said.textContent = `Sending: ${Math.floor((sent / film.size) * 100)}%`; };
  const going = send({
    asset, input: film, reader: film.reader, chunkSize: CHUNK, onProgress: tell, onTrouble: (sentence) => { said.textContent = sentence; },
  });
  if (await going.stored !== await film.digest()) {
    stuck.set(film.name, "unlike");
    said.textContent = "";
    return;
  }
  await film.wipe();
  banner.dataset.done = "yes";
  said.textContent = "A recording was sent. The copy on this device is deleted.";
};

const sendOne = (film) => alone(film.about.asset, async () => {
  const held = await heldOf(film.about.asset);
  if (held && held.offset > film.size) {
    stuck.set(film.name, held.isStored ? "unlike" : "short");
    return;
  }
  try {
    await sendAll(film);
  } catch (refusal) {
    if (!film.isBroken && await isOver(film, refusal)) await film.wipe();
    said.textContent = refusal.message;
  }
});

const run = async () => {
  for (const film of await show()) {
    if (!film.isLate && !film.isBroken && document.documentElement.dataset.account) await sendOne(film);
  }
  await show();
};

if (banner) run();
