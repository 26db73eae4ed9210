/* Shows how loud it is, and says in words whether anything is heard. */

const HEARD = 0.01;
const HELD_MS = 2000;
const EVERY_MS = 100;

/** Follow the sound of a stream; `end` stops it. */
export const soundMeter = (stream, level, words) => {
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 2048 });
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let heardAt = -Infinity;
  const look = () => {
    analyser.getFloatTimeDomainData(samples);
    const loudness = Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length);
    // Sixty decibels from one end to the other, as ears have it.
    level.value = Math.max(0, Math.min(100, 100 + (Math.log10(loudness || 1e-6) * 100) / 3));
    if (loudness > HEARD) heardAt = performance.now();
    const sentence = performance.now() - heardAt < HELD_MS ? "sound is heard" : "no sound is heard";
    if (words.textContent !== sentence) words.textContent = sentence;
  };
  const looking = setInterval(look, EVERY_MS);
  context.resume();
  return { end: () => { clearInterval(looking); context.close(); } };
};
