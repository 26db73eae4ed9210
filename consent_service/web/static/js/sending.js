/* Sends a film by tus until the service says what it holds: through lost networks, restarts and
   a sign-in that ended. What the service refuses for good ends it. */

import { forgetToken, formToken } from "./session.js";

const PROTOCOL = { "Tus-Resumable": "1.0.0", Accept: "application/json" };
const LONGEST_WAIT_MS = 5000;
const WAITS = Array.from({ length: 20000 }, (_, tries) => Math.min(LONGEST_WAIT_MS, 500 * tries));
const CLASHES = 20;
const AGAIN = [401, 423, 429, 500, 502, 503, 504, 507];

/** The service does not take this film; `code` and message are its own. */
export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const words = (text) => {
  try { return JSON.parse(text || "{}"); } catch { return {}; }
};

const refusal = (status, body) => {
  const said = words(body);
  const sentence = [said.message, said.advice].filter(Boolean).join(" ");
  return new Refusal(status, said.code || "", sentence || "The service does not take this film any more.");
};

const trouble = (status, said) => {
  if (status === 0) return "There is no connection to the service. It goes on by itself once there is.";
  if (status === 401) return "You were signed out. Sign in again in another window and it goes on by itself.";
  return `${said.message || "The service cannot take it at the moment."} It is tried again by itself.`;
};

/* What a HEAD was refused without a word for, said. */
const whyNot = async (address, status) => {
  const token = await formToken();
  const headers = { ...PROTOCOL, "X-CSRFToken": token, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream" };
  try {
    const answer = await fetch(address, { method: "PATCH", headers });
    return refusal(status, await answer.text());
  } catch {
    return new Error("The connection broke while it was asked what became of it. Load the page again.");
  }
};

const digestIn = (header) => (/sha-256=:([^:]+):/.exec(header || "") || [])[1];

const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

/** Ask for the digest of what the service holds, and have it finish what it has not. */
const proof = async (address, length, onTrouble, more = {}) => {
  for (let tries = 0; ; tries += 1) {
    let answer = null;
    try {
      const token = await formToken();
      const headers = {
        ...PROTOCOL, "X-CSRFToken": token, "Upload-Offset": String(length), "Content-Type": "application/offset+octet-stream", ...more,
      };
      answer = await fetch(address, { method: "PATCH", headers });
    } catch {
      onTrouble(trouble(0, {}));
    }
    if (answer) {
      const digest = digestIn(answer.headers.get("Repr-Digest"));
      if (answer.ok && digest) return digest;
      const body = answer.ok ? "" : await answer.text();
      const isOldToken = words(body).code === "csrf";
      if (isOldToken) forgetToken();
      if (!answer.ok && !isOldToken && !AGAIN.includes(answer.status)) throw refusal(answer.status, body);
      if (!answer.ok && !isOldToken) onTrouble(trouble(answer.status, words(body)));
    }
    await pause(Math.min(2000, 250 * (tries + 1)));
  }
};

/** Whether a refusal means that this recording may not be kept anywhere: consent ended, or it is no
    film that is taken. One that only came too late, or is not for this account, is kept; and so is
    one that whatever stands before the service refused: only what the service has ended is over. */
export const isOver = async (film, { status, code }) => {
  if (film.isLate || !code) return false;
  if (status === 410) return code !== "upload_expired";
  if (![400, 413, 422].includes(status)) return false;
  try {
    return (await fetch(`/uploads/${film.about.asset}`, { method: "HEAD", headers: PROTOCOL })).status === 410;
  } catch {
    return false;
  }
};

/** What the service holds of a film: `offset` in bytes, and whether it is stored; null when it
    cannot be asked, or takes no more of it. */
export const heldOf = async (asset) => {
  try {
    const answer = await fetch(`/uploads/${asset}`, { method: "HEAD", headers: PROTOCOL });
    if (!answer.ok) return null;
    return { offset: Number(answer.headers.get("Upload-Offset")), isStored: Boolean(digestIn(answer.headers.get("Repr-Digest"))) };
  } catch {
    return null;
  }
};

/** Have the service make the film of what came, and no more. */
export const endAt = (asset, offset, onTrouble) => proof(`/uploads/${asset}`, offset, onTrouble, { "Upload-Length": String(offset) });

/** Have the service erase what came. Raises Refusal when it does not. */
export const discard = async (asset) => {
  for (let tries = 0; ; tries += 1) {
    const answer = await fetch(`/uploads/${asset}`, { method: "DELETE", headers: { ...PROTOCOL, "X-CSRFToken": await formToken() } });
    if (answer.ok || answer.status === 410) return;
    const body = await answer.text();
    if (tries > 0 || words(body).code !== "csrf") throw refusal(answer.status, body);
    forgetToken();
  }
};

/** Begin to send. `input` is a file, or what `reader` reads; `length` in bytes when it is known.

    Returns `stored`, which becomes the digest (Base64) of what the service holds, and `pause` and
    `goOn`. `onProgress(bytes)` tells what has gone, `onTrouble(sentence)` what keeps it. */
export const send = ({ asset, input, reader, length, chunkSize, more, onProgress, onTrouble }) => {
  const address = `/uploads/${asset}`;
  let digest = "";
  let sent = 0;
  let upload;
  const whole = new Promise((done, failed) => {
    upload = new tus.Upload(input, {
      uploadUrl: address,
      uploadLengthDeferred: true,
      chunkSize,
      retryDelays: WAITS,
      headers: { Accept: "application/json" },
      fingerprint: async () => null,
      storeFingerprintForResuming: false,
      ...(reader ? { fileReader: reader } : {}),
      ...more,
      onBeforeRequest: async (request) => {
        if (request.getMethod() === "HEAD") return;
        request.setHeader("X-CSRFToken", await formToken());
        // A second one would be joined to the first, and two lengths are none.
        if (length && !request.getHeader("Upload-Length")) request.setHeader("Upload-Length", String(length));
      },
      onAfterResponse: (_request, response) => {
        digest = digestIn(response.getHeader("Repr-Digest")) || digest;
      },
      onShouldRetry: (error, tries) => {
        if (input.isBroken) return false;
        const status = error.originalResponse ? error.originalResponse.getStatus() : 0;
        const said = words(error.originalResponse && error.originalResponse.getBody());
        if (said.code === "csrf") { forgetToken(); return true; }
        if (status === 409) return tries < CLASHES;
        if (status !== 0 && !AGAIN.includes(status)) return false;
        onTrouble(trouble(status, said));
        return true;
      },
      onProgress: (bytes) => { sent = bytes; onProgress(bytes); },
      onSuccess: () => done(),
      onError: (error) => {
        const answer = error.originalResponse;
        if (!answer) failed(new Error("Sending broke off. Load the page again."));
        else if (answer.getBody()) failed(refusal(answer.getStatus(), answer.getBody()));
        else whyNot(address, answer.getStatus()).then(failed, failed);
      },
    });
  });
  upload.start();
  const stored = whole.then(() => digest || proof(address, length || sent, onTrouble));
  return { stored, upload, pause: () => upload.abort(), goOn: () => upload.start() };
};
