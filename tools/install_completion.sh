#!/bin/sh
# Completion for the shells that have a place for it, within the prefix when Meson installs.
#   install_completion.sh ATTUNE DATADIR
set -eu
attune=$1 share=${MESON_INSTALL_DESTDIR_PREFIX:-.}/$2
export GOMP_SPINCOUNT=1000 # the program need not start twice
put() {
    mkdir -p "$share/$2"
    "$attune" completion "$1" >"$share/$2/$3"
}
put bash bash-completion/completions attune
put zsh zsh/vendor-completions _attune
put fish fish/vendor_completions.d attune.fish
