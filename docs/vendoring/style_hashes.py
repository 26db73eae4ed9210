"""Print the CSP hash of every style sheet that media-chrome puts inside its elements.

Its controls carry `<style>` in their shadow roots, which `style-src 'self'` blocks. Naming the
SHA-256 of each allows exactly those words and nothing else (CSP level 3, hash sources), so the
page that plays film needs no `unsafe-inline` and the vendored file stays as published.

Use: python style_hashes.py media-chrome.js > style-hashes.txt      (needs playwright, chromium)
"""

import base64
import hashlib
import os
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NOTE_NAMES = """
window.names = [];
const define = customElements.define.bind(customElements);
customElements.define = (name, cls, options) => { names.push(name); define(name, cls, options); };
"""
COLLECT_STYLES = """() => {
  const found = new Set();
  const walk = (root) => {
    for (const element of root.querySelectorAll("*")) {
      if (element.localName === "style") found.add(element.textContent);
      if (element.shadowRoot) walk(element.shadowRoot);
    }
  };
  for (const name of names) document.body.append(document.createElement(name));
  walk(document);
  return [...found];
}"""


def style_texts(script: str) -> list[str]:
    """Return the text of every style sheet in the elements that `script` defines."""
    chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.add_script_tag(content=NOTE_NAMES)
        page.add_script_tag(content=script)
        texts: list[str] = page.evaluate(COLLECT_STYLES)
        browser.close()
    return texts


def hash_source(text: str) -> str:
    """Return the CSP hash source of `text`."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


if __name__ == "__main__":
    for line in sorted(hash_source(text) for text in style_texts(Path(sys.argv[1]).read_text())):
        sys.stdout.write(line + "\n")
