/* Films with the camera of this device. Every second is kept here, encrypted, and sent while the
   film goes on; the copy here is wiped once the service has proven that it holds every byte. */

import { clock, duration, size } from "./amounts.js";
import { begin, busy, meter, refused, say, stored, unlike } from "./film-page.js";
import { offerRest } from "./film-rest.js";
import { alone, KeptFilm } from "./kept-film.js";
import { canKeep } from "./kept.js";
import { isOver, send } from "./sending.js";
import { soundMeter } from "./sound-meter.js";

const at = (id) => document.getElementById(id);
const room = at("film-now");
const { asset, involvement } = room.dataset;
const most = Number(room.dataset.mostSeconds);
const state = at("film-state");
const preview = at("film-preview");
const turnOn = at("film-turn-on");
const startButton = at("film-start");
const stopButton = at("film-stop");
const cameras = at("film-camera");
const microphones = at("film-microphone");
const KINDS = ["video/webm;codecs=vp8,opus", "video/webm;codecs=vp9,opus", "video/webm", "video/mp4"];
const SLICE_MS = 1000;
const CHUNK = 4 * 1024 * 1024;
const ASKED_FRESH_MS = 60 * 60 * 1000;
const LAST_CALL_S = 60;

const opened = performance.now();
let stream = null;
let sound = null;

const show = (what, isRecording) => {
  state.dataset.state = isRecording ? "recording" : "off";
  at("film-state-words").textContent = what;
};

const FAULTS = {
  NotAllowedError: "The browser was told not to use the camera or the microphone. Allow both for this address (the camera sign beside the address), then try again.",
  NotFoundError: "No camera or no microphone was found. Connect one, or send a file instead.",
  NotReadableError: "Another program uses the camera or the microphone. Close it, then try again.",
  OverconstrainedError: "This camera or microphone is not there any more. Choose another one.",
};

const complain = (sentence) => {
  at("film-now-fault").textContent = sentence;
  at("film-now-fault").hidden = !sentence;
};

const letGo = () => {
  if (sound) sound.end();
  if (stream) stream.getTracks().forEach((track) => track.stop());
  sound = stream = null;
  preview.srcObject = null;
  preview.removeAttribute("data-on");
};

const fill = (list, devices, kind, used) => {
  list.replaceChildren(...devices.filter((one) => one.kind === kind).map((one, number) => {
    const option = document.createElement("option");
    option.value = one.deviceId;
    option.textContent = one.label || `${kind === "videoinput" ? "Camera" : "Microphone"} ${number + 1}`;
    option.selected = one.deviceId === used;
    return option;
  }));
};

const offerDevices = async () => {
  const devices = await navigator.mediaDevices.enumerateDevices();
  fill(cameras, devices, "videoinput", stream.getVideoTracks()[0].getSettings().deviceId);
  fill(microphones, devices, "audioinput", stream.getAudioTracks()[0].getSettings().deviceId);
};

const chosen = (list) => (list.value ? { deviceId: { exact: list.value } } : {});

const openCamera = async () => {
  complain("");
  letGo();
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 25 }, facingMode: { ideal: "environment" }, ...chosen(cameras) },
      audio: chosen(microphones),
    });
  } catch (fault) {
    complain(FAULTS[fault.name] || "The camera could not be opened. Send a file instead, or try again.");
    return;
  }
  preview.srcObject = stream;
  preview.setAttribute("data-on", "");
  sound = soundMeter(stream, at("film-level"), at("film-level-words"));
  await offerDevices();
  turnOn.hidden = true;
  at("film-ready").hidden = false;
  startButton.focus();
};

