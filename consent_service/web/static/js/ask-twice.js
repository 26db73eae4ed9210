/* A button that does what nobody can undo asks once more: only a second press of its own does it. */

/** Have `button` say `first`, after a press `again`, and do `work` when it is pressed again then.

    The second half of a double click, and a key that is held down, are no second press. */
export const askTwice = (button, first, again, work) => {
  let isAsked = false;
  let isAtWork = false;
  button.textContent = first;
  button.onkeydown = (event) => { if (event.repeat) event.preventDefault(); };
  button.onclick = async (event) => {
    if (event.detail > 1 || isAtWork) return;
    if (!isAsked) {
      isAsked = true;
      button.textContent = again;
      return;
    }
    isAtWork = true;
    try { await work(); } finally { isAtWork = false; }
  };
};
