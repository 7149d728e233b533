#!/bin/sh
# Made from the code: cargo xtask gen-docs.
#
# An earlier PortSentry's files become this package's configuration without a question: dpkg asks about each file of
# configuration that exists already and isn't the one that it installs. So it finds the ones that it installs, and postinst
# brings the earlier ones back.
set -e

# Sets the file $1 aside, and writes standard input in its place.
set_aside() {
    if [ -e "$1" ] && [ ! -e "$1.set-aside" ]; then
        # Debian's 1.2-14 as it was shipped: nobody chose anything in it.
        if [ "$(md5sum < "$1")" != "6faef2a5e15b36ed857c862cea2c41c2  -" ]; then
            cp -p "$1" "$1.set-aside"
        fi
        cat > "$1"
    fi
}

if [ "$1" = install ] && [ -z "$2" ]; then
