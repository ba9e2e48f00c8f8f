// What the player shows. Only this file touches the page's elements.

const FULL_S = 10;          // the buffer meter is full at this many seconds

export const clock = (seconds) => {
  const whole = Math.floor(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const pad = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
};

export class View {
  constructor(element) {
    this.element = element;
    this.find = (name) => element.querySelector(".riff-" + name);
    this.notice = this.find("notice");
    this.notice.querySelector("button").addEventListener("click", () => this.warn(""));
    this.find("download").addEventListener("load", ({ target }) => this.readRefusal(target));
  }

  state(name) {
    this.element.dataset.state = name;
    const on = name === "starting" || name === "playing";
    this.find("play").setAttribute("aria-pressed", String(on));
    this.text("label", on ? "Stop" : "Play");
    this.find("hint").hidden = name !== "idle";
  }

  text(name, text) {
    const element = this.find(name);
    if (element.textContent !== text) element.textContent = text;
  }

  status(text) {
    this.text("status", text);
  }

  // A message that needs attention; empty to take it away.
  warn(text) {
    this.notice.querySelector("span").textContent = text;
    this.notice.hidden = !text;
  }

  health(bufferedS, dropouts) {
    const meter = this.find("buffer");
    meter.style.setProperty("--level", Math.min(1, bufferedS / FULL_S));
    meter.setAttribute("aria-valuenow", bufferedS.toFixed(0));
    this.text("buffer-text", `${bufferedS.toFixed(0)} s ready`);
    this.text("dropouts", `Dropouts: ${dropouts}`);
    this.find("health").classList.toggle("riff-trouble", dropouts > 0);
  }

  length(seconds) {
    this.text("time", clock(seconds));
    this.text("length", clock(seconds));
  }

  // What sounds now: a clip mark of the server, and how many bars into it we are.
  now(mark, bars) {
    const bar = Math.min(Math.max(0, Math.floor(bars)), mark.chords.length - 1);
    const percent = Math.round(mark.alpha * 100);
    this.find("now").hidden = false;
    this.text("a", mark.prompt_a);
    this.text("b", mark.prompt_b);
    this.find("mix").style.setProperty("--level", mark.alpha);
    this.find("mix").setAttribute("aria-valuenow", percent);
    this.find("mix").title = `${100 - percent} % A, ${percent} % B`;
    const section = mark.section ? `${mark.section} · ` : "";
    this.text("place", `${section}bar ${mark.bar + bar + 1} · ${mark.chords[bar]} · ${mark.bpm} bpm`);
  }

  // The image of the clip that begins at `sample`, and links to the track of a jam.
  track(url) {
    this.find("keep").hidden = false;
    for (const link of this.find("downloads").children) {
      link.href = `${url}/track.${link.dataset.kind}`;
    }
  }

  clip(url, mark) {
    const image = this.find("clip").querySelector("img");
    image.alt = `Spectrogram of the clip from bar ${mark.bar + 1}: ${mark.prompt_a} to ${mark.prompt_b}`;
    image.src = this.find("clip").href = this.find("save-clip").href = url;
    this.find("save-clip").download = `riffusion-bar-${mark.bar + 1}.png`;
  }

  // A download that the server refused arrives as JSON in the hidden frame.
  readRefusal(frame) {
    const text = frame.contentDocument?.body?.textContent ?? "";
    if (!text.startsWith("{")) return;
    this.warn(JSON.parse(text).error ?? "The download did not work. Try again.");
  }
}
