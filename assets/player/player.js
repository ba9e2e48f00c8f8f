// The player: Play asks the server for a jam or a song, its samples go from the connection to the
// audio graph, and reports of the playhead go back.
//
// The page and the tests know it as window.riffusionPlayer. It emits these events:
//
//   state   `state` or `song` changed
//   report  the playhead moved

import { AudioGraph } from "./audio-graph.js";
import { Connection } from "./connection.js";
import { Emitter } from "./emitter.js";
import { copyLink, Form, nameValues } from "./form.js";
import { post } from "./http.js";
import { LiveButtons } from "./live-buttons.js";
import { NowPlaying } from "./now-playing.js";
import { onSpace } from "./shortcuts.js";
import { View } from "./view.js";

const END_S = 0.1;          // a song ends in so much silence
const DOUBLE_PRESS_MS = 400;
const NO_REPORT = { playhead: 0, buffered: 0, dropouts: 0, late: 0, running: false };
const HELD_BACK = "The browser holds the sound back. Click anywhere to go on.";

let resolvePlayer;
// The song may appear on the page before the player: it waits for this.
export const playerReady = new Promise((resolve) => (resolvePlayer = resolve));

// `ask("play")` lets the page answer with the values of its form: play(values). `ask("input")` lets
// it switch Hold on or off.
export function mount(element, root, ask) {
  // The page may have filled the form before this module was loaded.
  const formReady = Boolean(window.riffusionPlayer?.formReady);
  window.riffusionPlayer = new Player(element, root, ask, formReady);
  window.riffusionPlayer.begin();
  resolvePlayer(window.riffusionPlayer);
}

function readAudioOptions({ sampleRate, channels }, root) {
  return {
    sampleRate: +sampleRate,
    channels: +channels,
    base: root + "/jam/player/",
    sinkKind: readForced("sink"),
  };
}

// The page says above the player where the engine is slower than its music, once it was timed.
function readHoldS() {
  return +(document.querySelector("#pace-note [data-hold-s]")?.dataset.holdS ?? 0);
}

// The page's address may force one of the ways in which sound travels or is played, for tests.
function readForced(name) {
  return new URLSearchParams(window.location.search).get(name);
}

class Player extends Emitter {
  state = "idle";           // or starting, playing, stopped
  jam = null;               // { id, sample_rate, channels } of what plays; a song has one, too
  song = null;              // { plan } while a song plays
  opening = {};             // { opening } where the next jam goes on from a recording
  audio = null;             // the AudioGraph of this Play
  report = NO_REPORT;       // what the audio graph said last
  firstSoundMs = null;      // from the press of Play
  lastChange = null;        // the sample from which the last change is heard
  isRecorded = false;       // see record
  recording = null;

  constructor(element, root, ask, formReady) {
    super();
    this.root = root;
    this.ask = ask;
    this.formReady = formReady;
    this.names = JSON.parse(element.dataset.names);
    this.audioOptions = readAudioOptions(element.dataset, root);
    this.sampleRate = this.audioOptions.sampleRate;
    this.view = new View(element);
    this.buttons = new LiveButtons(this.view.find("live"));
    this.form = new Form(this.names, (text) => this.view.showNotice(text));
    this.nowPlaying = new NowPlaying(this.view, this.sampleRate);
    this.connection = new Connection(readForced("transport"));
    this.listen();
  }

  listen() {
    const { connection, view } = this;
    connection.on("open", (wasOpen) => (wasOpen ? this.resend() : this.sendChange()));
    connection.on("audio", ({ at, pcm }) => this.audio?.write(at, pcm));
    connection.on("event", (event) => this.receive(event));
    connection.on("lost", () => view.showStatus("Connection lost, trying again…"));
    connection.on("restored", () => view.showStatus("Connected again."));
    connection.on("failed", (message) => this.endWithNotice(message));
    this.form.on("change", () => this.sendChange());
    this.buttons.on("press", ({ name, bars }) => this.form.press(name, bars));
    this.buttons.on("toggle", () => this.ask("input"));
    view.find("play").addEventListener("click", () => this.press());
    onSpace(() => this.press());
    document.addEventListener("pointerdown", () => this.audio?.resume());
    document.addEventListener("visibilitychange", () => this.audio?.resume());
    window.addEventListener("pagehide", () => this.stop());
  }

  // Whether something plays or is about to.
  get isOn() {
    return this.state === "starting" || this.state === "playing";
  }

  get marks() {
    return this.nowPlaying.marks;
  }

  get mark() {
    return this.nowPlaying.mark;
  }

  url() {
    return `${this.root}/jam/${this.jam.id}`;
  }

  // For tests and benchmarks: record what is played, from the next Play on.
  record() {
    this.isRecorded = true;
  }

  // Play and Stop are one button.
  press() {
    if (this.isOn) {
      // Whoever presses Play twice wants music, not silence.
      if (performance.now() - this.pressedAt > DOUBLE_PRESS_MS) this.stop();
      return;
    }
    this.prepare(null);
    this.begin();
  }

  // Ask the page for the values of its form once they are there.
  begin() {
    if (this.formReady) this.ask("play");
  }

  // The page answered. Before Play, the values are only shown.
  async play(values) {
    this.buttons.showSettings(nameValues(this.names, values));
    if (this.state !== "starting" || this.song || this.isRequested) return;
    this.form.settings.read(values);
    await this.start("/jam", { ...this.form.settings.takeAll(), ...this.opening });
  }

  // Play a song, whose plan is `plan`, instead of the form's jam.
  async playSong(plan) {
    this.stop();
    this.prepare({ plan });
    await this.start("/song", { plan });
  }

