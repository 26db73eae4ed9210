#!/bin/sh
# Make consent_service/web/static/vendor from the exact npm packages in package-lock.json.
#
# For developers, when a version changes: needs node 20, npm and, for the style hashes, a Python
# with playwright (PYTHON=...) and Chromium. The service itself never needs node: what this makes
# is committed, and tests/whole/test_vendored_files.py checks it against manifest.sha256.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
vendor=$root/consent_service/web/static/vendor
python=${PYTHON:-$root/.venv/bin/python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cp "$here/package.json" "$here/package-lock.json" "$here/theme.scss" "$here/sha256.js" "$work/"
cd "$work"
npm ci --ignore-scripts --no-audit --no-fund
modules=$work/node_modules

rm -rf "$vendor/nhsuk-frontend" "$vendor/signature_pad" "$vendor/media-chrome" "$vendor/tus-js-client" \
    "$vendor/noble-hashes"
mkdir -p "$vendor/nhsuk-frontend/images" "$vendor/signature_pad" "$vendor/media-chrome" \
    "$vendor/tus-js-client" "$vendor/noble-hashes"

# The icons in NHS colours and the NHS logo (favicon, touch icons, Open Graph) stay out: the
# logo is a trade mark, and the service brings a neutral icon of its own.
npx --no-install sass --style=compressed --no-source-map --load-path=node_modules theme.scss \
    "$vendor/nhsuk-frontend/nhsuk-frontend.min.css"
# The same for languages that are written from right to left.
npx --no-install rtlcss "$vendor/nhsuk-frontend/nhsuk-frontend.min.css" \
    "$vendor/nhsuk-frontend/nhsuk-frontend.rtl.min.css"
cp "$modules/nhsuk-frontend/dist/nhsuk/nhsuk-frontend.min.js" "$vendor/nhsuk-frontend/"
for icon in arrow-down arrow-up-down arrow-up cross; do
    cp "$modules/nhsuk-frontend/dist/nhsuk/assets/images/nhsuk-icon-$icon.svg" \
        "$vendor/nhsuk-frontend/images/"
done
# The npm package holds no licence file; this is the text from its repository.
cp "$here/nhsuk-frontend-LICENSE" "$vendor/nhsuk-frontend/LICENSE"

cp "$modules/signature_pad/dist/signature_pad.umd.min.js" "$modules/signature_pad/LICENSE" \
    "$vendor/signature_pad/"
cp "$modules/media-chrome/dist/iife/index.js" "$vendor/media-chrome/media-chrome.js"
cp "$modules/media-chrome/LICENSE" "$vendor/media-chrome/"
cp "$modules/tus-js-client/dist/tus.min.js" "$modules/tus-js-client/LICENSE" \
    "$vendor/tus-js-client/"
# One module with SHA-256 alone: the package is many, which import each other by name.
npx --no-install esbuild sha256.js --bundle --minify --format=esm \
    --outfile="$vendor/noble-hashes/sha256.js"
cp "$modules/@noble/hashes/LICENSE" "$vendor/noble-hashes/"
"$python" "$here/style_hashes.py" "$vendor/media-chrome/media-chrome.js" \
    >"$vendor/media-chrome/style-hashes.txt"

cd "$vendor"
find . -type f ! -name manifest.sha256 ! -name README.md | LC_ALL=C sort | xargs sha256sum |
    sed 's|  \./|  |' >manifest.sha256
wc -l manifest.sha256
