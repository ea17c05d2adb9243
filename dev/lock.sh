#!/bin/sh
# Compile every .in file into one with hashes and without any registry's address. The images take dev.txt's versions, so
# that what the tests ran is what the images hold.
set -eu
cd "$(dirname "$0")/.."
compile() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links "$@"
}
compile requirements/dev.in --output-file requirements/dev.txt
compile requirements/uv.in --output-file requirements/uv.txt
compile requirements/publish.in --output-file requirements/publish.txt
compile requirements/ministack.in --output-file requirements/ministack.txt
compile requirements/peers.in --output-file requirements/peers.txt
compile requirements/traefik.in --output-file requirements/traefik.txt
for image in rng_service proxy_image; do
    compile --constraints requirements/dev.txt "$image/requirements.in" --output-file "$image/requirements.txt"
done
