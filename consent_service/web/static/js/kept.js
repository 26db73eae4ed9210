/* Things kept on this device until the service holds them: in IndexedDB, encrypted.

   A box belongs to whoever is signed in and has a key of its own (AES-GCM, 256 bits), which no
   script can read out. A thing is bytes or whatever JSON can say, by a name within its box.
   Names and when a box was made stand in the clear: ids and numbers only, nothing about a person. A box is wiped
   whole, its key with it. */

const NAME = "kept";
const BYTES = 1;
const JSON_TEXT = 2;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Whether this browser can keep anything here: it cannot in a page that did not come safely. */
export const canKeep = () => Boolean(window.isSecureContext && window.indexedDB && window.crypto && crypto.subtle);

/** The id of the account that is signed in, empty before. */
export const account = () => document.documentElement.dataset.account || "";

const answer = (request) => new Promise((done, failed) => {
  request.onsuccess = () => done(request.result);
  request.onerror = () => failed(request.error);
});

const ended = (change) => new Promise((done, failed) => {
  change.oncomplete = () => done();
  change.onerror = change.onabort = () => failed(change.error);
});

let opening = null;
const database = () => {
  opening ??= new Promise((done, failed) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("boxes", { keyPath: ["who", "box"] });
      request.result.createObjectStore("things", { keyPath: ["who", "box", "name"] });
    };
    request.onsuccess = () => done(request.result);
    request.onerror = () => { opening = null; failed(request.error); };
  });
  return opening;
};

const store = async (name, mode = "readonly") => {
  const opened = await database();
  return opened.transaction(name, mode, mode === "readwrite" ? { durability: "strict" } : {}).objectStore(name);
};

class Box {
  #who;
  #box;
  #key;

  constructor({ who, box, key, made }) {
    this.#who = who;
    this.#box = box;
    this.#key = key;
    this.made = made;
  }

  get name() { return this.#box; }

  /** Keep a thing; it is on the device when this is done. */
  async put(name, thing) {
    const isBytes = thing instanceof Uint8Array;
    const kind = isBytes ? BYTES : JSON_TEXT;
    const iv = crypto.getRandomValues(new Uint8Array(12));
    const plain = isBytes ? thing : encoder.encode(JSON.stringify(thing));
    const sealed = await crypto.subtle.encrypt(this.#way(name, kind, iv), this.#key, plain);
    const things = await store("things", "readwrite");
    const done = ended(things.transaction);
    things.put({ who: this.#who, box: this.#box, name, kind, iv, sealed, size: plain.byteLength });
    await done;
  }

  /** The thing of this name; undefined when there is none. */
  async get(name) {
    const row = await answer((await store("things")).get([this.#who, this.#box, name]));
    if (!row) return undefined;
    const plain = await crypto.subtle.decrypt(this.#way(name, row.kind, row.iv), this.#key, row.sealed);
    return row.kind === BYTES ? new Uint8Array(plain) : JSON.parse(decoder.decode(plain));
  }

  async delete(name) {
    const things = await store("things", "readwrite");
    const done = ended(things.transaction);
    things.delete([this.#who, this.#box, name]);
    await done;
  }

  /** The names of all things that begin so, in order. */
  async list(begin = "") {
    const keys = await answer((await store("things")).getAllKeys(this.#range(begin)));
    return keys.map((key) => key[2]);
  }

  /** Let everything go at once: nothing is left over of which nobody has the key. */
  async wipe() {
    const opened = await database();
    const change = opened.transaction(["boxes", "things"], "readwrite", { durability: "strict" });
    const done = ended(change);
    change.objectStore("boxes").delete([this.#who, this.#box]);
    change.objectStore("things").delete(this.#range(""));
    await done;
  }

  #range(begin) {
    return IDBKeyRange.bound([this.#who, this.#box, begin], [this.#who, this.#box, `${begin}\uffff`]);
  }

  /* The place is part of what is authenticated: a thing put elsewhere does not open. */
  #way(name, kind, iv) {
    const place = encoder.encode(JSON.stringify([this.#who, this.#box, name, kind]));
    return { name: "AES-GCM", iv, additionalData: place };
  }
}

/** Open a box of whoever is signed in, made when it is not there. */
export const openBox = async (box, who = account()) => {
  const fresh = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  const boxes = await store("boxes", "readwrite");
  const done = ended(boxes.transaction);
  let row = await answer(boxes.get([who, box]));
  if (!row) {
    row = { who, box, key: fresh, made: Date.now() };
    boxes.put(row);
  }
  await done;
  return new Box(row);
};

/** The names of the boxes of whoever is signed in that begin so, in order. */
export const listBoxes = async (begin = "", who = account()) => {
  if (!canKeep()) return [];
  const range = IDBKeyRange.bound([who, begin], [who, `${begin}\uffff`]);
  const keys = await answer((await store("boxes")).getAllKeys(range));
  return keys.map((key) => key[1]);
};

/** How many boxes begin so, of everybody who signs in on this device. */
export const countBoxes = async (begin) => {
  if (!canKeep()) return 0;
  const keys = await answer((await store("boxes")).getAllKeys());
  return keys.filter((key) => key[1].startsWith(begin)).length;
};
