/* What came of a film that cannot go on from here: it becomes the film as far as it goes, or it is
   thrown away, here and at the service. */

import { begin, refused, say, stored } from "./film-page.js";
import { discard, endAt, heldOf } from "./sending.js";

const at = (id) => document.getElementById(id);
const KEPT = "What came is stored encrypted, and ends where it broke off. Watch it to see what is there.";

const answered = () => { at("film-rest").hidden = true; };

const keep = async ({ asset, letGo, onRefused }, offset) => {
  answered();
  begin("Making the film");
  try {
    await endAt(asset, offset, say);
    await letGo();
    stored(KEPT);
  } catch (refusal) {
    await onRefused(refusal);
  }
};

const throwAway = async ({ asset, letGo }, isStored) => {
  const button = at("film-rest-discard");
  if (!button.dataset.asked) {
    button.dataset.asked = "yes";
    button.textContent = isStored ? "Delete this copy for good" : "Throw it away for good";
    return;
  }
  try {
    if (!isStored) await discard(asset);
    await letGo();
    answered();
    say(isStored ? "The copy on this device is deleted." : "It is thrown away, here and at the service.");
    at(isStored ? "film-stored" : "film-again").hidden = false;
  } catch (refusal) {
    say(refusal.message || "There is no connection to the service. Try again once there is.");
  }
};

/** Offer what can be done. `sentence(offset)` says why it does not go on; `letGo` forgets what this
    device keeps of it, and `onRefused` hears what the service said when it would not keep it. */
export const offerRest = async (film) => {
  const held = await heldOf(film.asset);
  const offset = held ? held.offset : 0;
  const isStored = Boolean(held && held.isStored);
  at("film-rest-words").textContent = isStored
    ? "The service has stored this film. The copy on this device cannot be compared with it: watch the film, then delete the copy."
    : film.sentence(offset);
  at("film-rest-keep").hidden = isStored || offset === 0 || !film.onRefused;
  at("film-rest-discard").textContent = isStored ? "Delete the copy on this device" : "Throw it away";
  at("film-rest-keep").onclick = () => keep(film, offset);
  at("film-rest-discard").onclick = () => throwAway(film, isStored);
  if (isStored) at("film-stored").hidden = false;
  at("film-rest").hidden = false;
};
