#!/bin/sh
# Runs the tests on a machine with systemd, after each boot. Its last words tell whether they pass.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
cd /portsentry || exit
done=$(cat done 2>/dev/null || echo 0)

finish() {
    echo "vm: $1"
    sync
    systemctl poweroff --force --force
    exit
}

# The daemon blocks, so that a block can outlive each boot.
install_package() {
    dpkg --install /portsentry/debian/test-1.deb &&
        sed -i 's/^BLOCK_TCP=.*/BLOCK_TCP="1"/; s/^BLOCK_UNPROVEN=.*/BLOCK_UNPROVEN="1"/; s/^INTERFACES=.*/INTERFACES="eth0"/; s/^BLOCK_TIME=.*/BLOCK_TIME="86400"/' \
            /etc/portsentry/portsentry.conf &&
        systemctl restart portsentry
}

full_disk() {
    rm -f /full-*
    number=0
    for size in 100M 1M 4K; do
        while fallocate --length "$size" "/full-$((number += 1))"; do :; done
    done
    df /
}

# A machine whose clock was reset, before it asks a time server.
wrong_clock() {
    rm -f /full-*
    date --set '3 days ago' && hwclock --systohc --utc
}

read_only() {
    touch /portsentry/read-only
}

# A crash is no boot that a test wants.
[ ! -e running ] || finish "failed: it crashed in the run of $(cat running)"
echo "vm: $(uname -srv), up for $(cut -d ' ' -f 1 /proc/uptime) s"
if [ "$done" = 0 ]; then
    install_package || { journalctl --unit portsentry; finish failed; }
fi
tail -n "+$((done + 1))" runs | while read -r arguments; do
    done=$((done + 1))
    echo "$done" >done
    echo "vm: $arguments"
    case "$arguments" in
    'reboot'*)
        ${arguments#reboot}
        sync
        systemctl reboot
        exit 1
        ;;
    *)
        echo "$arguments" >running
        # shellcheck disable=SC2086
        debug/deps/tests --color never --test-threads 1 $arguments </dev/null || touch failed
        rm running
        ;;
    esac
done || exit
[ ! -e failed ] || finish failed
finish passed
