// The player: Play asks the server for a jam, its samples go from the transport to the sink, and
// reports of the playhead go back, so that the server stays a few seconds ahead.
//
// window.riffusionPlayer is the one name the page and the tests know.

import { Scope } from "./scope.js";
import { createSink } from "./sink.js";
import { openFetch, openSocket, post } from "./transport.js";
import { View } from "./view.js";

const CHANGE_MS = 150;
const REPORT_MS = { socket: 100, fetch: 400 };
const KEEP_MS = 60_000;     // the server keeps a stopped track while the page is open
const RETRY_MS = [250, 500, 1000, 2000, 4000];
const GIVE_UP_MS = 60_000;
const LOW_S = 1.0;
const FADE_S = 0.02;
const END_S = 0.1;          // a song ends in so much silence
const DOUBLE_PRESS_MS = 400;

export function mount(element, root, ask) {
  const formReady = Boolean(window.riffusionPlayer?.formReady);
  window.riffusionPlayer = new Player(element, root, ask, formReady);
}

class Player {
  state = "idle";           // or starting, playing, stopped
  jam = null;               // {id, sample_rate, channels}, of a song, too
  song = null;              // {plan} where a song plays
  marks = [];               // clips, in the order of the track
  report = { playhead: 0, buffered: 0, dropouts: 0, late: 0 };
  firstSoundMs = null;
  reconnects = 0;
  recording = null;
  silentMs = 15_000;        // a connection from which nothing comes while the sound runs out is broken

  constructor(element, root, ask, formReady) {
    this.formReady = formReady;   // whether the form shows what the page's address says
    const query = new URLSearchParams(window.location.search);
    this.force = { sink: query.get("sink"), transport: query.get("transport") };
    this.root = root;
    this.base = root + "/jam/player/";
    this.ask = ask;
    this.names = JSON.parse(element.dataset.names);
    this.format = { sampleRate: +element.dataset.sampleRate, channels: +element.dataset.channels };
    this.hold = +element.dataset.holdS;
    this.view = new View(element);
    this.scope = new Scope(this.view.find("scope"));
    this.view.find("play").addEventListener("click", () => this.press());
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("pointerdown", () => this.context?.resume());
    document.addEventListener("visibilitychange", () => this.context?.resume());
    window.addEventListener("pagehide", () => this.stop());
    setInterval(() => this.state === "stopped" && this.tell({ type: "keep" }), KEEP_MS);
    this.view.state("idle");
  }

  // What the page calls, with the values of its form in the order of `names`

  settings(values) {
    return Object.fromEntries(this.names.map((name, i) => [name, values[i]]));
  }

  async play(values) {
    if (this.state !== "starting" || this.song) return;
    const settings = this.settings(values);
    this.sent = this.wanted = JSON.stringify(settings);
    await this.start("/jam", settings);
  }

  // Play a song, whose plan is `plan`, instead of the form's jam.
  async playSong(plan) {
    this.stop();
    this.pressedAt = performance.now();
    this.prepare();
    this.song = { plan };
    await this.start("/song", { plan });
  }

  // Go on with another plan, and to its `jump`-th section.
  changeSong(plan, jump) {
    this.song = { plan };
    if (this.jam && this.state !== "stopped") this.tell({ type: "change", plan, jump });
  }

  async start(path, message) {
    if (this.asked === this.context) return;
    const asked = (this.asked = this.context);
    try {
      const asking = post(this.root + path, message);
      const [jam, plugged] = await Promise.allSettled([asking, this.plug()]);
      const problem = jam.reason ?? plugged.reason;
      if (problem || this.context !== asked) {
        // The server need not play a jam that nobody hears.
        if (jam.value) post(`${this.root}/jam/${jam.value.id}/tell`, { type: "stop" }).catch(() => {});
        if (problem) throw problem;
        return;
      }
      this.jam = jam.value;
      this.view.track(this.url());
      this.connect();
      // What was changed while the server answered.
      if (this.song && this.song.plan !== message.plan) this.changeSong(this.song.plan);
      this.tellChange();
      this.animate(performance.now());
    } catch (error) {
      if (this.context !== asked) return;
      this.end("stopped");
      this.view.status("");
      this.view.warn(error.message);
    }
  }

  // Any control has changed; tell the server after `rest` milliseconds without another change.
  change(values, rest = CHANGE_MS) {
    this.wanted = JSON.stringify(this.settings(values));
    clearTimeout(this.changing);
    this.changing = setTimeout(() => this.tellChange(), rest);
  }

  tellChange() {
    if (!this.jam || this.song || this.state === "stopped" || this.wanted === this.sent) return;
    this.sent = this.wanted;
    this.tell({ type: "change", settings: JSON.parse(this.wanted) });
  }