/* Whether everybody in it still agrees, as far as can be known now. */
const mayBegin = async () => {
  try {
    const answer = await fetch(`/uploads/${asset}`, { method: "HEAD", headers: { "Tus-Resumable": "1.0.0", Accept: "application/json" } });
    if (answer.status === 401) return "You were signed out. Sign in again in another window, then try again.";
    if (!answer.ok) return "This film may not be taken any more: somebody's consent ended, or its day is over. Load the page again.";
    return answer.headers.get("Upload-Offset") === "0" ? "" : "A film came in here already. Load the page again.";
  } catch {
    const isFresh = performance.now() - opened < ASKED_FRESH_MS;
    return isFresh ? "" : "There is no connection, and it is more than an hour since this page knew that everybody agrees. Film once you are connected.";
  }
};

const keepAwake = async () => {
  try { return await navigator.wakeLock.request("screen"); } catch { return null; /* A convenience that not every device has. */ }
};

const sendOn = (film) => {
  begin("Sending");
  const tell = meter();
  const going = send({
    asset,
    input: film,
    reader: film.reader,
    chunkSize: CHUNK,
    onProgress: (sent) => {
      if (film.isWhole) tell(sent, film.size);
      else at("film-figures").textContent = `${size(sent)} of ${size(film.size)} sent so far`;
    },
    onTrouble: say,
  });
  return going.stored;
};

const proven = async (film, held) => {
  if (held !== await film.digest()) {
    unlike("The service holds a whole film, but it is not byte for byte what was filmed here. The recording stays on this device, encrypted. Watch the film before you delete that copy, and tell your administrator.");
    return;
  }
  await film.wipe();
  stored("The service holds all of it, encrypted. The copy on this device is deleted.");
};

const CANNOT_GO_ON = {
  broken: (film, came) => `The recording on this device cannot be read any more. ${came ? `${size(came)} of it came to the service. Keep what has come as the film, or throw it away.` : "Nothing of it came to the service: throw it away, and film again."}`,
  short: (film, came) => `The service has ${size(came)} of this recording, this device only ${size(film.size)}: the browser has cleared the rest. Keep what has come as the film, or throw it away.`,
  elsewhere: (film, came) => `${size(came)} of this film came from another device, or this browser has cleared its copy. Go on where it was begun, if you can. If not, keep what has come as the film, or throw it away.`,
};

const endHere = async (why, film) => {
  busy(false);
  turnOn.hidden = true;
  state.hidden = true;
  document.querySelectorAll("[data-while-sending]").forEach((part) => { part.hidden = true; });
  await offerRest({
    asset,
    sentence: (came) => CANNOT_GO_ON[why](film, came),
    letGo: async () => { if (film) await film.wipe(); },
    onRefused: async (refusal) => {
      if (film) await failed(film, refusal);
      else refused(refusal.message);
    },
  });
};

const failed = async (film, refusal) => {
  if (film.isBroken && !refusal.status) {
    at("film-going").hidden = true;
    await endHere("broken", film);
  } else if (await isOver(film, refusal)) {
    await film.wipe();
    refused(`${refusal.message} The copy on this device is deleted.`);
  } else {
    refused(`${refusal.message} The recording stays on this device, encrypted.`);
  }
};

const follow = async (film, sending) => {
  try {
    await proven(film, await sending);
  } catch (refusal) {
    await failed(film, refusal);
  }
};

