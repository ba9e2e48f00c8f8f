// The song on the page: its plan, which the server checks after each change, and what shows it.
// The music goes through the player, as a jam's does.
//
// window.riffusionSong is the one name the tests know.

import { SectionForm } from "./section.js";
import { Timeline } from "./timeline.js";
import { post } from "./transport.js";
import { clock } from "./view.js";

const LOOK_MS = 100;
const KEPT_BARS = 8;
const REMEMBERED = "riffusion-song";    // the plan's text survives a reload of the page

export function mount(element, root) {
  window.riffusionSong = new Song(element, root);
}

// Which section of an order is the `index`-th of another: the nearest of its name.
export function nearest(order, name, index) {
  const places = order.flatMap((other, place) => (other === name ? [place] : []));
  const distance = (place) => Math.abs(place - index);
  return places.sort((a, b) => distance(a) - distance(b))[0] ?? -1;
}

class Song {
  plan = null;              // {plan: YAML, fields, duration_s, sections}, as the server answered
  asked = 0;                // answers to all but the last question are ignored

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
      onAction: (action) => this.act(action),
    });
    this.submits("line", () => this.ask("/api/songs/plan", { line: this.find("line").value, seed: this.dice() }));
    this.submits("text", () => this.check(this.find("text").value));
    this.submits("keep", () => this.keep());
    this.find("play").addEventListener("click", () => this.player.playSong(this.plan.plan));
    setInterval(() => this.look(), LOOK_MS);
    const text = sessionStorage.getItem(REMEMBERED);
    if (text) this.restore(text);
  }

  get player() {
    return window.riffusionPlayer;
  }

  get order() {
    return this.plan.fields.order;
  }

  submits(name, action) {
    this.forms[name].addEventListener("submit", (event) => {
      event.preventDefault();
      action();
    });
  }

  // Each press plans another song of the line.
  dice() {
    return Math.floor(Math.random() * 1e6);
  }

  // The plan and the server: nothing is shown or played that it has not checked

  check(text, tidy = (words) => words) {
    return this.ask("/api/songs/check", { plan: text }, tidy);
  }

  // A plan from before. Kept sounds may be gone by now, and a plan is no less for it.
  async restore(text) {
    await this.check(text);
    const plain = text.replace(/^ +anchor: own-.*\n/gm, "");
    if (this.plan || plain === text) return;
    await this.check(plain);
    if (this.plan) this.warn("Sounds that were kept are not on this machine any more: their sections play from their prompts.");
  }

  async ask(path, message, tidy = (words) => words) {
    const asked = ++this.asked;
    try {
      const answer = await post(this.root + path, message);
      if (asked === this.asked) this.adopt(answer);
    } catch (error) {
      if (asked === this.asked) this.warn(tidy(error.message));
    }
  }

  adopt(plan) {
    this.plan = plan;
    this.warn("");
    sessionStorage.setItem(REMEMBERED, plan.plan);
    this.find("plan").hidden = false;
    // A tempo of two decimals makes a minute 59.998 s.
    this.find("length").textContent = clock(Math.round(plan.duration_s));
    this.find("text").value = plan.plan;
    this.find("save").href = `data:application/yaml,${encodeURIComponent(plan.plan)}`;
    this.timeline.show(plan.sections, Object.keys(plan.fields.sections));
    this.select(this.timeline.selected);
    if (this.player?.song) this.player.changeSong(plan.plan);
  }

  warn(text) {
    this.find("problem").textContent = text;
    this.find("problem").hidden = !text;
  }

  // A change of the plan. The lines that a message names are not those that anybody sees.
  edit(changes) {
    const fields = { ...this.plan.fields, ...changes };
    return this.check(JSON.stringify(fields), (words) => words.replace(/^line \d+: /, ""));
  }

  // What the musician does

  select(index) {
    const name = this.order[index];
    this.timeline.select(name === undefined ? null : index);
    const times = this.order.filter((other) => other === name).length;
    this.section.show(name, this.plan.fields.sections[name], times);
  }

  rewrite(name, { name: renamed, ...section }) {
    const sections = Object.entries(this.plan.fields.sections).map(([other, old]) =>
      other === name ? [renamed, section] : [other, old],
    );
    const order = this.order.map((other) => (other === name ? renamed : other));
    // Two sections of one name would be one in JSON.
    if (renamed !== name && renamed in this.plan.fields.sections) {
      return this.warn(`There is a section ${renamed} already; choose another name.`);
    }
    return this.edit({ order, sections: Object.fromEntries(sections) });
  }

  move(from, to) {
    const order = [...this.order];
    order.splice(to, 0, ...order.splice(from, 1));
    this.timeline.selected = to;
    return this.edit({ order });
  }

  act(action) {
    const at = this.timeline.selected;
    if (action === "jump") return this.player.changeSong(this.plan.plan, at);
    if (action === "earlier") return at > 0 && this.move(at, at - 1);
    if (action === "later") return at + 1 < this.order.length && this.move(at, at + 1);
    const again = action === "again" ? [this.order[at], this.order[at]] : [];
    return this.edit({ order: this.order.toSpliced(at, 1, ...again) });
  }

  keep() {
    const { player } = this;
    if (!player?.jam || player.song) return this.warn("Play a jam first, then keep what you hear.");
    const name = this.find("name").value;
    const message = { name, bars: KEPT_BARS, plan: this.plan?.plan ?? null };
    return this.ask(`/jam/${player.jam.id}/section`, message);
  }

  // What plays now

  look() {
    const { player } = this;
    const plays = player?.state === "playing";
    const song = Boolean(player?.song) && player.state !== "stopped";
    this.forms.keep.hidden = !plays || Boolean(player.song);
    this.find("play").disabled = song;
    this.section.canJump(plays && song);
    if (!this.plan) return;
    const mark = plays && song ? player.mark : null;
    if (!mark) return this.timeline.playhead(null);
    const barSamples = (mark.beats_per_bar * 60 * player.format.sampleRate) / mark.bpm;
    const bars = (player.report.playhead - mark.place_start) / barSamples;
    const index = nearest(this.order, mark.section, mark.place);
    this.timeline.playhead(index, Math.min(1, Math.max(0, bars / mark.place_bars)));
  }
}
