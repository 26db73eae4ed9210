/* Sizes and times as people read them. */

export const size = (bytes) => {
  if (bytes === 1) return "1 byte";
  const units = ["bytes", "KB", "MB", "GB"];
  let amount = bytes;
  let unit = 0;
  while (amount >= 1000 && unit < 3) { amount /= 1000; unit += 1; }
  return `${amount.toFixed(unit > 2 ? 1 : 0)} ${units[unit]}`;
};

export const duration = (seconds) => {
  if (seconds < 60) {
    const whole = Math.max(1, Math.round(seconds));
    return whole === 1 ? "1 second" : `${whole} seconds`;
  }
  const minutes = Math.round(seconds / 60);
  return minutes === 1 ? "1 minute" : `${minutes} minutes`;
};

export const clock = (seconds) => {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
};
