/* Lets the page that is shown without a network be kept. */
(() => {
  const { src, dataset } = document.currentScript;
  if (!navigator.serviceWorker) return;
  window.addEventListener("load", () => {
    // Some browsers forbid it in private windows; everything else works without it.
    navigator.serviceWorker.register(dataset.worker + new URL(src).search).catch(() => {});
  });
})();
