/* While the service cannot be reached: says how many recordings wait, and of nobody anything. Goes
   back to the page that was asked for as soon as the service answers. */

import { countBoxes } from "./kept.js";

const KNOCK_EVERY_MS = 3000;

const knock = async () => {
  const answer = await fetch("/health/live", { cache: "no-store" }).catch(() => null);
  if (answer && answer.ok) window.location.reload();
};

setInterval(knock, KNOCK_EVERY_MS);
window.addEventListener("online", knock);

const count = await countBoxes("film-");
if (count) {
  document.getElementById("away-waiting").textContent = count === 1
    ? "1 recording waits on this device to be sent." : `${count} recordings wait on this device to be sent.`;
}
