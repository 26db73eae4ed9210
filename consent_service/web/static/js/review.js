/* One clip at a time: starting one stops the others. */
(() => {
  const films = [...document.querySelectorAll("video[data-film]")];
  if (window.customElements) {
    customElements.whenDefined("media-controller").then(() => {
      films.forEach((film) => film.removeAttribute("controls"));
    });
  }
  films.forEach((film) => film.addEventListener("play", () => {
    films.forEach((other) => { if (other !== film) other.pause(); });
  }));
})();
