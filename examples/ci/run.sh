#!/bin/sh
# Runs one job from a CI system: submits it once, waits for its end, and leaves what it said as files.
#
#     run.sh REQUEST_ID FOLDER [RUN OPTIONS] COMPONENT [ARGS]...
#
# REQUEST_ID names this CI job: a second run with the same one finds the same job and goes on waiting for it.
# FOLDER gets handle, status.json and log.txt.
# Environment: JOB_TIMEOUT (default 6h), RETRIES (default 5) and RETRY_SECONDS (default 30) for a system that can't be
# reached.
# Exits as xrun does: 0 succeeded, 1 failed, 2 usage, 3 wrong job, 4 refused, 5 gone, 6 timed out, 7 cancelled,
# 8 can't be reached. After 6 the job goes on.
set -u

if [ $# -lt 3 ]; then
    echo "usage: run.sh REQUEST_ID FOLDER [RUN OPTIONS] COMPONENT [ARGS]..." >&2
    exit 2
fi
request_id=$1
folder=$2
shift 2
mkdir -p "$folder" || exit 2

# patiently COMMAND...: again while the system behind the scheduler can't be reached.
patiently() {
    left=${RETRIES:-5}
    while :; do
        "$@"
        code=$?
        if [ $code -ne 8 ] || [ "$left" -le 0 ]; then
            return $code
        fi
        left=$((left - 1))
        echo "run.sh: trying again in ${RETRY_SECONDS:-30} s, $left times more" >&2
        sleep "${RETRY_SECONDS:-30}"
    done
}

patiently xrun run --detach --request-id "$request_id" "$@" >"$folder/handle" || exit
handle=$(cat "$folder/handle")
echo "run.sh: waiting for $handle" >&2

patiently xrun wait --timeout "${JOB_TIMEOUT:-6h}" "$handle" >&2
ended=$?

# What can be saved is saved, however it ended.
patiently xrun status --json "$handle" >"$folder/status.json"
patiently xrun log "$handle" >"$folder/log.txt"
exit $ended
