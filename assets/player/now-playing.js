// What sounds now: the server marks each clip of the track, and the playhead says which of them
// sounds. This module shows the clip, the bar and the chord, and draws the moving spectrogram.

import { Spectrogram } from "./spectrogram.js";

const LONGEST_STEP_S = 0.1;    // a page that was hidden does not draw what it missed

// Return how many bars of a clip's tempo lie between two samples.
export function countBars({ beats_per_bar, bpm }, from, to, sampleRate) {
  return ((to - from) * bpm) / (beats_per_bar * 60 * sampleRate);
}

export class NowPlaying {
  marks = [];               // of all clips so far, in the order of the track
  mark = null;              // of the clip that sounds now

  constructor(view, sampleRate) {
    this.view = view;
    this.sampleRate = sampleRate;
    this.spectrogram = new Spectrogram(view.find("spectrogram"));
  }

  clear() {
    this.marks = [];
    this.mark = this.shownMark = null;
    this.spectrogram.clear();
  }

  // A change of the music replaces the clips from the new one's first sample on.
  add(mark) {
    this.marks = this.marks.filter((other) => other.start_sample < mark.start_sample);
    this.marks.push(mark);
  }

  // Show what sounds at the playhead, in the jam at `url`.
  follow(playhead, url) {
    const mark = this.marks.findLast(({ start_sample }) => start_sample <= playhead);
    if (!mark) return;
    this.mark = mark;
    const sounded = countBars(mark, mark.start_sample, playhead, this.sampleRate);
    const bars = mark.beat / mark.beats_per_bar + sounded;  // from the bar line before the clip
    this.bar = mark.bar + Math.floor(bars);
    this.view.showNow(mark, bars);
    // Nobody sees the image on a hidden page, and the server would have to make it.
    if (mark === this.shownMark || document.hidden) return;
    this.shownMark = mark;
    const version = `bar=${mark.bar}-${mark.index}`;
    this.view.showClip(`${url}/clip/${mark.start_sample}.png?${version}`, mark);
  }

  // Draw what the analyser hears, frame by frame, while `isRunning()`.
  draw(analyser, isRunning, then = performance.now()) {
    this.frame = requestAnimationFrame((now) => {
      if (isRunning()) {
        const passedS = Math.min(LONGEST_STEP_S, (now - then) / 1000);
        this.spectrogram.draw(analyser, passedS, this.bar !== this.drawnBar);
        this.drawnBar = this.bar;
      }
      this.draw(analyser, isRunning, now);
    });
  }

  stopDrawing() {
    cancelAnimationFrame(this.frame);
  }
}
