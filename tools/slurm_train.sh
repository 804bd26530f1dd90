#!/usr/bin/env bash
# Train in a job of Slurm, one torchrun on each machine (docs/distributed.md):
#   sbatch --nodes=2 --gpus-per-node=8 --signal=B:TERM@120 tools/slurm_train.sh CONFIG PROCESSES [OPTIONS OF train.py]
#SBATCH --ntasks-per-node=1
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,3s/^# //p' "$0"; exit 2; }
config=$1 processes=$2
shift 2
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun torchrun --nnodes="$SLURM_JOB_NUM_NODES" --rdzv-id="$SLURM_JOB_ID" --rdzv-backend=c10d \
    --rdzv-endpoint="$first:${MASTER_PORT:-29500}" --nproc-per-node="$processes" \
    tools/train.py "$config" --launcher pytorch "$@" &
# Slurm's warning before the end of the job goes to this shell: hand it on, so that a checkpoint is saved.
trap 'kill -TERM $!' TERM HUP
wait $! || { code=$?; wait $! 2>/dev/null || true; exit $code; }
