/* The form token of whoever is signed in, and a word to the service that they are still here. */

let token = "";

/** Ask for the session; null when nobody is signed in any more or the service cannot be reached. */
export const stillHere = async () => {
  let answer;
  try {
    answer = await fetch("/account/session", { headers: { Accept: "application/json" }, cache: "no-store" });
  } catch {
    return null;
  }
  if (!answer.ok || !(answer.headers.get("Content-Type") || "").startsWith("application/json")) return null;
  const session = await answer.json();
  token = session.token;
  return session;
};

/** The form token; empty when there is no session. */
export const formToken = async () => {
  if (!token) await stillHere();
  return token;
};

/** Ask for a new token next time: who signs in again has another. */
export const forgetToken = () => { token = ""; };
