#!/bin/busybox sh
# The first process of a machine with disks: mounts them, and becomes the program on them that /start names.

busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sysfs /sys
$busybox mount -t devtmpfs devtmpfs /dev
for module in /portsentry/modules/*; do $busybox insmod "$module" || echo "vm: $module can't be loaded"; done
$busybox mount -t ext4 /dev/vda /disk || $busybox poweroff -f
# The tests, if they are there.
[ ! -e /dev/vdb ] || $busybox mount -t ext4 /dev/vdb /disk/portsentry || $busybox poweroff -f
# Files for the base system, as those of a machine with systemd.
[ ! -d /disk/portsentry/system ] || $busybox cp -a /disk/portsentry/system/. /disk/ || $busybox poweroff -f
[ ! -e /disk/portsentry/read-only ] || $busybox mount -o remount,ro /disk
exec $busybox switch_root /disk "$($busybox cat /start)"
