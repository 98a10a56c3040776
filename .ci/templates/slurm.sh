#!/bin/sh
# A million seeds over 64 tasks that write to one shared folder: sbatch .ci/templates/slurm.sh
# A task that is killed or requeued goes on where it was, since its shard's ledger is in the folder. Then:
#   hogwash merge "$STORE"/1 "$STORE"/2 … "$STORE"/64
# Where tasks share no folder, a program built with `--features aws` can leave its results in a bucket: PUBLISH=s3://bucket/night
# adds `--publish s3://bucket/night/TASK`, and `hogwash merge` takes these URLs.
#SBATCH --job-name=hogwash
#SBATCH --array=1-64
#SBATCH --cpus-per-task=2
#SBATCH --requeue
set -eu
HOGWASH=${HOGWASH:-target/release/hogwash}
STORE=${STORE:-$PWD/store}
SEEDS=${SEEDS:-1000000}
shard=$SLURM_ARRAY_TASK_ID
exec "$HOGWASH" fuzz ${SCENARIOS:-} --seeds "$SEEDS" --shard "$shard/$SLURM_ARRAY_TASK_COUNT" --jobs "${SLURM_CPUS_PER_TASK:-1}" --store "$STORE/$shard" ${PUBLISH:+--publish "$PUBLISH/$shard"}
