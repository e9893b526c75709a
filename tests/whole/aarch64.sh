#!/usr/bin/env bash
# Run the last commit on emulated 64-bit ARM: `make repro` and `make verify` with few images, then the
# trainings once more on other CPUs, and compare the bytes. Half an hour to an hour on one core.
#
#     tests/whole/aarch64.sh FOLDER    # as root; FOLDER gets a Debian of 6 GB and is used again
#
# Needs Debian's debootstrap and qemu-user-static. docs/machines.md has what it printed.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$(realpath -m "${1:?name a folder for the Debian root}")
mkdir -p "$root"
# QEMU's names: ARMv8.0; with dot products and half precision; with vectors of 512 bits besides.
cpus=(cortex-a53 neoverse-n1 a64fx)

if [[ ! -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]]; then
    mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    /lib/systemd/systemd-binfmt /usr/lib/binfmt.d/qemu-aarch64.conf
fi
if [[ ! -x $root/usr/bin/make ]]; then
    packages=ca-certificates,git,make,python3,python3-venv
    debootstrap --arch=arm64 --variant=minbase --include="$packages" bookworm "$root"
fi
# The names, certificates and package sources that this machine uses.
cp --remove-destination /etc/resolv.conf /etc/hosts "$root/etc"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs"
[[ ! -e /etc/pip.conf ]] || cp /etc/pip.conf "$root/etc"

trap 'umount "$root/proc" "$root/dev/shm"' EXIT
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev/shm"

inside() {  # CPU COMMAND: run it in the clone there, on that CPU
    chroot "$root" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/bin:/bin QEMU_CPU="$1" \
        SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
        GIT_AUTHOR_NAME=tester GIT_AUTHOR_EMAIL=tester@example.org \
        GIT_COMMITTER_NAME=tester GIT_COMMITTER_EMAIL=tester@example.org \
        bash -euo pipefail -c "cd /root/clone && $2"
}

git bundle create "$root/root/head.bundle" HEAD
if [[ -d $root/root/clone ]]; then
    inside "${cpus[0]}" 'git fetch --quiet ../head.bundle HEAD && git reset --quiet --hard FETCH_HEAD'
else
    git clone --quiet "$root/root/head.bundle" "$root/root/clone"
fi
inside "${cpus[0]}" 'make .venv/.complete && .venv/bin/python -c "
import platform, numpy, tensorflow
print(platform.machine(), platform.python_version(), numpy.__version__, tensorflow.__version__)"'

for cpu in "${cpus[@]}"; do
    echo "== $cpu"
done
