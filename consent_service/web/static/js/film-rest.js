/* What came of a film that cannot go on from here: it becomes the film as far as it goes, or it is
   thrown away, here and at the service. Neither is offered before the service has said what it has. */

import { askTwice } from "./ask-twice.js";
import { begin, say, stored } from "./film-page.js";
import { discard, endAt, heldOf, Refusal } from "./sending.js";

const at = (id) => document.getElementById(id);
const words = at("film-rest-words");
const keepButton = at("film-rest-keep");
const discardButton = at("film-rest-discard");
const ASKING = "The service is being asked what came of this film.";
const NOT_ASKED = "The service cannot be asked at the moment what came of this film. Nothing was deleted. Load this page again once you are connected and signed in.";
const KEPT = "What came is stored encrypted, and ends where it broke off. Watch it to see what is there.";
const STORED = {
  words: "The service has stored this film. The copy on this device cannot be compared with it: watch the film, then delete the copy.",
  first: "Delete the copy on this device",
  again: "Delete this copy for good",
  done: "The copy on this device is deleted.",
  wayOn: "film-stored",
};
const UNFINISHED = {
  first: "Throw it away",
  again: "Throw it away for good",
  done: "It is thrown away, here and at the service.",
  wayOn: "film-again",
};

const answered = () => { at("film-rest").hidden = true; };

const keep = async ({ asset, letGo, onRefused }, offset) => {
  begin("Making the film");
  at("film-going-title").focus();
  answered();
  try {
    await endAt(asset, offset, say);
    await letGo();
    stored(KEPT);
  } catch (refusal) {
    await onRefused(refusal);
  }
};

const throwAway = async ({ asset, letGo }, how) => {
  try {
    if (how !== STORED) await discard(asset);
    await letGo();
  } catch (refusal) {
    say(refusal instanceof Refusal ? refusal.message : "That did not work. Try again once there is a connection to the service.");
    return;
  }
  say(how.done);
  at(how.wayOn).hidden = false;
  at(how.wayOn).querySelector("a").focus();
  answered();
};

/** Offer what can be done. `sentence(offset)` says why it does not go on; `letGo` forgets what this
    device keeps of it, and `onRefused` hears what the service said when it would not keep it. */
export const offerRest = async (film) => {
  keepButton.hidden = discardButton.hidden = true;
  at("film-rest").hidden = false;
  words.textContent = ASKING;
  const held = await heldOf(film.asset);
  at("film-reload").hidden = Boolean(held);
  if (!held) {
    words.textContent = NOT_ASKED;
    return;
  }
  const how = held.isStored ? STORED : UNFINISHED;
  words.textContent = held.isStored ? STORED.words : film.sentence(held.offset);
  keepButton.onclick = () => keep(film, held.offset);
  askTwice(discardButton, how.first, how.again, () => throwAway(film, how));
  keepButton.hidden = held.isStored || held.offset === 0 || !film.onRefused;
  discardButton.hidden = false;
  if (held.isStored) at("film-stored").hidden = false;
};
