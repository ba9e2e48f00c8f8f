// The worklet plays the track on the audio thread, from a ring buffer addressed by absolute sample.
//
// Messages in:   { at, pcm }: int16 samples, interleaved, whose first frame is sample `at` of the
//                track. A later message overwrites an earlier one, so a live change rewrites the
//                future.
//                {}: all samples have arrived.
// Messages out:  { playhead, buffered, dropouts, late, running }, some 20 times a second.

const RING_S = 40;          // the server stays about 10 s ahead
const START_S = 0.2;        // this much must arrive before the first sound
const RESUME_S = 1.0;       // and this much after a dropout
const FADE_FRAMES = 256;    // 6 ms: a dropout fades instead of clicking
const REPORT_EVERY = 16;    // render quanta of 128 frames

class JamPlayer extends AudioWorkletProcessor {
  constructor({ processorOptions: { channels, holdS } }) {
    super();
    this.channels = channels;
    this.size = Math.ceil(RING_S * sampleRate);
    this.ring = Array.from({ length: channels }, () => new Float32Array(this.size));
    this.playhead = 0;      // the next sample to play
    this.end = 0;           // the first sample that has not arrived
    this.running = false;
    this.holdS = holdS;     // seconds to gather for an engine that is slower than its music
    this.needed = Math.max(START_S, holdS) * sampleRate;
    this.gain = 1;
    this.dropouts = 0;
    this.late = 0;          // how many samples changed after they were played
    this.quanta = 0;
    this.port.onmessage = ({ data }) => {
      if (data.pcm) this.write(data.at, new Int16Array(data.pcm));
      else this.finish();
    };
  }

  // All samples have arrived: nothing more is worth waiting for.
  finish() {
    this.needed = 0;
    this.running ||= this.end > this.playhead;
  }

  write(at, pcm) {
    const frames = pcm.length / this.channels;
    for (let i = 0; i < frames; i++) {
      const cell = (at + i) % this.size;
      const past = at + i < this.playhead;
      for (let c = 0; c < this.channels; c++) {
        const sample = pcm[i * this.channels + c] / 32768;
        if (past && this.ring[c][cell] !== sample) this.late++;
        if (!past) this.ring[c][cell] = sample;
      }
    }
    this.end = at + frames;
    if (!this.running && this.end - this.playhead >= this.needed) {
      this.running = true;
      this.needed = Math.max(RESUME_S, this.holdS) * sampleRate;
    }
  }

  process(_inputs, [output]) {
    if (this.running) this.play(output);
    if (this.quanta++ % REPORT_EVERY === 0) {
      const { playhead, end, dropouts, late, running } = this;
      const buffered = Math.max(0, end - playhead);
      this.port.postMessage({ playhead, buffered, dropouts, late, running });
    }
    return true;
  }

  play(output) {
    const left = Math.max(0, this.end - this.playhead);
    const frames = Math.min(output[0].length, left);
    for (let i = 0; i < frames; i++) {
      // The sound is about to run out near the end of what has arrived: fade.
      const aim = left - i >= FADE_FRAMES ? 1 : 0;
      this.gain += Math.max(-1 / FADE_FRAMES, Math.min(1 / FADE_FRAMES, aim - this.gain));
      const cell = this.playhead++ % this.size;
      for (let c = 0; c < output.length; c++) {
        output[c][i] = this.gain * this.ring[Math.min(c, this.channels - 1)][cell];
      }
    }
    if (frames < output[0].length) {
      this.running = false;
      this.gain = 0;        // so that the music fades in again
      this.dropouts++;
    }
  }
}

registerProcessor("jam-player", JamPlayer);