  async share(values) {
    const settings = this.settings(values);
    if (!settings.shape) ["density", "brightness", "drums"].forEach((name) => delete settings[name]);
    // What a musician brought is on this server for a while only: a link cannot promise it.
    const own = ["anchor", "mask"].filter((name) => settings[name]?.startsWith("own-"));
    own.forEach((name) => delete settings[name]);
    const without = own.length ? " Your own sound and picture are not in it." : "";
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(settings)) {
      query.set(name, typeof value === "boolean" ? +value : value);
    }
    const link = `${window.location.origin}${window.location.pathname}?${query}`;
    window.history.replaceState(null, "", link);
    try {
      await navigator.clipboard.writeText(link);
      this.view.status("The link is copied: whoever opens it gets this jam." + without);
    } catch {
      this.view.status("The link is in the address bar now: whoever opens it gets this jam." + without);
    }
  }

  // For tests and benchmarks: keep what is played, from the next Play on.
  record() {
    this.recording = "wanted";
  }

  // Play and Stop

  press() {
    const now = performance.now();
    if (this.state === "starting" || this.state === "playing") {
      // Who presses Play twice wants music, not silence.
      if (now - this.pressedAt > DOUBLE_PRESS_MS) this.stop();
      return;
    }
    this.pressedAt = now;
    this.prepare();
    this.begin();
  }

  // Ask the page for its settings, once it has them; it answers with play().
  begin() {
    if (this.state === "starting" && this.formReady) this.ask();
  }

  prepare() {
    this.state = "starting";
    this.jam = this.song = this.endAt = null;
    this.marks = [];
    this.current = this.mark = null;
    this.firstSoundMs = null;
    this.report = { playhead: 0, buffered: 0, dropouts: 0, late: 0 };
    this.view.warn("");
    this.view.state("starting");
    this.view.status("Starting…");
    this.scope.clear();
    // Browsers let sound begin only from a click, so the context is made here and now.
    const { sampleRate } = this.format;
    const context = new AudioContext({ sampleRate, latencyHint: "playback" });
    context.onstatechange = () => this.showSuspended(context);
    context.resume();
    this.context = context;
  }

  // A phone call, another tab or a careful browser can hold the sound back.
  showSuspended(context) {
    if (context !== this.context || this.state !== "playing") return;
    const runs = context.state === "running";
    this.view.status(runs ? "Playing." : "The browser holds the sound back. Click anywhere to go on.");
  }

  async plug() {
    const { context } = this;
    const { channels } = this.format;
    const { hold, base } = this;
    const sink = await createSink(context, { channels, hold, base, force: this.force.sink });
    // Stop, or Stop and Play, may have been pressed meanwhile.
    if (context !== this.context) return sink.close();
    this.sink = sink;
    this.analyser = context.createAnalyser();
    this.analyser.fftSize = 4096;
    this.analyser.smoothingTimeConstant = 0;
    this.gain = context.createGain();
    this.sink.node.connect(this.analyser);
    this.sink.onreport = (report) => this.heard(report);
    let last = this.sink.node;
    if (this.recording) {
      const { Recording } = await import("./recorder-link.js");
      this.recording = new Recording(context, this.base);
      await this.recording.ready;
      last.connect(this.recording.node);
      last = this.recording.node;
    }
    last.connect(this.gain);
    this.gain.connect(context.destination);
  }

  stop() {
    if (this.state !== "starting" && this.state !== "playing") return;
    if (this.jam) {
      this.tell({ type: "position", sample: this.report.playhead });
      this.tell({ type: "stop" });
    }
    this.end("stopped");
    this.view.status("Stopped.");
  }

  // Silence, at once but without a click.
  end(state) {
    this.state = state;
    this.view.state(state);
    cancelAnimationFrame(this.frame);
    clearTimeout(this.retrying);
    this.transport?.close();
    this.transport = null;
    const { context, sink, gain } = this;
    gain?.gain.setTargetAtTime(0, context.currentTime, FADE_S / 4);
    if (sink) sink.onreport = () => {};
    setTimeout(() => {
      sink?.close();
      context?.close();
    }, FADE_S * 2000);
    this.context = this.sink = this.gain = null;
  }

  // The connection

  url() {
    return `${this.root}/jam/${this.jam.id}`;
  }

  connect() {
    this.messageAt = performance.now();
    this.kind = this.force.transport ?? this.kind ?? (window.WebSocket ? "socket" : "fetch");
    const query = `?from=${this.report.playhead}`;
    const handlers = {
      onAudio: (at, pcm) => this.audio(at, pcm),
      onEvent: (event) => this.event(event),
      onClose: (opened, gone) => this.lost(opened, gone),
    };
    this.transport =
      this.kind === "fetch"
        ? openFetch(`${this.url()}/stream${query}`, `${this.url()}/tell`, handlers)
        : openSocket(`${this.url()}/socket${query}`, handlers);
  }

  audio(at, pcm) {
    this.connected();
    this.sink?.write(at, pcm);
  }

  connected() {
    this.everConnected = true;
    this.messageAt = performance.now();
    this.retries = 0;
    if (!this.lostAt) return;
    this.view.status("Connected again.");
    this.lostAt = null;
    // Nobody knows whether what was said meanwhile has arrived: say it again.
    if (this.song) this.changeSong(this.song.plan);
    else this.tell({ type: "change", settings: JSON.parse(this.sent) });
  }

  // Networks can die without a word: what matters is that the sound runs out.
  checkSilence(buffered) {
    if (this.state !== "playing" || this.lostAt) return;
    const silent = performance.now() - this.messageAt > this.silentMs;
    if (!silent || buffered > LOW_S * this.format.sampleRate) return;
    this.transport.close();
    this.lost(true);
  }

  // The connection broke. What has arrived plays on while we try again.
  lost(opened, gone) {
    if (this.state !== "starting" && this.state !== "playing") return;
    if (gone) return this.over("This jam is over on the server. Press Play for a new one.");
    const now = performance.now();
    this.lostAt ??= now;
    if (now - this.lostAt > GIVE_UP_MS) {
      return this.over("The connection to the server is lost. Check it and press Play.");
    }
    // Some networks block sockets: then plain HTTP does it.
    if (!opened && !this.everConnected && this.kind === "socket") this.kind = "fetch";
    this.reconnects++;
    this.view.status("Connection lost, trying again…");
    const wait = RETRY_MS[Math.min(this.retries ?? 0, RETRY_MS.length - 1)];
    this.retries = (this.retries ?? 0) + 1;
    this.retrying = setTimeout(() => this.connect(), wait);
  }

  over(message) {
    this.end("stopped");
    this.view.status("Stopped.");
    this.view.warn(message);
  }

  tell(message) {
    if (!this.jam) return;
    if (this.state !== "stopped" && this.transport?.tell(message)) return;
    post(`${this.url()}/tell`, message).catch(() => {});
  }

  event(event) {
    this.connected();
    if (event.type === "clip") {
      this.marks = this.marks.filter((mark) => mark.start_sample < event.start_sample);
      this.marks.push(event);
    } else if (event.type === "changed") {
      const wait = Math.max(0, event.at - this.report.playhead) / this.format.sampleRate;
      this.view.warn("");
      this.view.status(`Your change is heard at the next bar line, in ${wait.toFixed(1)} s.`);
      this.lastChange = event.at;
      this.endAt = null;
    } else if (event.type === "end") {
      this.endAt = event.at;
      this.sink?.finish();
    } else if (event.type === "notice") this.view.warn(event.message);
    else if (event.type === "over") this.over(event.message);
  }

  // What is heard

  heard(report) {
    this.report = report;
    const { sampleRate } = this.format;
    if (this.state === "starting" && report.playhead > 0) {
      this.state = "playing";
      this.firstSoundMs = performance.now() - this.pressedAt;
      this.view.state("playing");
      this.view.status("Playing.");
    }
    this.view.health(report.buffered / sampleRate, report.dropouts);
    this.view.length(report.playhead / sampleRate);
    const now = performance.now();
    if (!this.lostAt && now - (this.reportedAt ?? 0) >= REPORT_MS[this.kind]) {
      this.reportedAt = now;
      this.tell({ type: "position", sample: report.playhead, late: report.late });
    }
    if (this.endAt !== null && report.playhead >= this.endAt - END_S * sampleRate) {
      this.stop();
      return this.view.status("The song is over.");
    }
    this.checkSilence(report.buffered);
    this.showNow(report.playhead);
  }

  showNow(playhead) {
    const mark = this.marks.findLast(({ start_sample }) => start_sample <= playhead);
    if (!mark) return;
    this.mark = mark;
    const barSamples = (mark.beats_per_bar * 60 * this.format.sampleRate) / mark.bpm;
    const bars = (playhead - mark.start_sample) / barSamples;
    this.view.now(mark, bars);
    this.bar = mark.bar + Math.floor(bars);
    if (mark !== this.current && !document.hidden) {
      this.current = mark;
      this.view.clip(`${this.url()}/clip/${mark.start_sample}.png?bar=${mark.bar}-${mark.index}`, mark);
    }
  }

  animate(then) {
    this.frame = requestAnimationFrame((now) => {
      if (this.state === "playing" && this.report.running) {
        const passed = Math.min(0.1, (now - then) / 1000);
        this.scope.draw(this.analyser, passed, this.bar !== this.drawnBar);
        this.drawnBar = this.bar;
      }
      this.animate(now);
    });
  }

  key(event) {
    const busy = "input, textarea, select, button, a, audio, summary, [contenteditable], [role=slider]";
    if (event.code !== "Space" || event.repeat || event.target.closest?.(busy)) return;
    event.preventDefault();
    this.press();
  }
}
