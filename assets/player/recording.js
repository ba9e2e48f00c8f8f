// A Recording collects what recorder.js hands out until somebody takes it.

export async function createRecording(context, base) {
  await context.audioWorklet.addModule(base + "recorder.js");
  return new Recording(new AudioWorkletNode(context, "recorder"));
}

class Recording {
  batches = [];

  constructor(node) {
    this.node = node;
    this.node.port.onmessage = ({ data }) => this.batches.push(...data);
  }

  // Return all samples since the last call: { channels, data }, data being base64 of interleaved
  // float32.
  take() {
    const quanta = this.batches.splice(0);
    const channels = Math.max(1, ...quanta.map((quantum) => quantum.length));
    const frames = quanta.reduce((sum, [first]) => sum + first.length, 0);
    const samples = new Float32Array(frames * channels);
    let frame = 0;
    for (const quantum of quanta) {
      for (let i = 0; i < quantum[0].length; i++, frame++) {
        for (let c = 0; c < channels; c++) {
          samples[frame * channels + c] = quantum[Math.min(c, quantum.length - 1)][i];
        }
      }
    }
    return { channels, data: encodeBase64(new Uint8Array(samples.buffer)) };
  }
}

function encodeBase64(bytes) {
  const piece = 0x8000;
  let text = "";
  for (let i = 0; i < bytes.length; i += piece) {
    text += String.fromCharCode(...bytes.subarray(i, i + piece));
  }
  return btoa(text);
}
