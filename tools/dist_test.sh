#!/usr/bin/env bash
# Test with several processes of this machine, or of several machines (docs/distributed.md):
#   tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [OPTIONS OF test.py]
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,3s/^# //p' "$0"; exit 2; }
config=$1 checkpoint=$2 processes=$3
shift 3
exec torchrun --nnodes="${NNODES:-1}" --node-rank="${NODE_RANK:-0}" --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${MASTER_PORT:-29500}" --nproc-per-node="$processes" \
    "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