  // Go on with another plan of the song, and at its `jump`-th section.
  changeSong(plan, jump) {
    this.song = { plan };
    if (this.jam && this.state !== "stopped") this.connection.send({ type: "change", plan, jump });
  }

  // A control changed; see Form.
  change(values) {
    this.buttons.showSettings(nameValues(this.names, values));
    this.form.change(values);
  }

  // A text changed, a letter or as a whole; see Form.
  changeText(values, restMs) {
    this.buttons.showSettings(nameValues(this.names, values));
    this.form.changeText(values, restMs);
  }

  async share(values) {
    this.view.showStatus(await copyLink(nameValues(this.names, values)));
  }

  prepare(song) {
    this.pressedAt = performance.now();
    this.jam = this.endAt = this.firstSoundMs = null;
    this.song = song;
    this.isRequested = false;
    this.report = NO_REPORT;
    this.connection.stopKeeping();
    this.form.errors.clearAll();
    this.nowPlaying.clear();
    this.view.showNotice("");
    this.view.showStatus("Starting…");
    const audio = new AudioGraph({ ...this.audioOptions, holdS: readHoldS() });
    audio.on("report", (report) => this.takeReport(report));
    audio.on("suspended", (isSuspended) => {
      if (this.state === "playing") this.view.showStatus(isSuspended ? HELD_BACK : "Playing.");
    });
    this.audio = audio;
    this.setState("starting");
  }

  // Ask the server for a jam or a song while the audio graph is built.
  async start(path, message) {
    this.isRequested = true;
    const { audio } = this;
    const asking = post(this.root + path, message);
    const [jam, graph] = await Promise.allSettled([asking, audio.connect(this.isRecorded)]);
    const error = jam.reason ?? graph.reason;
    // Stop, or Stop and Play, may have been pressed meanwhile.
    if (!error && !audio.isClosed) return this.connectJam(jam.value, graph.value, message);
    // The server need not play a jam that nobody hears.
    if (jam.value) post(`${this.root}/jam/${jam.value.id}/tell`, { type: "stop" }).catch(() => {});
    if (audio.isClosed) return;
    this.end();
    this.view.showStatus("");
    this.form.errors.show(error.field ?? "", error.message);
  }

  // The server answered with a jam or a song: hear and see it.
  connectJam(jam, recording, message) {
    this.jam = jam;
    this.recording = recording;
    this.view.linkTrack(this.url());
    this.connection.open(this.url());
    // The plan may have been edited while the server answered.
    if (this.song && this.song.plan !== message.plan) this.changeSong(this.song.plan);
    const isRunning = () => this.state === "playing" && this.report.running;
    this.nowPlaying.draw(this.audio.analyser, isRunning);
  }

  stop() {
    if (!this.isOn) return;
    if (this.jam) {
      this.connection.send({ type: "position", sample: this.report.playhead });
      this.connection.send({ type: "stop" });
    }
    this.end();
  }

  end() {
    this.connection.close();
    if (this.jam) this.connection.startKeeping();
    this.nowPlaying.stopDrawing();
    this.audio.close();
    this.audio = null;
    this.view.showStatus("Stopped.");
    this.setState("stopped");
  }

  endWithNotice(message) {
    this.end();
    this.view.showNotice(message);
  }

  setState(state) {
    this.state = state;
    this.view.showState(state);
    this.buttons.showState({ isOn: this.isOn, isSong: Boolean(this.song) });
    this.emit("state");
  }

  // Send what changed. While the connection is not open that waits, because the server could not
  // say what it refuses.
  sendChange() {
    if (this.song || !this.connection.isOpen) return;
    const settings = this.form.settings.takeDifferences();
    if (settings) this.connection.send({ type: "change", settings });
  }

  // Nobody knows whether what was sent on a broken connection has arrived: send it again.
  resend() {
    if (this.song) return this.changeSong(this.song.plan);
    const { settings } = this.form;
    settings.takeDifferences();
    this.connection.send({ type: "change", settings: settings.repeat() });
  }

  // The server sent an event.
  receive(event) {
    if (!this.audio) return;
    if (event.type === "clip") this.nowPlaying.add(event);
    else if (event.type === "changed") this.showChange(event.at);
    else if (event.type === "refused") this.form.refuse(event.field, event.message);
    else if (event.type === "notice") this.view.showNotice(event.message);
    else if (event.type === "over") this.endWithNotice(event.message);
    else if (event.type === "end") {
      this.endAt = event.at;
      this.audio.finish();
    }
  }

  showChange(at) {
    const waitS = Math.max(0, at - this.report.playhead) / this.sampleRate;
    if (!this.form.errors.isWarning) this.view.showNotice("");
    this.view.showStatus(`Your change is heard in ${waitS.toFixed(1)} s.`);
    this.lastChange = at;
    this.endAt = null;
  }

  // The audio graph reports where it is.
  takeReport(report) {
    this.report = report;
    const { playhead } = report;
    if (this.state === "starting" && playhead > 0) this.showFirstSound();
    this.view.showReport(report, this.sampleRate);
    if (!this.jam) return;
    this.connection.report(report, report.buffered / this.sampleRate);
    if (this.endAt !== null && playhead >= this.endAt - END_S * this.sampleRate) {
      this.stop();
      this.view.showStatus("The song is over.");
      return;
    }
    this.nowPlaying.follow(playhead, this.url());
    this.emit("report");
  }

  showFirstSound() {
    this.firstSoundMs = performance.now() - this.pressedAt;
    this.view.showStatus("Playing.");
    this.setState("playing");
  }
}
