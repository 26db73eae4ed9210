/* Sends a film as one raw stream, with progress, and warns before the page is left. */
(() => {
  const form = document.getElementById("film-upload");
  const file = document.getElementById("film");
  const fault = document.getElementById("film-fault");
  const going = document.getElementById("film-going");
  const progress = document.getElementById("film-progress");
  const figures = document.getElementById("film-figures");
  const said = document.getElementById("film-said");
  let sending = null;

  form.hidden = false;

  const size = (bytes) => {
    const units = ["bytes", "KB", "MB", "GB"];
    let amount = bytes;
    let unit = 0;
    while (amount >= 1000 && unit < 3) { amount /= 1000; unit += 1; }
    return `${amount.toFixed(unit > 2 ? 1 : 0)} ${units[unit]}`;
  };
  const time = (seconds) => {
    if (seconds < 60) return `${Math.max(1, Math.round(seconds))} seconds`;
    const minutes = Math.round(seconds / 60);
    return minutes === 1 ? "1 minute" : `${minutes} minutes`;
  };

  const warn = (event) => { event.preventDefault(); event.returnValue = ""; };

  const say = (sentence) => {
    fault.textContent = sentence;
    fault.hidden = false;
    document.getElementById("film-group").classList.add("nhsuk-form-group--error");
    file.setAttribute("aria-describedby", "film-hint film-fault");
    file.focus();
  };

  /* After a refusal nothing of the film is kept, so the way on is a new beginning. */
  const ended = (sentence) => {
    window.removeEventListener("beforeunload", warn);
    sending = null;
    document.getElementById("film-going-title").textContent = "The film was not stored";
    going.classList.add("nhsuk-error-summary");
    progress.hidden = true;
    figures.hidden = true;
    document.getElementById("film-stop").hidden = true;
    document.getElementById("film-again").hidden = false;
    said.textContent = sentence;
    document.getElementById("film-going-title").focus();
  };

  const answer = (request) => {
    try { return JSON.parse(request.responseText); } catch { return {}; }
  };

  const send = (film) => {
    const request = new XMLHttpRequest();
    const began = performance.now();
    let spoken = 0;
    sending = request;
    request.open("PUT", form.dataset.to);
    request.setRequestHeader("X-CSRFToken", form.dataset.token);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", (event) => {
      const seconds = (performance.now() - began) / 1000;
      const speed = event.loaded / Math.max(seconds, 0.1);
      const part = Math.floor((event.loaded / event.total) * 100);
      progress.value = part;
      progress.textContent = `${part}%`;
      figures.textContent = `${part}%: ${size(event.loaded)} of ${size(event.total)}, ${size(speed)} a second, `
        + `about ${time((event.total - event.loaded) / speed)} left`;
      if (part >= spoken + 25) { spoken = part - (part % 25); said.textContent = `${spoken}% sent`; }
    });
    request.upload.addEventListener("load", () => {
      figures.textContent = "";
      said.textContent = "All of it is here. It is being checked and encrypted. Keep this page open.";
    });
    request.addEventListener("load", () => {
      const found = answer(request);
      if (request.status === 201) {
        window.removeEventListener("beforeunload", warn);
        window.location.assign(found.watch);
        return;
      }
      ended([found.message, found.advice].filter(Boolean).join(" ") || "Something went wrong. Nothing of the film was kept.");
    });
    request.addEventListener("error", () => ended("The connection broke. Nothing of the film was kept. Check the network, then begin again."));
    request.addEventListener("abort", () => ended("You stopped it. Nothing of the film was kept."));
    request.send(film);
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const film = file.files[0];
    if (sending) return;
    if (!film) { say("Choose a film first."); return; }
    if (film.size === 0) { say("This file is empty. Choose another one."); return; }
    if (film.size > Number(form.dataset.largest)) {
      say(`This film is ${size(film.size)}; at most ${size(Number(form.dataset.largest))} can be taken. Film a shorter piece.`);
      return;
    }
    form.hidden = true;
    going.hidden = false;
    window.addEventListener("beforeunload", warn);
    document.getElementById("film-going-title").focus();
    send(film);
  });

  document.getElementById("film-stop").addEventListener("click", () => { if (sending) sending.abort(); });
})();
