// The view shows the state of the player in the elements of player.html.

const FULL_S = 10;          // the buffer meter is full at this many seconds

// Return seconds as "1:23" or "1:02:03".
export const formatTime = (seconds) => {
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
    this.notice.querySelector("button").addEventListener("click", () => this.showNotice(""));
    this.find("download").addEventListener("load", ({ target }) => this.checkDownload(target));
  }

  showState(name) {
    this.element.dataset.state = name;
    const on = name === "starting" || name === "playing";
    this.find("play").setAttribute("aria-pressed", String(on));
    this.setText("label", on ? "Stop" : "Play");
    this.find("hint").hidden = name !== "idle";
  }

  setText(name, text) {
    const element = this.find(name);
    if (element.textContent !== text) element.textContent = text;
  }

  showStatus(text) {
    this.setText("status", text);
  }

  // Show a message that needs attention; "" takes it away.
  showNotice(text) {
    this.notice.querySelector("span").textContent = text;
    this.notice.hidden = !text;
  }

  // Show a report of the audio graph.
  showReport({ playhead, buffered, dropouts }, sampleRate) {
    const bufferedS = buffered / sampleRate;
    const meter = this.find("buffer");
    meter.style.setProperty("--level", Math.min(1, bufferedS / FULL_S));
    meter.setAttribute("aria-valuenow", bufferedS.toFixed(0));
    this.setText("buffer-text", `${bufferedS.toFixed(0)} s ready`);
    this.setText("dropouts", `Dropouts: ${dropouts}`);
    this.find("health").classList.toggle("riff-trouble", dropouts > 0);
    const length = formatTime(playhead / sampleRate);
    this.setText("time", length);
    this.setText("length", length);
  }

  // Show what sounds now: the server's mark of a clip, and how many bars since its first bar line.
  showNow(mark, bars) {
    // A recording that the jam goes on from has no chords that are known.
    const isRecording = !mark.chords.length;
    const bar = Math.min(Math.max(0, Math.floor(bars)), mark.chords.length - 1);
    const chord = mark.chords[bar];
    const percent = Math.round(mark.alpha * 100);
    this.find("now").hidden = false;
    // More than two at once have no place on a line.
    const isLine = !mark.others?.length;
    const all = [mark.prompt_a, mark.prompt_b, ...(mark.others ?? [])].join(" + ");
    this.setText("a", isLine ? mark.prompt_a : all);
    this.setText("b", isLine ? mark.prompt_b : "");
    this.find("mix").hidden = !isLine;
    this.find("mix").style.setProperty("--level", mark.alpha);
    this.find("mix").setAttribute("aria-valuenow", percent);
    this.find("mix").title = `${100 - percent} % ${mark.prompt_a}, ${percent} % ${mark.prompt_b}`;
    const section = mark.section ? `${mark.section} · ` : "";
    const tempo = Math.round(mark.bpm * 10) / 10;
    const place = isRecording ? "your recording" : `bar ${mark.bar + bar + 1} · ${chord}`;
    this.setText("place", `${section}${place} · ${tempo} bpm`);
  }

  // Link the downloads of the jam at `url`.
  linkTrack(url) {
    this.find("keep").hidden = false;
    for (const link of this.find("downloads").children) {
      link.href = `${url}/track.${link.dataset.kind}`;
    }
  }

  // Show the image of a clip.
  showClip(url, mark) {
    const { bar, prompt_a, prompt_b } = mark;
    const image = this.find("clip").querySelector("img");
    const isRecording = bar < 0;
    image.alt = isRecording
      ? "Spectrogram of your recording"
      : `Spectrogram of the clip from bar ${bar + 1}: ${prompt_a} to ${prompt_b}`;
    image.src = this.find("clip").href = this.find("save-clip").href = url;
    this.find("save-clip").download = `riffusion-${isRecording ? "start" : `bar-${bar + 1}`}.png`;
  }

  // A download that the server refused arrives as JSON in the hidden frame.
  checkDownload(frame) {
    const text = frame.contentDocument?.body?.textContent ?? "";
    if (!text.startsWith("{")) return;
    this.showNotice(JSON.parse(text).error ?? "The download did not work. Try again.");
  }
}
