// The recorder is an AudioWorklet for tests and benchmarks: it hands out every sample that passes
// through it, untouched.

const BATCH_QUANTA = 128;

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.batch = [];
  }

  process([input], [output]) {
    if (input.length) {
      this.batch.push(input.map((channel) => channel.slice()));
      input.forEach((channel, c) => output[c]?.set(channel));
    }
    if (this.batch.length >= BATCH_QUANTA) {
      this.port.postMessage(this.batch);
      this.batch = [];
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
