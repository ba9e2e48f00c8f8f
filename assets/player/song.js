// The song on the page: its plan, which the server checks after each edit, and what shows it. The
// music goes through the player, as a jam's does.
//
// The tests know it as window.riffusionSong.

import { post } from "./http.js";
import { countBars } from "./now-playing.js";
import { playerReady } from "./player.js";
import { SectionForm } from "./section.js";
import { Timeline } from "./timeline.js";
import { formatTime } from "./view.js";

const CAPTURED_BARS = 8;
const STORED = "riffusion-song";    // the plan's text survives a reload of the page under this name
const SOUNDS_ARE_GONE =
  "Sounds that were kept are not on this machine any more: their sections play from their prompts.";

export function mount(element, root) {
  const song = (window.riffusionSong = new Song(element, root));
  playerReady.then((player) => song.follow(player));
}

// Return the place of an order that has the section `name` and is nearest to `index`, or -1.
export function findNearest(order, name, index) {
  const places = order.flatMap((other, place) => (other === name ? [place] : []));
  const distance = (place) => Math.abs(place - index);
  return places.sort((a, b) => distance(a) - distance(b))[0] ?? -1;
}

// The page checks a plan of its own making, so nobody sees the lines that a message names.
function dropLine(message) {
  return message.replace(/^line \d+: /, "");
}

class Song {
  plan = null;              // { plan: YAML, fields, duration_s, sections }, as the server answered
  player = null;
  requests = 0;             // answers to all requests but the last are ignored

  constructor(element, root) {
    this.root = root;
    this.find = (name) => element.querySelector(".riff-song-" + name);
    this.forms = Object.fromEntries(
      [...element.querySelectorAll("form")].map((form) => [form.dataset.form, form]),
    );
    this.timeline = new Timeline(element.querySelector(".riff-timeline"), {
      onSelect: (index) => this.select(index),
      onMove: (from, to) => this.move(from, to),
    });
    this.section = new SectionForm(this.forms.section, root, {
      onChange: (name, section) => this.rewrite(name, section),
      onAction: (action) => this.edit(action),
    });
    this.onSubmit("line", () => this.planFromLine());
    this.onSubmit("text", () => this.check(this.find("text").value));
    this.onSubmit("keep", () => this.capture());
    this.find("play").addEventListener("click", () => this.player?.playSong(this.plan.plan));
    const text = sessionStorage.getItem(STORED);
    if (text) this.restore(text);
  }

  get order() {
    return this.plan.fields.order;
  }

  onSubmit(name, action) {
    this.forms[name].addEventListener("submit", (event) => {
      event.preventDefault();
      action();
    });
  }

  // The plan and the server: nothing is shown or played that the server has not checked

  // Each press plans another song of the same line.
  planFromLine() {
    const seed = Math.floor(Math.random() * 1e6);
    return this.request("/api/songs/plan", { line: this.find("line").value, seed });
  }

  check(text, reword) {
    return this.request("/api/songs/check", { plan: text }, reword);
  }

  // Take a plan from before a reload. Its sounds may be gone by now; then it plays without them.
  async restore(text) {
    await this.check(text);
    const plain = text.replace(/^ +anchor: own-.*\n/gm, "");
    if (this.plan || plain === text) return;
    await this.check(plain);
    if (this.plan) this.showProblem(SOUNDS_ARE_GONE);
  }

  // Ask the server for a plan. `reword` rewrites its message if it refuses.
  async request(path, message, reword = (text) => text) {
    const request = ++this.requests;
    try {
      const plan = await post(this.root + path, message);
      if (request === this.requests) this.showPlan(plan);
    } catch (error) {
      if (request === this.requests) this.showProblem(reword(error.message));
    }
  }

  showPlan(plan) {
    this.plan = plan;
    this.showProblem("");
    sessionStorage.setItem(STORED, plan.plan);
    this.find("plan").hidden = false;
    // A tempo of two decimals makes a minute 59.998 s.
    this.find("length").textContent = formatTime(Math.round(plan.duration_s));
    this.find("text").value = plan.plan;
    this.find("save").href = `data:application/yaml,${encodeURIComponent(plan.plan)}`;
    this.timeline.show(plan.sections, Object.keys(plan.fields.sections));
    this.select(this.timeline.selected);
    if (this.player?.song) this.player.changeSong(plan.plan);
    this.showPlayhead();
  }

  showProblem(text) {
    this.find("problem").textContent = text;
    this.find("problem").hidden = !text;
  }

  // What the musician does

  select(index) {
    const name = this.order[index];
    this.timeline.select(name === undefined ? null : index);
    const times = this.order.filter((other) => other === name).length;
    this.section.show(name, this.plan.fields.sections[name], times);
  }

  checkFields(changes) {
    return this.check(JSON.stringify({ ...this.plan.fields, ...changes }), dropLine);
  }

  rewrite(name, { name: renamed, ...section }) {
    // Two sections of one name would be one in JSON.
    if (renamed !== name && renamed in this.plan.fields.sections) {
      return this.showProblem(`There is a section ${renamed} already; choose another name.`);
    }
    const sections = Object.entries(this.plan.fields.sections).map(([other, old]) =>
      other === name ? [renamed, section] : [other, old],
    );
    const order = this.order.map((other) => (other === name ? renamed : other));
    return this.checkFields({ order, sections: Object.fromEntries(sections) });
  }

  move(from, to) {
    const order = [...this.order];
    order.splice(to, 0, ...order.splice(from, 1));
    this.timeline.selected = to;
    return this.checkFields({ order });
  }

  // Do what a button of the section's form says.
  edit(action) {
    const at = this.timeline.selected;
    if (action === "jump") return this.player?.changeSong(this.plan.plan, at);
    if (action === "earlier") return at > 0 && this.move(at, at - 1);
    if (action === "later") return at + 1 < this.order.length && this.move(at, at + 1);
    const again = action === "again" ? [this.order[at], this.order[at]] : [];
    return this.checkFields({ order: this.order.toSpliced(at, 1, ...again) });
  }

  // Make a section of what the jam has just played.
  capture() {
    const { player } = this;
    if (!player?.jam || player.song) {
      return this.showProblem("Play a jam first, then keep what you hear.");
    }
    const name = this.find("name").value;
    const message = { name, bars: CAPTURED_BARS, plan: this.plan?.plan ?? null };
    return this.request(`/jam/${player.jam.id}/section`, message);
  }

  // What plays now

  follow(player) {
    this.player = player;
    player.on("state", () => this.showState());
    player.on("report", () => this.showPlayhead());
    this.showState();
  }

  get isPlaying() {
    return Boolean(this.player?.song) && this.player.state === "playing";
  }

  showState() {
    const { state, song } = this.player;
    this.forms.keep.hidden = state !== "playing" || Boolean(song);
    this.find("play").disabled = Boolean(song) && state !== "stopped";
    this.section.setCanJump(this.isPlaying);
    this.showPlayhead();
  }

  showPlayhead() {
    const mark = this.isPlaying && this.plan ? this.player.mark : null;
    if (!mark) return this.timeline.showPlayhead(null);
    const { report, sampleRate } = this.player;
    const bars = countBars(mark, mark.place_start, report.playhead, sampleRate);
    const index = findNearest(this.order, mark.section, mark.place);
    this.timeline.showPlayhead(index, Math.min(1, Math.max(0, bars / mark.place_bars)));
  }
}
