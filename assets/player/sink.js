// A sink turns samples into sound. Both sinks have the same members:
//
//   write(at, pcm)  take int16 interleaved samples from absolute sample `at`; later writes win
//   finish()        all samples have arrived: wait for no more
//   node            the AudioNode that gives the sound
//   onreport        called with { playhead, buffered, dropouts, late, running }
//   close()

const MARGIN_S = 0.1;       // buffers are scheduled ahead of the clock
const RESUME_S = 1.0;
const REPORT_S = 0.1;

// `sinkKind` forces a sink: "worklet" or "buffers". `holdS`: seconds to gather before the sound
// begins and again after a dropout, for an engine that is slower than its music.
export async function createSink(context, { channels, holdS, base, sinkKind }) {
  const kind = sinkKind ?? (context.audioWorklet ? "worklet" : "buffers");
  if (kind === "buffers") return new BufferSink(context, channels, holdS);
  await context.audioWorklet.addModule(base + "worklet.js");
  return new WorkletSink(context, channels, holdS);
}

class WorkletSink {
  kind = "worklet";
  onreport = () => {};

  constructor(context, channels, holdS) {
    this.node = new AudioWorkletNode(context, "jam-player", {
      numberOfInputs: 0,
      outputChannelCount: [channels],
      processorOptions: { channels, holdS },
    });
    this.node.port.onmessage = ({ data }) => this.onreport(data);
  }

  write(at, pcm) {
    this.node.port.postMessage({ at, pcm }, [pcm]);
  }

  finish() {
    this.node.port.postMessage({});
  }

  close() {
    this.node.disconnect();
  }
}

// Plain http pages on a local network have no AudioWorklet. There each block becomes a buffer
// that is scheduled to the sample; a rewrite stops the buffers that were scheduled after it.
class BufferSink {
  kind = "buffers";
  onreport = () => {};
  dropouts = 0;
  late = 0;
  end = 0;
  isClosed = false;
  origin = null;            // the context's frame at which sample 0 of the track plays
  held = 0;                 // the sample to go on with after a dropout
  waiting = [];             // blocks that wait until there are enough of them to start
  scheduled = [];

  constructor(context, channels, holdS) {
    this.context = context;
    this.channels = channels;
    this.holdS = holdS;
    this.node = context.createGain();
    this.scheduleReport();
  }

  // The audio clock times the reports: a silent source ends every REPORT_S. Unlike a timer of the
  // page it does not slow down in a hidden tab.
  scheduleReport() {
    const source = new ConstantSourceNode(this.context, { offset: 0 });
    source.connect(this.node);
    source.start();
    source.stop(this.context.currentTime + REPORT_S);
    source.onended = () => {
      if (this.isClosed) return;
      this.report();
      this.scheduleReport();
    };
  }

  get playhead() {
    if (this.origin === null) return this.held;
    return Math.max(0, Math.min(this.clockFrame() - this.origin, this.end));
  }

  write(at, pcm) {
    this.checkDropout();
    const block = { at, samples: new Int16Array(pcm) };
    block.stop = at + block.samples.length / this.channels;
    this.end = block.stop;
    if (this.origin !== null) return this.schedule(block);
    this.waiting = this.waiting.filter((earlier) => earlier.at < at);
    this.waiting.push(block);
    const wanted = Math.max(this.dropouts ? RESUME_S : 0, this.holdS) * this.context.sampleRate;
    if (this.end - this.playhead >= wanted) this.start();
  }

  finish() {
    if (this.origin === null && this.waiting.length) this.start();
  }

  start() {
    const { currentTime, sampleRate } = this.context;
    this.origin = Math.ceil((currentTime + MARGIN_S) * sampleRate) - this.playhead;
    this.waiting.splice(0).forEach((block) => this.schedule(block));
  }

  schedule(block) {
    const { sampleRate } = this.context;
    this.cut(block.at);
    const skipped = Math.max(0, this.clockFrame() - this.origin - block.at);
    this.late += Math.min(skipped, block.stop - block.at);
    const frames = block.stop - block.at - skipped;
    if (frames <= 0) return;
    const buffer = this.context.createBuffer(this.channels, frames, sampleRate);
    for (let c = 0; c < this.channels; c++) {
      const channel = buffer.getChannelData(c);
      for (let i = 0; i < frames; i++) {
        channel[i] = block.samples[(i + skipped) * this.channels + c] / 32768;
      }
    }
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.node);
    source.start((this.origin + block.at + skipped) / sampleRate);
    this.scheduled.push({ at: block.at + skipped, stop: block.stop, source });
  }

  // Stop every buffer from sample `at` on.
  cut(at) {
    const past = this.playhead;
    this.scheduled = this.scheduled.filter(({ stop }) => stop > past);
    for (const block of this.scheduled) {
      if (block.stop <= at) continue;
      const frame = this.origin + Math.max(at, block.at);
      block.source.stop(Math.max(0, frame / this.context.sampleRate));
      block.stop = at;
    }
  }

  clockFrame() {
    return Math.round(this.context.currentTime * this.context.sampleRate);
  }

  // Everything that had arrived was played: go on from there once there is more.
  checkDropout() {
    if (this.origin === null || this.playhead < this.end) return;
    this.dropouts++;
    this.held = this.end;
    this.origin = null;
  }

  report() {
    this.checkDropout();
    const { playhead, end, late } = this;
    const buffered = Math.max(0, end - playhead);
    const running = this.origin !== null;
    this.onreport({ playhead, buffered, dropouts: this.dropouts, late, running });
  }

  close() {
    this.isClosed = true;
    this.scheduled.forEach(({ source }) => source.disconnect());
    this.node.disconnect();
  }
}
