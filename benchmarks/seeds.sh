#!/usr/bin/env bash
# Runs configs over seeds, PROCESSES at a time: benchmarks/seeds.sh "0 1 2" configs/lfm_frozen.yaml [...] [-- ialp options]
# Finished runs are reused, so that an interrupted call goes on where it stopped.
set -euo pipefail
seeds=$1
shift
configs=()
while [ $# -gt 0 ] && [ "$1" != "--" ]; do
    configs+=("$1")
    shift
done
[ $# -gt 0 ] && shift
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
for seed in $seeds; do
    for config in "${configs[@]}"; do
        printf '%s\0' "ialp fit --config $config --seed_everything $seed $*"
    done
done | xargs -0 -P "${PROCESSES:-2}" -I{} bash -c 'set -o pipefail; {} 2>&1 | tail -n 3 || { echo "FAILED: {}"; exit 1; }'
