// The microphone as a WAV file: mono, 16 bits, without what browsers do to speech.

const RAW = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const NO_MICROPHONE = "The browser gives this page no microphone. Allow it, or choose a file.";
const NEEDS_HTTPS = "Browsers give the microphone to pages with https only. Choose a file.";
const HEADER_BYTES = 44;

// Return a Blob with `seconds` of sound. `tell(secondsLeft)` is called every second.
export async function recordMicrophone(seconds, base, tell) {
  if (!navigator.mediaDevices?.getUserMedia) throw new Error(NEEDS_HTTPS);
  const stream = await navigator.mediaDevices.getUserMedia({ audio: RAW }).catch(() => {
    throw new Error(NO_MICROPHONE);
  });
  const context = new AudioContext();
  try {
    await context.resume();
    await context.audioWorklet.addModule(base + "recorder.js");
    const samples = await collect(context, stream, Math.round(seconds * context.sampleRate), tell);
    return new Blob([encodeWav(samples, context.sampleRate)], { type: "audio/wav" });
  } finally {
    for (const track of stream.getTracks()) track.stop();
    context.close();
  }
}

// Return `length` samples of the first channel of a stream.
function collect(context, stream, length, tell) {
  const recorder = new AudioWorkletNode(context, "recorder");
  // A node is run only where its sound leads somewhere: here, to silence.
  const silence = new GainNode(context, { gain: 0 });
  context.createMediaStreamSource(stream).connect(recorder).connect(silence);
  silence.connect(context.destination);
  const samples = new Float32Array(length);
  let filled = 0;
  return new Promise((resolve, reject) => {
    for (const track of stream.getTracks()) track.onended = () => reject(new Error(NO_MICROPHONE));
    recorder.port.onmessage = ({ data }) => {
      for (const [first] of data) {
        const part = first.subarray(0, length - filled);
        samples.set(part, filled);
        filled += part.length;
      }
      tell(Math.ceil((length - filled) / context.sampleRate));
      if (filled >= length) resolve(samples);
    };
  });
}

export function encodeWav(samples, sampleRate) {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + 2 * samples.length));
  const write = (at, text) => [...text].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  write(0, "RIFF");
  view.setUint32(4, view.byteLength - 8, true);
  write(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);                    // PCM
  view.setUint16(22, 1, true);                    // channels
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, 2 * sampleRate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  write(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, i) => {
    const level = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
    view.setInt16(HEADER_BYTES + 2 * i, level, true);
  });
  return view.buffer;
}
