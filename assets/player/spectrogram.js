// The moving spectrogram draws one column of colour for every moment that passes, in step with the
// sound.

const PX_PER_S = 90;
const TOP_HZ = 10000;       // Riffusion's images end here, too
const QUIET_DB = -95;
const LOUD_DB = -25;
const PALETTE = [
  [11, 13, 26], [31, 22, 64], [74, 32, 112], [133, 45, 124],
  [196, 66, 110], [240, 112, 84], [252, 178, 95], [253, 242, 190],
];

const mel = (hz) => 2595 * Math.log10(1 + hz / 700);
const hertz = (m) => 700 * (10 ** (m / 2595) - 1);

export class Spectrogram {
  frames = 0;               // how often it was drawn; tests read it

  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d", { alpha: false });
    this.colors = blendPalette();
    this.fit();
    new ResizeObserver(() => this.fit()).observe(canvas);
  }

  fit() {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(this.canvas.clientWidth * ratio) || 600;
    const height = Math.round(this.canvas.clientHeight * ratio) || 240;
    if (width === this.canvas.width && height === this.canvas.height) return;
    Object.assign(this.canvas, { width, height });
    this.speed = PX_PER_S * ratio;
    this.clear();
    this.bins = null;
  }

  clear() {
    this.pen.fillStyle = `rgb(${PALETTE[0]})`;
    this.pen.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.owedPx = 0;
  }

  // Draw `passedS` seconds of sound, and a thin line at its end if `isBarLine`.
  draw(analyser, passedS, isBarLine) {
    this.frames++;
    this.owedPx += passedS * this.speed;
    const step = Math.min(Math.floor(this.owedPx), this.canvas.width);
    if (step < 1) return;
    this.owedPx -= step;
    const { width, height } = this.canvas;
    this.pen.drawImage(this.canvas, -step, 0);
    const image = this.pen.createImageData(step, height);
    this.levels ??= new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(this.levels);
    this.bins ??= findBins(height, analyser);
    const pixels = new Uint32Array(image.data.buffer);
    for (let y = 0; y < height; y++) {
      const [first, last] = this.bins[y];
      let level = -Infinity;
      for (let bin = first; bin <= last; bin++) level = Math.max(level, this.levels[bin]);
      const loudness = Math.max(0, Math.min(1, (level - QUIET_DB) / (LOUD_DB - QUIET_DB)));
      pixels.fill(this.colors[Math.round(loudness * 255)], y * step, (y + 1) * step);
    }
    this.pen.putImageData(image, width - step, 0);
    if (isBarLine) {
      this.pen.fillStyle = "rgba(255, 255, 255, 0.28)";
      this.pen.fillRect(width - step, 0, 1, height);
    }
  }
}

// Return the first and last FFT bin of every row of pixels, the top row first. Rows are evenly
// spaced in mel.
function findBins(height, analyser) {
  const perHz = analyser.fftSize / analyser.context.sampleRate;
  const edge = (y) => hertz((mel(TOP_HZ) * (height - y)) / height) * perHz;
  return Array.from({ length: height }, (_, y) => {
    const first = Math.floor(edge(y + 1));
    return [first, Math.max(first, Math.ceil(edge(y)) - 1)];
  });
}

// Return 256 colours from quiet to loud, as pixels.
function blendPalette() {
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * (PALETTE.length - 1);
    const low = Math.min(Math.floor(place), PALETTE.length - 2);
    const [from, to] = [PALETTE[low], PALETTE[low + 1]];
    const mix = (c) => Math.round(from[c] + (place - low) * (to[c] - from[c]));
    return ((255 << 24) | (mix(2) << 16) | (mix(1) << 8) | mix(0)) >>> 0;
  });
}
