#!/bin/busybox sh
# The first process of a machine that only runs tests; its last words tell whether they pass.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
busybox=/bin/busybox

prepare() {
    if [ ! -e /etc/debian_version ]; then
        $busybox --install -s /bin && ln -s /run /var/run || return
    fi
    mount -t proc proc /proc &&
        mount -t sysfs sysfs /sys &&
        mount -t bpf bpf /sys/fs/bpf &&
        mount -t devtmpfs devtmpfs /dev &&
        mount -t tmpfs tmpfs /tmp &&
        mount -t tmpfs tmpfs /run || return
    # On a disk there are none: they are loaded.
    for module in /portsentry/modules/*; do
        [ ! -e "$module" ] || insmod "$module" || return
    done
}

run() {
    if [ -e /portsentry/cards ]; then
        PORTSENTRY_CARDS=$(cat /portsentry/cards)
        export PORTSENTRY_CARDS
        cat /proc/net/dev
    fi
    # An emulated processor is slow, and cards are there once.
    export RUST_TEST_THREADS="${RUST_TEST_THREADS:-1}"
    result=0
    while read -r arguments; do
        echo "vm: $arguments"
        # shellcheck disable=SC2086
        /portsentry/debug/deps/tests $arguments </dev/null || result=1
    done </portsentry/runs
    return $result
}

if prepare && cd /tmp && echo "vm: $(uname -srv)" && run; then
    echo "vm: passed"
else
    echo "vm: failed"
fi
# Its kernel takes the machine with it.
$busybox poweroff -f
