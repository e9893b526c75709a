#!/usr/bin/env bash
# The last commit with few images, natively and then on emulated 64-bit ARM: `make repro` and
# `make verify` there, and the same stages on other ARM CPUs, whose bytes are compared.
#
#     tests/whole/aarch64.sh FOLDER
#
# As root, on x86-64 Debian with debootstrap and qemu-user-static; FOLDER gets 5 GB and is used again.
# An hour on one core; docs/machines.md has what it printed.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$(realpath -m "${1:?name a folder for the Debian root}")
# QEMU's names: plain ARMv8.0; with half precision and dot products, as Graviton 2; with SVE.
first=cortex-a53 others=(neoverse-n1 a64fx)

echo "== native, with 320 images and an epoch each"
small=$(mktemp -d)
trap 'rm -r "$small"' EXIT
.venv/bin/python - "$small" <<'PYTHON'
import pickle
import sys
from pathlib import Path

from pipeline.data.files import readers
from tests.whole.repositories import KINDS, SMALL_PARAMS, make_repository, with_epochs

repository = make_repository(Path(sys.argv[1]))
for name, count in (("mnist.pkl", 320), ("mnist_test.pkl", 100)):
    file = repository.path / "data/raw" / name
    file.write_bytes(pickle.dumps({kind: readers.read(file, kind, "train")[:count] for kind in KINDS}))
repository.edit_params(lambda text: with_epochs(text, dict.fromkeys(SMALL_PARAMS, 1)))
repository.dvc("repro")
repository.run("git", "add", ".")
repository.run("git", "commit", "--quiet", "--message", "results of x86-64")
PYTHON

if [[ ! -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]]; then
    mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
    /lib/systemd/systemd-binfmt /usr/lib/binfmt.d/qemu-aarch64.conf
fi
mkdir -p "$root"
if [[ ! -x $root/usr/bin/make ]]; then
    packages=ca-certificates,git,make,python3,python3-venv
    debootstrap --arch=arm64 --variant=minbase --include="$packages" bookworm "$root"
fi
# The names, certificates and package sources that this machine uses.
cp --remove-destination /etc/resolv.conf /etc/hosts "$root/etc"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs"
[[ ! -e /etc/pip.conf ]] || cp /etc/pip.conf "$root/etc"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev/shm"
trap 'umount "$root/proc" "$root/dev/shm"; rm -r "$small"' EXIT

on() {  # CPU COMMAND: run it in the clone there
    chroot "$root" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/bin:/bin QEMU_CPU="$1" \
        SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
        bash -euo pipefail -c "cd /root/clone; $2"
}

git -C "$small" bundle create --quiet "$root/root/small.bundle" HEAD
mkdir -p "$root/root/clone"
on $first 'git init --quiet; git fetch --quiet ../small.bundle HEAD; git checkout --quiet --force FETCH_HEAD
    git config user.name tester; git config user.email tester@example.org'
on $first 'make .venv/.complete; .venv/bin/python -m pipeline doctor || true'

echo "== make repro on $first"
on $first 'time make repro'
outs='data/history/* data/metrics/* data/models/*.keras data/prepared/*'
on $first "md5sum $outs" >"$root/root/$first"

echo "== make verify on $first"
on $first 'time make verify'

for cpu in "${others[@]}"; do
    echo "== the stages on $cpu"
    on "$cpu" "export PIPELINE_TRACKING=off
        for stage in prepare train_classifier train_dense_ae train_conv_ae; do
            .venv/bin/python stages \$stage | tail -n 1
        done
        md5sum $outs" >"$root/root/$cpu"
    grep -v '^[0-9a-f]\{32\} ' "$root/root/$cpu"
    if diff "$root/root/$first" <(grep '^[0-9a-f]\{32\} ' "$root/root/$cpu"); then
        echo "$cpu: the same bytes as $first"
    fi
done
