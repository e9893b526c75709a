#!/usr/bin/env bash
# Build the images of Dockerfile where no image registry is reached, start what compose.yaml starts, and use
# it: the pipeline tracks and promotes through MLflow, PostgreSQL and S3, the champion answers.
#
#     tests/whole/containers.sh FOLDER
#
# As root, on Debian with buildah, debootstrap, postgresql and `weed` (SeaweedFS) on PATH; FOLDER gets
# 10 GB. The base image is a Debian by debootstrap; the containers share this machine's network, and the
# stores run beside them. docs/machines.md has what it printed, and what that proves.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(realpath -m "${1:?name a folder}")
mkdir -p "$folder"/{s3,storage,run}
build=(buildah --root "$folder/storage" --runroot "$folder/run")
set -m  # what is started in the background is a process group, and ends as one
pids=()
trap 'for pid in "${pids[@]}"; do kill -- "-$pid" || true; done' EXIT

if ! "${build[@]}" inspect --type image base >/dev/null 2>&1; then
    [[ -x $folder/base/usr/bin/python3 ]] ||
        debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$folder/base"
    # The certificates and package sources that this machine uses.
    cp /etc/ssl/certs/ca-certificates.crt "$folder/base/etc/ssl/certs"
    [[ ! -e /etc/pip.conf ]] || cp /etc/pip.conf "$folder/base/etc"
    container=$("${build[@]}" from scratch)
    "${build[@]}" copy --quiet "$container" "$folder/base" / >/dev/null
    "${build[@]}" config --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt "$container"
    "${build[@]}" commit --quiet --rm "$container" base
fi

for target in environment pipeline serve; do
    echo "== build $target"
    "${build[@]}" build --isolation chroot --layers --build-arg BASE=localhost/base \
        --target "$target" --tag "$target" .
    "${build[@]}" inspect --type image --format "{{.OCIv1.Config.User}} {{.OCIv1.Config.Cmd}}" "$target"
done

inside() {  # IMAGE COMMAND...: run it in a container of the image, as its user
    local container
    container=$("${build[@]}" from "$1")
    "${build[@]}" run --isolation chroot "${variables[@]}" "$container" -- "${@:2}"
}

until_answers() { for _ in {1..90}; do curl --silent --fail "$1" >/dev/null && return; sleep 1; done; return 1; }

echo "== the stores"
postgres=$(mktemp -d)
chown nobody "$postgres"
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
as_nobody() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
echo secret >"$postgres/password"
as_nobody "$bin/initdb" --pgdata="$postgres/data" --username=mlflow --pwfile="$postgres/password" \
    --auth=scram-sha-256 --encoding=UTF8 --no-locale >/dev/null
as_nobody "$bin/postgres" -D "$postgres/data" -h 127.0.0.1 -p 5433 -k "$postgres" >"$folder/postgres.log" 2>&1 &
pids+=($!)
export AWS_ACCESS_KEY_ID=team AWS_SECRET_ACCESS_KEY=chosen-for-this
weed server -dir="$folder/s3" -s3 -master.telemetry=false -ip=127.0.0.1 -ip.bind=127.0.0.1 \
    >"$folder/s3.log" 2>&1 &
pids+=($!)
sleep 10
PGPASSWORD=secret psql --host 127.0.0.1 --port 5433 --username mlflow postgres --command "CREATE DATABASE mlflow"

echo "== MLflow"
variables=(
    --env PGPASSWORD=secret --env AWS_ACCESS_KEY_ID="$AWS_ACCESS_KEY_ID"
    --env AWS_SECRET_ACCESS_KEY="$AWS_SECRET_ACCESS_KEY" --env AWS_DEFAULT_REGION=us-east-1
    --env MLFLOW_S3_ENDPOINT_URL=http://127.0.0.1:8333 --env MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
)
inside environment mlflow server --host 127.0.0.1 --port 5010 \
    --backend-store-uri postgresql://mlflow@127.0.0.1:5433/mlflow \
    --serve-artifacts --artifacts-destination s3://mlflow/artifacts >"$folder/mlflow.log" 2>&1 &
pids+=($!)
until_answers http://127.0.0.1:5010/health

echo "== make repro and make promote"
variables=(--env MLFLOW_TRACKING_URI=http://127.0.0.1:5010)
inside pipeline sh -c 'id; make repro && git status --short && make promote'

echo "== serve"
inside serve python -m pipeline serve --port 5011 >"$folder/serve.log" 2>&1 &
pids+=($!)
until_answers http://127.0.0.1:5011/ping
.venv/bin/python - <<'PYTHON'
import json
import pickle
import urllib.request

with open("data/raw/mnist_test.pkl", "rb") as file:
    held = pickle.load(file)
body = json.dumps({"inputs": held["images"][:5].tolist()}).encode()
url, headers = "http://127.0.0.1:5011/invocations", {"Content-Type": "application/json"}
with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as response:
    print("answered", json.load(response)["predictions"]["class"], "for", held["labels"][:5].tolist())
PYTHON