/* Returns when the camera has stopped; `onFault` hears that this device keeps no more. */
const record = (film, onRefused) => new Promise((done) => {
  const kind = KINDS.find((one) => MediaRecorder.isTypeSupported(one));
  const recorder = new MediaRecorder(stream, { mimeType: kind, videoBitsPerSecond: 2500000, audioBitsPerSecond: 128000, videoKeyFrameIntervalDuration: 2000 });
  const began = performance.now();
  let kept = Promise.resolve();
  const stop = (why) => {
    if (recorder.state === "inactive") return;
    say(why);
    recorder.stop();
  };
  const ticking = setInterval(() => {
    const seconds = (performance.now() - began) / 1000;
    at("film-clock").textContent = clock(seconds);
    const left = Math.ceil(most - seconds);
    at("film-left").textContent = left <= LAST_CALL_S ? `It stops by itself in ${duration(Math.max(left, 1))}.` : "";
    if (left <= 0) stop("The recording has stopped: it was as long as it may be.");
  }, 250);
  recorder.addEventListener("dataavailable", (event) => {
    kept = kept.then(async () => {
      try {
        if (event.data.size) await film.add(new Uint8Array(await event.data.arrayBuffer()));
      } catch {
        stop("The recording has stopped: this device has no room left. Keep this page open until all is sent.");
      }
    });
  });
  recorder.addEventListener("stop", async () => {
    clearInterval(ticking);
    await kept;
    film.finish();
    done();
  });
  stream.getTracks().forEach((track) => track.addEventListener("ended", () => stop("The camera or microphone is gone. What was filmed until then is kept.")));
  stopButton.addEventListener("click", () => stop("The recording has stopped."), { once: true });
  onRefused(() => stop("The recording has stopped."));
  recorder.start(SLICE_MS);
});

const film = async () => {
  complain("");
  startButton.disabled = true;
  const wrong = await mayBegin();
  startButton.disabled = false;
  if (wrong) { complain(wrong); return; }
  busy(true);
  const awake = await keepAwake();
  if (navigator.storage && navigator.storage.persist) navigator.storage.persist();
  const kept = await KeptFilm.begin({ asset, involvement }).catch(() => null);
  if (!kept) {
    busy(false);
    complain("This device keeps nothing for this page, so a lost network would lose the film. Make room on it, leave the private window, or send a file instead.");
    return;
  }
  show("Recording", true);
  startButton.hidden = true;
  stopButton.hidden = false;
  stopButton.focus();
  at("film-devices").hidden = true;
  say("The recording has started.");
  const sending = sendOn(kept);
  let stopNow = () => {};
  sending.catch(() => stopNow());
  await record(kept, (stop) => { stopNow = stop; });
  show("Not recording", false);
  stopButton.hidden = true;
  letGo();
  at("film-ready").hidden = true;
  if (awake) await awake.release();
  await follow(kept, sending);
};

const goOn = async (kept) => {
  turnOn.hidden = true;
  at("film-late").hidden = true;
  say("A recording of this film waits on this device. It is being sent.");
  const done = await alone(asset, async () => { await follow(kept, sendOn(kept)); return true; });
  if (!done) say("The recording of this film is being sent in another window.");
};

/* A recording of this family whose place has lapsed may come in as this film. */
const offerLate = (kept) => {
  at("film-late").hidden = false;
  at("film-late-when").textContent = new Date(kept.about.began).toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short" });
  at("film-late-send").addEventListener("click", async () => {
    await kept.becomes(asset);
    await goOn(kept);
  }, { once: true });
};

const arrive = async () => {
  room.hidden = false;
  if (!canKeep() || !navigator.mediaDevices || !window.MediaRecorder) {
    turnOn.hidden = true;
    complain(window.isSecureContext
      ? "This browser cannot film. Use an up to date one, or send a file instead."
      : "Browsers give no camera to a page that did not come over a secure connection (https). Ask your administrator for the right address, or send a file instead.");
    return;
  }
  turnOn.addEventListener("click", openCamera);
  cameras.addEventListener("change", openCamera);
  microphones.addEventListener("change", openCamera);
  startButton.addEventListener("click", () => {
    alone(asset, film).then((done) => { if (done === null) complain("This film is being taken in another window."); });
  });
  const kept = await KeptFilm.waiting().catch(() => []); // What cannot be opened cannot be sent.
  const came = Number(room.dataset.came);
  const own = kept.find((one) => one.about.asset === asset);
  const late = kept.find((one) => one.isLate && !one.isBroken && one.about.involvement === involvement);
  if (late && !own) offerLate(late);
  if (own && (own.isBroken || own.size < came)) await endHere(own.isBroken ? "broken" : "short", own);
  else if (own) await goOn(own);
  else if (came > 0) await endHere("elsewhere", null);
};

arrive();
