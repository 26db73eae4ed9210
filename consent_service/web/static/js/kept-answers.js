/* Answers of a consent that could not be sent, or were not yet: on this device, encrypted, until the
   service has them. Never the signature: whoever comes back signs anew.

   A form with data-draft and data-page keeps what is chosen and typed as it changes; one with
   data-sends alone is only not sent while the device knows that there is no network, so that
   nothing on the page is lost. */

import { canKeep, listBoxes, openBox } from "./kept.js";

const DAYS_KEPT = 30 * 24 * 3600 * 1000;
const SENT = "consent-sent";

const form = document.querySelector("form[data-sends]");
const said = document.getElementById("kept-said");
const ended = document.querySelector("[data-ended-draft]");
const boxOf = (draft) => `consent-${draft}`;
const exists = async (draft) => (await listBoxes(boxOf(draft))).includes(boxOf(draft));

const answers = () => [...new FormData(form)].filter(([name]) => name !== "csrf_token");
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

const fill = (fields) => {
  for (const box of form.querySelectorAll("input[type=radio]")) box.checked = false;
  for (const [name, value] of fields) {
    const box = form.elements.namedItem(name);
    if (!box) continue;
    box.value = value;
    const chosen = box instanceof RadioNodeList ? [...box].find((one) => one.checked) : box;
    // The frontend opens what belongs to a choice when it is clicked.
    if (chosen && chosen.type === "radio") chosen.click();
  }
};

const offer = (kept, letGo) => {
  const sentence = document.createElement("p");
  const when = new Date(kept.at).toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" });
  sentence.textContent = `On this device are answers to this page of ${when} that were not sent.`;
  const row = document.createElement("p");
  const button = (text, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "nhsuk-button nhsuk-button--secondary nhsuk-button--small";
    made.textContent = text;
    made.addEventListener("click", async () => { await act(); said.hidden = true; said.replaceChildren(); });
    row.append(made, " ");
  };
  button("Use them", async () => fill(kept.fields));
  button("Throw them away", letGo);
  said.replaceChildren(sentence, row);
  said.hidden = false;
};

const forget = async (draft, name) => {
  if (!(await exists(draft))) return;
  const box = await openBox(boxOf(draft));
  await box.delete(name);
  if ((await box.list()).length === 0) await box.wipe();
};

/* Whoever arrives at another page than the one that was sent, was let on by the service. */
const forgetSent = async (here) => {
  const marked = sessionStorage.getItem(SENT);
  sessionStorage.removeItem(SENT);
  if (marked && marked !== here) await forget(...marked.split(" "));
};

const keeps = async () => {
  const { draft, page, sent } = form.dataset;
  const name = `page-${page}`;
  const letGo = () => forget(draft, name);
  if (sent !== undefined) await letGo();
  if (await exists(draft)) {
    const kept = await (await openBox(boxOf(draft))).get(name);
    if (kept && same(kept.fields, answers())) await letGo();
    else if (kept) offer(kept, letGo);
  }
  const keep = async () => (await openBox(boxOf(draft))).put(name, { at: Date.now(), fields: answers() });
  form.addEventListener("input", keep);
  form.addEventListener("submit", () => {
    if (navigator.onLine) sessionStorage.setItem(SENT, `${draft} ${name}`);
    else keep();
  });
};

const wipeOld = async () => {
  for (const found of await listBoxes("consent-")) {
    const box = await openBox(found);
    const names = await box.list();
    const kept = names.length ? await box.get(names[0]) : undefined;
    if (!kept || kept.at < Date.now() - DAYS_KEPT) await box.wipe();
  }
};

const wipe = async (draft) => { if (await exists(draft)) await (await openBox(boxOf(draft))).wipe(); };

const stays = () => {
  said.textContent = form.dataset.draft && canKeep()
    ? "There is no connection. What is answered on this page is kept on this device. Press the button again when you are back."
    : "There is no connection, so nothing was sent yet. Leave this page open, and press the button again when you are back.";
  said.hidden = false;
  said.scrollIntoView({ block: "center" });
  window.addEventListener("online", () => { said.textContent = "The connection is back. Press the button again."; }, { once: true });
};

const run = async () => {
  if (canKeep()) {
    await forgetSent(form && form.dataset.draft ? `${form.dataset.draft} page-${form.dataset.page}` : "");
    await wipeOld();
  }
  if (ended && canKeep()) await wipe(ended.dataset.endedDraft);
  for (const gone of document.querySelectorAll("form[data-gone-draft]")) {
    gone.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (canKeep()) await wipe(gone.dataset.goneDraft);
      gone.submit();
    });
  }
  if (!form) return;
  form.addEventListener("submit", (event) => {
    if (navigator.onLine) return;
    event.preventDefault();
    stays();
  });
  if (form.dataset.draft && canKeep()) await keeps();
};

run();
