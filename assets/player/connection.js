// The connection to one jam on the server. It reports the playhead, so that the server stays a few
// seconds ahead, and connects again when the network breaks. It emits these events:
//
//   open      messages can be sent; `true` if the connection was open before and broke
//   audio     { at, pcm }: samples arrived, int16 interleaved, from absolute sample `at` on
//   event     a JSON message of the server
//   lost      the connection broke, and another attempt follows
//   restored  something arrives again
//   failed    a message for the user: no further attempt follows

import { Emitter } from "./emitter.js";
import { post } from "./http.js";
import { openFetch, openSocket } from "./transport.js";

const RETRY_MS = [250, 500, 1000, 2000, 4000];    // each attempt waits longer than the last
const GIVE_UP_MS = 60_000;
const REPORT_MS = { socket: 100, fetch: 400 };    // over HTTP each report is a request of its own
const LOW_S = 1.0;
const KEEP_MS = 60_000;     // far less than a server keeps the track of a jam that was stopped

export class Connection extends Emitter {
  url = null;               // of the jam
  transport = null;
  isOpen = false;
  lostAt = null;            // when the connection broke; null while it works
  reconnects = 0;
  silentMs = 15_000;        // see checkSilence

  // `kind` forces a transport: "socket" or "fetch".
  constructor(kind) {
    super();
    this.kind = kind ?? (window.WebSocket ? "socket" : "fetch");
    this.isForced = Boolean(kind);
  }

  open(url) {
    this.url = url;
    this.playhead = 0;
    this.reportedAt = 0;
    this.attempts = 0;
    this.lostAt = null;
    this.wasOpen = false;
    this.connect();
  }

  // Messages can still be sent after this.
  close() {
    clearTimeout(this.retrying);
    this.transport?.close();
    this.transport = null;
    this.isOpen = false;
  }

  connect() {
    this.receivedAt = performance.now();
    const handlers = {
      onOpen: () => this.noteOpen(),
      onAudio: (at, pcm) => {
        this.noteLife();
        this.emit("audio", { at, pcm });
      },
      onEvent: (event) => {
        this.noteLife();
        this.emit("event", event);
      },
      onClose: (end) => this.retry(end),
    };
    const query = `?from=${this.playhead}`;
    this.transport =
      this.kind === "fetch"
        ? openFetch(`${this.url}/stream${query}`, handlers)
        : openSocket(`${this.url}/socket${query}`, handlers);
  }

  // Ask the server each minute to keep the track of a stopped jam while the page is open.
  startKeeping() {
    this.keeping = setInterval(() => this.send({ type: "keep" }), KEEP_MS);
  }

  stopKeeping() {
    clearInterval(this.keeping);
  }

  // Send a message by the socket, or as a request of its own where there is none.
  send(message) {
    if (this.transport?.send(message)) return;
    // What the server refuses comes as an event, too, and a broken network shows in the transport.
    post(`${this.url}/tell`, message).catch(() => {});
  }

  // Take a report of the audio graph, and pass it on to the server now and then.
  report({ playhead, late }, bufferedS) {
    this.playhead = playhead;
    const now = performance.now();
    if (this.lostAt === null && now - this.reportedAt >= REPORT_MS[this.kind]) {
      this.reportedAt = now;
      this.send({ type: "position", sample: playhead, late });
    }
    this.checkSilence(now, bufferedS);
  }

  // A network can die without closing the connection. What shows it is that nothing arrives while
  // the sound runs out; a jam that is far ahead may be silent for long.
  checkSilence(now, bufferedS) {
    if (!this.playhead || this.lostAt !== null) return;
    if (now - this.receivedAt <= this.silentMs || bufferedS > LOW_S) return;
    this.transport.close();
    this.retry({ opened: true, gone: false });
  }

  noteOpen() {
    const wasOpen = this.wasOpen;
    this.isOpen = this.wasOpen = true;
    this.emit("open", wasOpen);
  }

  // Something arrived.
  noteLife() {
    this.hasWorked = true;
    this.receivedAt = performance.now();
    this.attempts = 0;
    if (this.lostAt === null) return;
    this.lostAt = null;
    this.emit("restored");
  }

  // The connection broke: connect again after a while. What has arrived plays on meanwhile.
  retry({ opened, gone }) {
    this.isOpen = false;
    if (gone) return this.fail("This jam is over on the server. Press Play for a new one.");
    const now = performance.now();
    this.lostAt ??= now;
    if (now - this.lostAt > GIVE_UP_MS) {
      return this.fail("The connection to the server is lost. Check it and press Play.");
    }
    // Some networks block sockets but let plain HTTP through.
    if (!opened && !this.hasWorked && !this.isForced) this.kind = "fetch";
    this.reconnects++;
    const waitMs = RETRY_MS[Math.min(this.attempts++, RETRY_MS.length - 1)];
    this.retrying = setTimeout(() => this.connect(), waitMs);
    this.emit("lost");
  }

  fail(message) {
    this.close();
    this.emit("failed", message);
  }
}
