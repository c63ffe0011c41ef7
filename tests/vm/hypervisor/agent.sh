#!/bin/busybox sh
# SPDX-License-Identifier: BSD-3-Clause
# /init of the guest: mounts, modules, and then the scripts that the test sends, each answered with its exit status and output.
/bin/busybox mkdir -p /sbin /usr/bin /usr/sbin
/bin/busybox --install -s /sbin # after /bin in PATH: iproute2's ip is found before busybox's
export PATH=/bin:/sbin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
ip link set lo up
[ -f /lib/mod/now ] && for module in $(cat /lib/mod/now); do insmod /lib/mod/$module.ko || echo "insmod $module failed"; done
ulimit -l unlimited
exec 3<>/dev/vport0p1
echo ready >&3
# One line in: number, seconds it may take, the script in base64, and its first words for the console. One line out: number,
# exit status, output in base64. A process more for each script is a tenth of what all of them take.
while read -r number seconds script words <&3; do
  base64 -d >/tmp/script <<EOF
$script
EOF
  echo "# script $number: $words" >/dev/console
  timeout -s KILL "$seconds" sh /tmp/script </dev/null >/tmp/output 2>&1 3>&-
  status=$?
  echo "$number $status $(base64 -w 0 /tmp/output)" >&3
done
poweroff -f
