/* A recording on its way: each second of it kept on this device, encrypted, until the service has
   proven that it holds every byte. Sent while it is being made, or later, from wherever it broke off. */

import { sha256 } from "../vendor/noble-hashes/sha256.js";
import { listBoxes, openBox } from "./kept.js";

const BOX = "film-";
const ABOUT = "about";
const ENOUGH = 1024 * 1024;
const PATIENCE_MS = 3000;
const PLACE_KEPT_MS = 23 * 60 * 60 * 1000;

const nameOf = (offset) => String(offset).padStart(15, "0");
const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

/** Base64 of some bytes. */
export const base64 = (bytes) => btoa(String.fromCharCode(...bytes));

/** Do something with a film while no other window of this browser does; null when one does. */
export const alone = (asset, work) => navigator.locks.request(`${BOX}${asset}`, { ifAvailable: true }, (lock) => (lock ? work() : null));

export class KeptFilm {
  #box;
  #begins = [];
  #unkept = new Map();
  #hash = null;
  #grew = () => {};
  #growth;

  constructor(box, about) {
    this.about = about;
    this.size = 0;
    this.isWhole = false;
    this.isBroken = false;
    this.#box = box;
    this.#next();
  }

  /** Begin to keep a recording; `about` says as which `asset` of which `involvement`. */
  static async begin(about) {
    const box = await openBox(`${BOX}${crypto.randomUUID()}`);
    const film = new KeptFilm(box, { ...about, began: Date.now() });
    await box.put(ABOUT, film.about);
    film.#hash = sha256.create();
    return film;
  }

  /** The recordings of whoever is signed in that wait on this device, oldest first.

      One that cannot be read any more is among them, marked `isBroken`, with no more known of it
      than when it was begun: it keeps none of the others. What was begun more than a day ago and
      holds nothing is let go. */
  static async waiting() {
    const found = await Promise.all((await listBoxes(BOX)).map((name) => KeptFilm.#found(name)));
    const holds = (film) => film.isBroken || film.size > 0;
    await Promise.all(found.filter((film) => !holds(film) && film.isLate).map((film) => film.wipe()));
    return found.filter(holds).sort((one, other) => one.about.began - other.about.began);
  }

  /** The name of its box on this device. */
  get name() { return this.#box.name; }

  /** Whether its place at the service has lapsed: places are kept for a day. */
  get isLate() { return Date.now() - this.about.began > PLACE_KEPT_MS; }

  /** Let it be sent as another film from now on. */
  async becomes(asset) {
    this.about = { ...this.about, asset, began: Date.now() };
    await this.#box.put(ABOUT, this.about);
  }

  /* As far as it came; nothing more comes. */
  static async #found(name) {
    const box = await openBox(name);
    const film = new KeptFilm(box, { began: box.made || 0 });
    film.isWhole = true;
    film.#begins = (await box.list("0")).map(Number);
    const last = film.#begins.at(-1);
    try {
      film.about = (await box.get(ABOUT)) || film.about;
      if (last !== undefined) film.size = last + (await film.#piece(last)).byteLength;
    } catch {
      film.isBroken = true;
    }
    if (last !== undefined && !film.about.asset) film.isBroken = true;
    return film;
  }

  /** Keep the next bytes. Raises what the device raised; they, and all after them, are then kept in
      this page alone: what waits on the device has no gap. */
  async add(bytes) {
    const begins = this.size;
    this.#hash.update(bytes);
    try {
      if (this.#unkept.size) this.#unkept.set(begins, bytes);
      else await this.#box.put(nameOf(begins), bytes);
    } catch (fault) {
      this.#unkept.set(begins, bytes);
      throw fault;
    } finally {
      this.#begins.push(begins);
      this.size += bytes.byteLength;
      this.#next();
    }
  }

  /** Nothing more comes. */
  finish() {
    this.isWhole = true;
    this.#next();
  }

  /** What tus reads from: waits for enough of what is still being recorded. */
  get reader() {
    return { openFile: async () => ({ size: null, slice: (start, end) => this.#slice(start, end), close: () => {} }) };
  }

  /** The SHA-256 of all of it, in Base64. */
  async digest() {
    if (this.#hash) return base64(this.#hash.clone().digest());
    const hash = sha256.create();
    for (const begins of this.#begins) hash.update(await this.#piece(begins));
    return base64(hash.digest());
  }

  /** Let go of it on this device. */
  async wipe() {
    this.#unkept.clear();
    await this.#box.wipe();
  }

  async #slice(start, end) {
    await this.#enough(start, end);
    const upTo = Math.min(end, this.size);
    const value = upTo > start ? await this.#bytes(start, upTo) : null;
    return { value, done: this.isWhole && upTo >= this.size };
  }

  async #enough(start, end) {
    const since = performance.now();
    while (!this.isWhole && this.size < Math.min(end, start + ENOUGH)) {
      const left = PATIENCE_MS - (performance.now() - since);
      if (left <= 0 && this.size > start) return;
      await (left > 0 ? Promise.race([this.#growth, pause(left)]) : this.#growth);
    }
  }

  /* Bytes in memory, not a Blob: a browser may write a Blob to its disk as it is. */
  async #bytes(start, end) {
    const value = new Uint8Array(end - start);
    const first = this.#begins.findLastIndex((begins) => begins <= start);
    for (let number = first; number < this.#begins.length && this.#begins[number] < end; number += 1) {
      const begins = this.#begins[number];
      const piece = await this.#piece(begins);
      const from = Math.max(start - begins, 0);
      value.set(piece.subarray(from, Math.min(piece.byteLength, end - begins)), Math.max(begins - start, 0));
    }
    Object.defineProperty(value, "size", { value: value.byteLength });
    return value;
  }

  async #piece(begins) {
    const piece = this.#unkept.get(begins) || await this.#box.get(nameOf(begins)).catch(() => null);
    if (piece) return piece;
    this.isBroken = true;
    throw new Error("A part of this recording cannot be read on this device any more.");
  }

  #next() {
    this.#grew();
    this.#growth = new Promise((grew) => { this.#grew = grew; });
  }
}
