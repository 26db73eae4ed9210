/* Says how many recordings wait on this device, and sends them, wherever this is shown. */

import { size } from "./amounts.js";
import { alone, KeptFilm } from "./kept-film.js";
import { isOver, send } from "./sending.js";

const CHUNK = 4 * 1024 * 1024;
const banner = document.getElementById("waiting");
const said = document.getElementById("waiting-said");
const list = document.getElementById("waiting-list");

const count = (many) => (many === 1 ? "1 recording waits to be sent" : `${many} recordings wait to be sent`);

const when = (film) => new Date(film.about.began).toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" });

const line = (film) => {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = film.isLate ? `/families/${film.about.involvement}/films/ready` : `/films/${film.about.asset}/upload?how=record`;
  link.textContent = `Recording of ${when(film)}`;
  const more = document.createElement("span");
  more.textContent = film.isLate ? `, ${size(film.size)}: its day is over. Send it as a new film, or delete it here.` : `, ${size(film.size)}`;
  item.append(link, more);
  if (film.isLate) item.append(" ", deleteButton(film));
  return item;
};

const deleteButton = (film) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "nhsuk-button nhsuk-button--secondary nhsuk-button--small";
  button.textContent = "Delete it from this device";
  button.addEventListener("click", async () => {
    if (button.dataset.asked) { await film.wipe(); await show(); return; }
    button.dataset.asked = "yes";
    button.textContent = "Delete it for good";
  });
  return button;
};

const show = async () => {
  const films = await KeptFilm.waiting();
  banner.hidden = films.length === 0 && !banner.dataset.done;
  document.getElementById("waiting-title").textContent = films.length ? count(films.length) : "All recordings are sent";
  list.replaceChildren(...films.map(line));
  return films;
};

const sendOne = (film) => alone(film.about.asset, async () => {
  const { asset } = film.about;
  const tell = (sent) => { said.textContent = `Sending: ${Math.floor((sent / film.size) * 100)}%`; };
  const going = send({
    asset, input: film, reader: film.reader, chunkSize: CHUNK, onProgress: tell, onTrouble: (sentence) => { said.textContent = sentence; },
  });
  try {
    if (await going.stored === await film.digest()) {
      await film.wipe();
      banner.dataset.done = "yes";
      said.textContent = "A recording was sent. The copy on this device is deleted.";
    }
  } catch (refusal) {
    if (await isOver(film, refusal)) await film.wipe();
    said.textContent = refusal.message;
  }
});

const run = async () => {
  for (const film of await show()) {
    if (!film.isLate && document.documentElement.dataset.account) await sendOne(film);
  }
  await show();
};

if (banner) run();
