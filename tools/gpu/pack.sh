#!/usr/bin/env bash
# Make FOLDER/part1 (vLLM for Hopper, and what it needs beside PyTorch) and FOLDER/part2 (its main library untouched, a
# fallback) from PyPI's wheels.
# usage: pack.sh [FOLDER, default .gpu]    needs: python3 with pip, xz, readelf, and the network
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
OUT=${1:-.gpu}
PYTHON=${PYTHON:-python3}
VLLM=0.26.0 # the newest that pins torch 2.11.0
TORCH=2.11.0
LIMIT=$((60 * 1024 * 1024))
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
WORK=${GPUKIT_CACHE:-$OUT/cache}
mkdir -p "$WORK/wheels"

platforms=(--platform linux_x86_64 --platform manylinux1_x86_64 --platform manylinux2014_x86_64)
for minor in $(seq 5 39); do platforms+=(--platform "manylinux_2_${minor}_x86_64"); done
get() { # wheels for the GPU machine, whatever Python runs here
    "$PYTHON" -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --implementation cp \
        --python-version 3.12 "${platforms[@]}" -d "$WORK/wheels" "$@" 2> "$WORK/pip.log" ||
        { cat "$WORK/pip.log" >&2; exit 1; }
}

make_archives() { # FOLDER
    local vllm=$WORK/vllm site=$WORK/site kernels=$WORK/kernels
    rm -rf "$1" "$vllm" "$site" "$kernels"
    mkdir -p "$1" "$vllm" "$site/vllm" "$kernels/vllm/vllm_flash_attn"
    echo "wheels: 0.3 GB"
    find "$WORK/wheels" -name "*.whl" ! -name "vllm-$VLLM-*" -delete # of an earlier list of requirements
    compgen -G "$WORK/wheels/vllm-$VLLM-*.whl" > /dev/null || get "vllm==$VLLM"
    get -r "$HERE/requirements.txt"
    "$PYTHON" -m zipfile -e "$WORK"/wheels/vllm-$VLLM-*.whl "$vllm"
    grep -qx "Requires-Dist: torch==$TORCH" "$vllm/vllm-$VLLM.dist-info/METADATA" ||
        { echo "vLLM $VLLM does not pin torch $TORCH" >&2; exit 1; }
    for wheel in "$WORK"/wheels/*.whl; do
        case $wheel in */vllm-*) ;; *) "$PYTHON" -m zipfile -e "$wheel" "$site" ;; esac
    done

    echo "slim"
    local main=vllm/_C_stable_libtorch.abi3.so attention=vllm/vllm_flash_attn/_vllm_fa3_C.abi3.so
    "$PYTHON" "$HERE/slim.py" "$vllm/$main" "$kernels/$main"
    "$PYTHON" "$HERE/slim.py" "$vllm/$attention" "$kernels/$attention"
    echo "they need: $(readelf -d "$kernels/$main" "$kernels/$attention" |
        sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | sort -u | tr '\n' ' ')"

    # not for a dense Llama or Qwen in bf16 on Hopper
    (cd "$vllm/vllm" && rm -rf vllm-rs _moe_C_stable_libtorch.abi3.so _flashmla*.so _qutlass_C.abi3.so \
        vllm_flash_attn/_vllm_fa2_C.abi3.so vllm_flash_attn/cute third_party/deep_gemm third_party/fmha_sm100 \
        third_party/tml_fa4 entrypoints/serve/instrumentator/static)
    find "$vllm/vllm" \( -name '*.jpg' -o -name '*.png' -o -name '*.hpp' -o -name '*.cuh' \) -delete
    rm -rf "$site"/xgrammar/*.a "$site"/*/tests
    find "$site" "$vllm" -name __pycache__ -prune -exec rm -rf {} +
    cp -r "$vllm/vllm/." "$site/vllm/"
    cp -r "$vllm/vllm-$VLLM.dist-info" "$site/"
    rm -f "$site/$main" "$site/$attention"

    echo "compress"
    archive "$1/site.tar.xz" "$site" .
    archive "$1/kernels.tar.xz" "$kernels" .
    archive "$1/library.tar.xz" "$vllm" "$main"
    rm -rf "$vllm" "$site" "$kernels"
    touch "$1/complete"
}
archive() { # FILE FOLDER MEMBER...
    tar -C "$2" --sort=name --owner=0 --group=0 --mtime=@0 -cf - "${@:3}" | xz -T0 -6 > "$1"
}

KEY=$(cat "$HERE/pack.sh" "$HERE/slim.py" "$HERE/requirements.txt" | sha256sum | cut -c1-12)
MADE=$WORK/archives-$KEY # made once; the scripts are copied anew each time
[ -f "$MADE/complete" ] || make_archives "$MADE"

rm -rf "$OUT/part1" "$OUT/part2"
mkdir -p "$OUT/part1" "$OUT/part2"
cp "$MADE/site.tar.xz" "$MADE/kernels.tar.xz" "$OUT/part1/"
cp "$MADE/library.tar.xz" "$OUT/part2/"
cp -p "$HERE/on_gpu.sh" "$HERE"/*.py "$OUT/part1/"
rm "$OUT/part1/slim.py" # for packing only
for part in part1 part2; do
    (cd "$OUT/$part" && sha256sum -- * > manifest.sha256)
    size=$(du -sb "$OUT/$part" | cut -f1)
    printf '%s: %s.%02d MiB\n' $part $((size / 1048576)) $((size % 1048576 * 100 / 1048576))
    [ "$size" -lt $LIMIT ] || { echo "$part is larger than 60 MiB" >&2; exit 1; }
done
