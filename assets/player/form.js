// The form of settings: which of them the server does not know yet, the link that opens them
// again, and the errors shown at their fields.

import { Emitter } from "./emitter.js";

const CHANGE_MS = 150;      // a moving slider sends one change, not dozens
const AT_ONCE_MS = 20;      // a button that fills several fields sends one change
const UPLOADS = ["anchor", "anchor_b", "mask"];
const UPLOADED = "own-";    // names of uploads begin with this
const SHAPES = ["density", "brightness", "drums"];    // they count while `shape` is on
const FURTHER_PROMPTS = "cdefgh";   // their parts count while they have a text

// The page's form as the player knows it. It emits "change" when there is something to send.
export class Form extends Emitter {
  // `names`: of the settings, in the order of their values. `warn(text)` shows a message whose
  // field cannot be seen, and "" takes it away.
  constructor(names, warn) {
    super();
    this.settings = new Settings(names);
    this.errors = new FieldErrors(warn);
    this.dueAt = Infinity;    // when the change that waits goes out
  }

  // A control changed. "change" follows after a rest without another change.
  change(values) {
    this.changeAfter(values, CHANGE_MS);
  }

  // A text changed. While somebody types, every letter is a change: "change" follows after a rest
  // of `restMs`. A text that a button filled in is finished.
  changeText(values, restMs) {
    this.changeAfter(values, isTyping() ? restMs : AT_ONCE_MS);
  }

  changeAfter(values, restMs) {
    const changed = this.settings.read(values);
    for (const name of changed) this.errors.clear(name);
    const dueAt = performance.now() + restMs;
    // Where nothing is new, what waits goes out sooner, and never later.
    if (!changed.length && this.dueAt <= dueAt) return;
    this.dueAt = dueAt;
    clearTimeout(this.changing);
    this.changing = setTimeout(() => {
      this.dueAt = Infinity;
      this.emit("change");
    }, restMs);
  }

  // A button asked for `bars` bars of a momentary setting.
  press(name, bars) {
    this.settings.press(name, bars);
    this.emit("change");
  }

  // The server refused a setting; `field` is "" where its message is about none of them.
  refuse(field, message) {
    const name = this.settings.names.includes(field) ? field : "";
    // A value that was changed again meanwhile is no longer worth a message.
    if (!name || this.settings.refuse(name)) this.errors.show(name, message);
  }
}

// The settings by their names: what the controls show, and what the server knows of it.
export class Settings {
  wanted = {};              // what the controls show
  sent = {};                // what the server was told last, whether it took it or refused it
  refused = new Set();      // names of the settings whose value in `sent` was refused
  pressed = {};             // momentary settings to be sent, each once

  constructor(names) {
    this.names = names;
  }

  // Take the values of the controls and return the names of those that changed.
  read(values) {
    const wanted = nameValues(this.names, values);
    const changed = this.names.filter((name) => wanted[name] !== this.wanted[name]);
    this.wanted = wanted;
    // Whoever writes a refused value once more sends it once more.
    for (const name of changed) if (this.refused.delete(name)) delete this.sent[name];
    return changed;
  }

  // Send a momentary setting with the next differences. No control shows it: it acts once, even if
  // its value is the same as before, and is part of neither `wanted` nor `sent`.
  press(name, value) {
    this.pressed[name] = value;
  }

  // Return all settings, for a new jam.
  takeAll() {
    this.pressed = {};
    this.refused.clear();
    this.sent = { ...this.wanted };
    return { ...this.sent };
  }

  // Return the settings that the server does not know, or null where it knows them all.
  takeDifferences() {
    const names = this.names.filter((name) => this.wanted[name] !== this.sent[name]);
    const differences = pick(this.wanted, names);
    Object.assign(this.sent, differences);
    const { pressed } = this;
    this.pressed = {};
    const all = { ...differences, ...pressed };
    return Object.keys(all).length ? all : null;
  }

  // Return all that was sent and not refused: after a broken connection nobody knows what arrived.
  repeat() {
    return pick(this.sent, Object.keys(this.sent).filter((name) => !this.refused.has(name)));
  }

  // The server refused the value of a setting. Returns whether the control still shows that value.
  refuse(name) {
    if (this.wanted[name] !== this.sent[name]) return false;
    this.refused.add(name);
    return true;
  }
}

// Whether a text field has the focus.
function isTyping() {
  const fields = "textarea, input:not([type]), input[type=text], input[type=number]";
  return document.activeElement?.matches(fields) ?? false;
}

export function nameValues(names, values) {
  return Object.fromEntries(names.map((name, i) => [name, values[i]]));
}

function pick(settings, names) {
  return Object.fromEntries(names.map((name) => [name, settings[name]]));
}

// Messages about settings stand at their fields, or go to `warn` where no field can be seen.
class FieldErrors {
  messages = new Map();     // the element of each message, by name; null where `warn` shows it

  constructor(warn) {
    this.warn = warn;
  }

  // Whether `warn` shows the message of a field now.
  get isWarning() {
    return [...this.messages.values()].includes(null);
  }

  // `name` "" is for messages about no field.
  show(name, text) {
    this.clear(name);
    const field = name ? document.getElementById(fieldId(name)) : null;
    // A field in a closed part of the page has no rectangle.
    if (!field?.getClientRects().length) {
      if (name) this.messages.set(name, null);
      this.warn(text);
      return;
    }
    const message = document.createElement("p");
    message.className = "riff-field-error";
    message.setAttribute("role", "alert");
    message.textContent = text;
    field.append(message);
    this.messages.set(name, message);
  }

  clear(name) {
    if (!this.messages.has(name)) return;
    const message = this.messages.get(name);
    this.messages.delete(name);
    if (message) message.remove();
    else this.warn("");
  }

  clearAll() {
    for (const name of [...this.messages.keys()]) this.clear(name);
  }
}

// Return the id of the element that shows a setting.
function fieldId(name) {
  return name.length === 1 ? `prompt-${name}` : name.replaceAll("_", "-");
}

// Put a link that opens the settings into the address bar and the clipboard. Returns what to tell
// the user.
export async function copyLink(settings) {
  const { query, hasUploads } = buildQuery(settings);
  const link = `${window.location.origin}${window.location.pathname}?${query}`;
  window.history.replaceState(null, "", link);
  // Pages without https have no clipboard, and a browser may forbid it.
  const copied = await navigator.clipboard?.writeText(link).then(() => true, () => false);
  const place = copied ? "The link is copied" : "The link is in the address bar now";
  const without = hasUploads ? " Your own sound and picture are not in it." : "";
  return `${place}: whoever opens it gets this jam.${without}`;
}

// Uploads are not in the query: the server keeps them for a while only, so that no link can
// promise them.
function buildQuery(settings) {
  const query = new URLSearchParams();
  let hasUploads = false;
  for (const [name, value] of Object.entries(settings)) {
    if (!settings.shape && SHAPES.includes(name)) continue;
    if (isUnusedPrompt(name, settings)) continue;
    if (UPLOADS.includes(name) && value?.startsWith(UPLOADED)) hasUploads = true;
    else query.set(name, typeof value === "boolean" ? +value : value);
  }
  return { query, hasUploads };
}

// Whether a setting belongs to a further prompt that has no text.
function isUnusedPrompt(name, settings) {
  const letter = name.match(/^(?:(?:seed|negative|weight)_)?([a-z])$/)?.[1] ?? "";
  return letter !== "" && FURTHER_PROMPTS.includes(letter) && !settings[letter]?.trim();
}
