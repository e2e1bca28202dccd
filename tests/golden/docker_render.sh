#!/bin/sh
# docker://default/job-abcde: what xrun asks of docker. Retries and gang are xrun's.
set -eu
containers=
docker network create job-abcde
# role trainer
k=0; while [ $k -lt 2 ]; do
  containers="$containers $(docker create \
    --name job-abcde-trainer-$k \
    --hostname job-abcde-trainer-$k \
    --init \
    --user nobody \
    --cpus 0.5 \
    --memory 67108864 --memory-swap 67108864 \
    --shm-size 67108864 \
    --mount 'type=bind,"source=/a,b",target=/mnt,readonly' \
    --mount type=volume,source=cache,target=/cache \
    --device /dev/neuron0:/dev/neuron0:rwm \
    --publish 8080 \
    --log-driver local \
    --log-opt max-size=1g \
    --log-opt max-file=2 \
    --log-opt compress=false \
    --stop-signal SIGTERM \
    --network job-abcde --network-alias job-abcde-trainer-$k \
    -e PYTHONUNBUFFERED=1 \
    -e TINI_KILL_PROCESS_GROUP=1 \
    -e LITERAL='${app_id}' \
    -e A='a '"'"'b'"'"' '"$k" \
    -e EMPTY='' \
    -e XRUN_APP_ID=job-abcde \
    -e XRUN_HANDLE=docker://default/job-abcde \
    -e XRUN_ROLE=trainer \
    -e XRUN_REPLICA_ID=$k \
    -e XRUN_NUM_REPLICAS=2 \
    -e XRUN_ATTEMPT=0 \
    -e XRUN_RDZV_PORT=26918 \
    -e XRUN_ERROR_FILE=/tmp/xrun-error.json \
    -e TORCHELASTIC_ERROR_FILE=/tmp/xrun-error.json \
    -e XRUN_RANK0_HOST=job-abcde-trainer-0 \
    -e XRUN_RANK0_HOST_TRAINER=job-abcde-trainer-0 \
    -e XRUN_RANK0_HOST_OTHER=job-abcde-other-0 \
    -e TOKEN="${MY_TOKEN:?}" \
    -e KEY="$(cat '/etc/my key')" \
    -l xrun.dev/app-id=job-abcde \
    -l xrun.dev/handle=docker://default/job-abcde \
    -l xrun.dev/name=job \
    -l xrun.dev/version=0.1.0 \
    --entrypoint sh xrun-busybox:1 -c 'echo "'job-abcde' '"$k"' $1"' sh 'it'"'"'s '2 "$k")"
  k=$((k + 1))
done
# role other
k=0; while [ $k -lt 1 ]; do
  containers="$containers $(docker create \
    --name job-abcde-other-$k \
    --hostname job-abcde-other-$k \
    --init \
    --user nobody \
    --log-driver local \
    --log-opt max-size=1g \
    --log-opt max-file=2 \
    --log-opt compress=false \
    --stop-signal SIGTERM \
    --network job-abcde --network-alias job-abcde-other-$k \
    -e PYTHONUNBUFFERED=1 \
    -e TINI_KILL_PROCESS_GROUP=1 \
    -e LITERAL='${app_id}' \
    -e XRUN_APP_ID=job-abcde \
    -e XRUN_HANDLE=docker://default/job-abcde \
    -e XRUN_ROLE=other \
    -e XRUN_REPLICA_ID=$k \
    -e XRUN_NUM_REPLICAS=1 \
    -e XRUN_ATTEMPT=0 \
    -e XRUN_RDZV_PORT=25239 \
    -e XRUN_ERROR_FILE=/tmp/xrun-error.json \
    -e TORCHELASTIC_ERROR_FILE=/tmp/xrun-error.json \
    -e XRUN_RANK0_HOST=job-abcde-other-0 \
    -e XRUN_RANK0_HOST_TRAINER=job-abcde-trainer-0 \
    -e XRUN_RANK0_HOST_OTHER=job-abcde-other-0 \
    -l xrun.dev/app-id=job-abcde \
    -l xrun.dev/handle=docker://default/job-abcde \
    -l xrun.dev/name=job \
    -l xrun.dev/version=0.1.0 \
    --entrypoint sh xrun-busybox:1 -c 'exit 0')"
  k=$((k + 1))
done
docker start $containers
codes=$(docker wait $containers | sort -u)
test "$codes" = 0
