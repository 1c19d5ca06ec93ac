#!/usr/bin/env bash
# The libraries that Qt and napari's canvas load on Linux, and Xvfb, the screen that the tests run on.
# Debian and Ubuntu, as root: installs what is missing. Elsewhere: names what is missing, and goes on.
set -euo pipefail

PACKAGES=(
    libdbus-1-3 libegl1 libfontconfig1 libgl1 libgl1-mesa-dri libglib2.0-0 libopengl0
    libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0
    libxcb-shape0 libxcb-xinerama0 libxcb-xkb1 libxkbcommon-x11-0
    xauth xvfb
)

[[ "$(uname -s)" == Linux ]] || exit 0

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    if ! command -v xvfb-run >/dev/null; then
        echo "napari-pix2pix: Qt and the tests' screen need what Debian calls ${PACKAGES[*]}." \
            "Install your system's packages for them if a window does not open." >&2
    fi
    exit 0
fi

# Debian 13 and Ubuntu 24.04 renamed some libraries: a "t64" follows the name.
installed="$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' \
    "${PACKAGES[@]}" "${PACKAGES[@]/%/t64}" 2>/dev/null | sed -n 's/^installed //p' || true)"
missing=()
for package in "${PACKAGES[@]}"; do
    grep -qxE "${package//./\\.}(t64)?" <<<"$installed" || missing+=("$package")
done
((${#missing[@]})) || exit 0

if [[ "$(id -u)" != 0 ]]; then
    echo "napari-pix2pix: missing system libraries: ${missing[*]}." \
        "Install them with: sudo bash tools/install_system_libraries.sh" >&2
    exit 0
fi

echo "napari-pix2pix: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -qq --yes --no-install-recommends "${missing[@]}" >/dev/null; }; then
    echo "napari-pix2pix: could not install ${missing[*]} (see above); going on without." >&2
fi
