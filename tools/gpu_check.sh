#!/bin/bash
# Builds the operators on a machine with a CUDA card, tests them there, looks for races, and measures: in under nine
# minutes, also on a bare machine with PyTorch, a CUDA toolkit of its major version, a C++ compiler, ninja and pytest.
#
#     tools/gpu_check.sh [FOLDER]     writes build.log, tests.log, races.log, benchmark.log and benchmark.json there
#
# The networks' part of the benchmark and some tests need OpenMMLab. A machine without network gets it as wheels, with
# WHEELS naming their folder; `tools/gpu_check.sh --wheels` lists them (12 MB beside PyTorch and what it brings).
# PYTHON names the interpreter, TORCH_CUDA_ARCH_LIST the architectures (the card's own by default).
set -uo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --wheels ]; then
    echo addict==2.4.0 ftfy==6.3.1 importlib-metadata mat4py mmcv-lite==2.1.0 mmdet==3.3.0 mmengine==0.10.7 \
        mmpretrain==1.2.0 mmsegmentation==1.2.2 model-index ordered-set platformdirs prettytable pycocotools==2.0.11 \
        safetensors shapely termcolor terminaltables wcwidth yapf setuptools==80.10.2 lazy-importer
    exit
fi
out=${1:-gpu_check}
mkdir -p "$out"
python=${PYTHON:-python3}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"  # the package is imported from the checkout
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-4} PYTHONUNBUFFERED=1 DICENET_MM_CUDA=1 MAX_JOBS=${MAX_JOBS:-$(nproc)}
failed=

# step NAME SECONDS COMMAND...: runs it with a limit of time, its output here and in NAME.log.
step() {
    local name=$1 limit=$2 start=$SECONDS
    shift 2
    timeout -k 10 "$limit" "$@" 2>&1 | tee "$out/$name.log"
    local status=${PIPESTATUS[0]}
    echo "== $name: $([ "$status" = 0 ] && echo passed || echo "FAILED ($status)") after $((SECONDS - start)) s"
    [ "$status" = 0 ] || failed="$failed $name"
    return "$status"
}

if [ -n "${WHEELS:-}" ]; then
    "$python" -m pip install -q --no-index --no-deps --no-compile --upgrade --target "$out/site" "$WHEELS"/*.whl || exit
    export PYTHONPATH="$PYTHONPATH:$PWD/$out/site"
fi
"$python" - <<'EOF' || exit
import torch
assert torch.cuda.is_available(), 'PyTorch sees no CUDA card'
print(torch.cuda.get_device_name(), 'torch', torch.__version__, 'CUDA', torch.version.cuda)
EOF
if [ -z "${TORCH_CUDA_ARCH_LIST:-}" ]; then
    TORCH_CUDA_ARCH_LIST=$("$python" -c 'import torch; print("%d.%d" % torch.cuda.get_device_capability())')
    export TORCH_CUDA_ARCH_LIST
fi
step build 150 "$python" setup.py build_ext --inplace &&
    step loads 60 "$python" -c 'from dicenet_mm.ops import library; assert "cuda" in library.DEVICES, library.DEVICES' &&
    step tests 120 "$python" -m pytest -q -p no:cacheprovider -m cuda tests/ops/test_cuda.py
if [ -z "$failed" ]; then
    sanitizer=$(command -v compute-sanitizer || echo "${CUDA_HOME:-/usr/local/cuda}/bin/compute-sanitizer")
    if [ -x "$sanitizer" ]; then
        step races 90 "$sanitizer" --tool racecheck --error-exitcode 9 "$python" -m pytest -q -p no:cacheprovider \
            -m cuda tests/ops/test_cuda.py -k races
    else
        echo '== races: not looked for, since the toolkit has no compute-sanitizer'
    fi
fi
step benchmark 160 "$python" tools/benchmark.py --device cuda --limit 120 --out "$out/benchmark.json"
echo "== ${failed:+failed:$failed, }$SECONDS s in all"
[ -z "$failed" ]
