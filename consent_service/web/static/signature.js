// A box to sign in. What is sent are the strokes as numbers; a picture is made from them on the
// server. Without this script a name can be typed.
(function () {
  "use strict";
  const canvas = document.getElementById("pad");
  const form = document.getElementById("sign");
  if (!canvas || !form) return;
  const field = document.getElementById("strokes");
  const status = document.getElementById("pad-status");
  const pad = new SignaturePad(canvas, { penColor: "#212b32" });

  function fit() {
    const box = canvas.getBoundingClientRect();
    if (box.width === 0) return;
    const ratio = Math.max(window.devicePixelRatio || 1, 1);
    const drawn = pad.toData();
    canvas.width = Math.round(box.width * ratio);
    canvas.height = Math.round(box.height * ratio);
    canvas.getContext("2d").scale(ratio, ratio);
    pad.clear();
    pad.fromData(drawn);
  }

  // The box has no width while another way of signing is chosen.
  new ResizeObserver(fit).observe(canvas);

  pad.addEventListener("endStroke", function () {
    status.textContent = "Signed.";
  });
  document.getElementById("pad-clear").addEventListener("click", function () {
    pad.clear();
    status.textContent = "The box is empty.";
  });
  // Who comes back to this page signs anew: what was agreed to may have changed meanwhile.
  window.addEventListener("pageshow", function (event) {
    if (!event.persisted) return;
    pad.clear();
    form.reset();
    status.textContent = "";
  });
  form.addEventListener("submit", function () {
    field.value = pad.isEmpty() ? "" : JSON.stringify(pad.toData());
  });
})();
