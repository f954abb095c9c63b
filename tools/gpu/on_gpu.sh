#!/usr/bin/env bash
# On the GPU machine, from the folder above .gpu.
# usage: .gpu/part1/on_gpu.sh BUDGET_SECONDS [arguments of measure.py run]
# Results go to $OUT (default: ./results); what must survive between calls, to $GPUKIT_STATE (default: a temporary folder).
# The first call unpacks, checks and measures; every later call goes on where the last one stopped.
# exit code: 0 measured, 4 nothing could be unpacked, 5 no mode of serving works here
set -uo pipefail
BEGAN=$(date +%s)
BUDGET=${1:-400}
shift || true
GPU=$(cd "$(dirname "$0")/.." && pwd)
OUT=${OUT:-$PWD/results}
STATE=${GPUKIT_STATE:-${TMPDIR:-/tmp}/gpukit}
PYTHON=${PYTHON:-python3}
EXTRA=${GPUKIT_EXTRA:-} # of measure.py, for both of its stages: --rehearse
LIBRARY=vllm/_C_stable_libtorch.abi3.so
mkdir -p "$OUT" "$STATE/site"
STATE=$(cd "$STATE" && pwd)
SITE=$STATE/site
OUT=$(cd "$OUT" && pwd)
exec > >(tee -a "$OUT/log.txt") 2>&1
TEE=$!
finish() { exec > /dev/null 2>&1; wait "$TEE"; } # or the last lines of the log come after the end, or never
trap finish EXIT

left() { echo $((BUDGET - ($(date +%s) - BEGAN))); }
at_least() { echo $(($1 > $2 ? $1 : $2)); } # as `timeout 0` would wait for ever
say() { echo "$(date +%T) [$(left) s left] $*"; }

pack_up() {
    [ "$(left)" -gt -30 ] || return
    tar -C "$STATE" -czf "$OUT/logs.tar.gz" logs 2> /dev/null
    [ -s "$STATE/events.jsonl" ] || return
    cp "$STATE/events.jsonl" "$OUT/events.jsonl"
    rm -rf "$STATE/folders"
    timeout 60 "$PYTHON" "$GPU/part1/assemble.py" "$STATE/events.jsonl" "$STATE/folders" &&
        tar -C "$STATE" -czf "$OUT/measurements.tar.gz" folders
}

say "machine"
timeout 15 nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader || echo "no nvidia-smi"
timeout 60 "$PYTHON" -c 'import sys, torch; print(sys.version.split()[0], torch.__version__, torch.cuda.is_available())'
nproc; df -h "$STATE" | tail -1; free -g | sed -n 2p

# what was measured in earlier calls, where the machine was lost in between: put its events.jsonl beside the parts
[ -s "$STATE/events.jsonl" ] || cat "$GPU"/part1/earlier*.jsonl > "$STATE/events.jsonl" 2> /dev/null
cp "$STATE/events.jsonl" "$OUT/events.jsonl" 2> /dev/null

unpack() { # ARCHIVE FOLDER, where it is there and was not unpacked yet
    local mark
    mark=$STATE/$(basename "$1").done
    [ -f "$1" ] && [ ! -f "$mark" ] || return 0
    "$PYTHON" - "$1" "$2" << 'PY' && touch "$mark"
import sys, tarfile
with tarfile.open(sys.argv[1], "r:xz") as archive:
    archive.extractall(sys.argv[2], filter="data")
PY
}
for part in part1 part2; do
    [ -f "$GPU/$part/manifest.sha256" ] || continue
    (cd "$GPU/$part" && sha256sum --quiet -c manifest.sha256) || echo "WARNING: $part is not what was packed"
done
say "unpack"
unpack "$GPU/part1/site.tar.xz" "$SITE" & one=$!
unpack "$GPU/part1/kernels.tar.xz" "$SITE" & two=$!
unpack "$GPU/part2/library.tar.xz" "$STATE/full" & three=$!
wait $one && wait $two || { say "unpacking failed"; exit 4; }
wait $three
[ -f "$STATE/full/$LIBRARY" ] && touch "$STATE/part2.available"
export PYTHONPATH=$SITE${PYTHONPATH:+:$PYTHONPATH}
unset PYTHONDONTWRITEBYTECODE
if [ ! -f "$STATE/compiled" ]; then
    timeout 60 "$PYTHON" -m compileall -q -j 0 "$SITE" > /dev/null 2>&1
    touch "$STATE/compiled"
fi
say "unpacked: $(du -sh "$SITE" | cut -f1)"

# shellcheck disable=SC2086 # EXTRA is several words
measure() { # SECONDS UNTIL KILLED, STAGE, BUDGET, ARGUMENTS...
    timeout -k 10 "$(at_least "$1" 20)" \
        "$PYTHON" "$GPU/part1/measure.py" "$2" --state "$STATE" --out "$OUT" --budget "$3" $EXTRA "${@:4}"
}
measure "$(left)" check "$(($(left) - 5))"
code=$?
if [ $code = 2 ]; then
    say "the slimmed library's kernels do not run: the untouched one takes its place"
    cp "$STATE/full/$LIBRARY" "$SITE/vllm/"
    rm -rf "$STATE/part2.available" "$STATE/full"
    measure "$(left)" check "$(($(left) - 5))"
    code=$?
fi
if [ $code != 0 ]; then
    say "no mode of serving works here (exit $code); see above and logs.tar.gz"
    pack_up
    exit 5
fi
say "measure"
measure "$(($(left) + 15))" run "$(($(left) - 15))" "$@"
code=$?
pack_up
say "done (exit $code)"
ls -la "$OUT"
exit $code
