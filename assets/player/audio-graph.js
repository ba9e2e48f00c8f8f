// The audio graph of one Play: sink -> (recorder) -> gain -> speakers, and sink -> analyser for
// the moving spectrogram. It emits these events:
//
//   report     { playhead, buffered, dropouts, late, running }, in samples, some 20 times a second
//   suspended  whether the browser holds the sound back

import { Emitter } from "./emitter.js";
import { createSink } from "./sink.js";

const FFT_SIZE = 4096;
const FADE_S = 0.02;        // a stop fades instead of clicking

export class AudioGraph extends Emitter {
  isClosed = false;
  sink = null;
  analyser = null;

  // Browsers let sound begin only from a click, so an AudioGraph must be made in one.
  // `options`: sampleRate, channels, holdS (see createSink), base (the address of our modules),
  // sinkKind (see createSink).
  constructor(options) {
    super();
    this.options = options;
    const { sampleRate } = options;
    this.context = new AudioContext({ sampleRate, latencyHint: "playback" });
    this.context.onstatechange = () => {
      if (!this.isClosed) this.emit("suspended", this.context.state !== "running");
    };
    this.resume();
  }

  // A phone call, another tab or a careful browser can hold the sound back.
  resume() {
    this.context.resume();
  }

  // Build the graph. With `isRecorded` it returns a Recording of what leaves the sink, else null.
  async connect(isRecorded) {
    const { context, options } = this;
    const sink = await createSink(context, options);
    const recording = isRecorded ? await this.createRecording() : null;
    // Stop may have been pressed meanwhile.
    if (this.isClosed) {
      sink.close();
      return recording;
    }
    this.sink = sink;
    sink.onreport = (report) => this.emit("report", report);
    this.analyser = new AnalyserNode(context, { fftSize: FFT_SIZE, smoothingTimeConstant: 0 });
    this.gain = new GainNode(context);
    sink.node.connect(this.analyser);
    const last = recording ? sink.node.connect(recording.node) : sink.node;
    last.connect(this.gain).connect(context.destination);
    return recording;
  }

  // Only tests and benchmarks record, so the page loads the recorder when they ask for it.
  async createRecording() {
    const { createRecording } = await import("./recording.js");
    return createRecording(this.context, this.options.base);
  }

  write(at, pcm) {
    this.sink?.write(at, pcm);
  }

  // All samples have arrived.
  finish() {
    this.sink?.finish();
  }

  // Fall silent within FADE_S and release the sound card.
  close() {
    this.isClosed = true;
    const { context, sink, gain } = this;
    if (sink) sink.onreport = () => {};
    gain?.gain.setTargetAtTime(0, context.currentTime, FADE_S / 4);
    // The fade runs on the audio clock: twice its time is surely enough for it.
    setTimeout(() => {
      sink?.close();
      context.close();
    }, 2000 * FADE_S);
  }
}
