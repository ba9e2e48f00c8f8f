// The controls for a recording that the next jam goes on from. The server says what it hears in it;
// that fills tempo, key and metre of the form, and can be corrected here. `props.value` is what was
// heard, [bpm, key, beats] as JSON; `trigger("input")` tells the page.

import { post } from "./http.js";
import { recordMicrophone } from "./microphone.js";
import { playerReady } from "./player.js";
import { MAX_BYTES, readDataUrl, TOO_LONG } from "./picker.js";

const SECONDS = 8;
const READY = "The next Play starts with it.";

export function mount({ element, props, trigger }, root) {
  const panel = element.querySelector(".riff-opening");
  new RecordingOpening(panel, root, (heard) => {
    props.value = heard;
    trigger("input");
  });
}

class RecordingOpening {
  heard = null;             // the server's last answer

  constructor(panel, root, tellPage) {
    this.panel = panel;
    this.root = root;
    this.tellPage = tellPage;
    this.status = this.find("[role=status]");
    const file = this.find("input[type=file]");
    file.addEventListener("change", () => {
      const [chosen] = file.files;
      file.value = "";
      if (chosen) this.run(() => this.upload(chosen, chosen.name));
    });
    this.onClick("microphone", () => this.run(() => this.record()));
    this.onClick("earlier", () => this.run(() => this.moveBarLine(-1)));
    this.onClick("later", () => this.run(() => this.moveBarLine(1)));
    this.onClick("remove", () => this.run(() => this.remove()));
    for (const name of ["bpm", "beats"]) {
      this.input(name).addEventListener("change", () => this.run(() => this.correct({})));
    }
  }

  find(selector) {
    return this.panel.querySelector(selector);
  }

  input(name) {
    return this.find(`input[name=${name}]`);
  }

  onClick(name, act) {
    this.find(`.riff-${name}`).addEventListener("click", act);
  }

  // Do one thing at a time, and say what went wrong.
  async run(act) {
    if (this.isBusy) return;
    this.isBusy = true;
    try {
      await act();
    } catch (error) {
      this.status.textContent = error.message;
    } finally {
      this.isBusy = false;
    }
  }

  async record() {
    const tell = (left) => (this.status.textContent = `Recording… ${left} s`);
    const sound = await recordMicrophone(SECONDS, `${this.root}/jam/player/`, tell);
    await this.upload(sound, "what you played");
  }

  async upload(file, name) {
    if (file.size > MAX_BYTES) throw new Error(TOO_LONG);
    this.status.textContent = `Listening to ${name}…`;
    await this.hear({ data: await readDataUrl(file) });
    this.find("audio").src = `${this.root}/jam/own/${this.heard.name}`;
  }

  // Ask again with the tempo and the metre of the fields; `more` may have the time of a bar line.
  async correct(more) {
    const { value: bpm } = this.input("bpm");
    const { value: beats } = this.input("beats");
    const known = { ...(bpm && { bpm: +bpm }), ...(beats && { beats_per_bar: +beats }) };
    await this.hear({ name: this.heard.name, ...known, ...more });
  }

  async moveBarLine(beats) {
    const { bar_line_s, bpm, beats_per_bar, end_s } = this.heard;
    if (bar_line_s === null) return;
    const beatS = 60 / bpm;
    const movedS = bar_line_s + beats * beatS;
    const isInside = movedS >= 0 && movedS <= end_s;
    await this.correct({ downbeat_s: isInside ? movedS : movedS - beats * beats_per_bar * beatS });
  }

  async hear(request) {
    this.show(await post(`${this.root}/jam/recording`, request, false));
    const player = await playerReady;
    const { name, start_s, bar_line_s, bpm, key, beats_per_bar } = this.heard;
    player.opening = bar_line_s === null
      ? {}
      : { opening: { recording: name, start_s, bar_line_s } };
    this.tellPage(JSON.stringify([bpm, key, beats_per_bar]));
  }

  show(heard) {
    this.heard = heard;
    this.find(".riff-heard").hidden = false;
    this.find(".riff-words").textContent = `Heard: ${heard.words}`;
    this.input("bpm").value = heard.bpm ?? "";
    this.input("beats").value = heard.beats_per_bar ?? "";
    this.status.textContent = heard.bar_line_s === null ? "" : READY;
  }

  async remove() {
    (await playerReady).opening = {};
    this.heard = null;
    this.find(".riff-heard").hidden = true;
    this.find("audio").removeAttribute("src");
    this.status.textContent = "";
    this.tellPage("");
  }
}
