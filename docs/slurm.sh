#!/bin/bash
# Trains one run on all machines of a SLURM job, and goes on where it stopped whenever
# the job is queued again, by this script or by SLURM.
#
#     sbatch slurm.sh config.toml NAME [--SECTION.KEY VALUE ...]
#
# Adapt the lines that begin with #SBATCH. The folder of work (workdir) and the raw text
# have to lie where all machines see them.
#
#SBATCH --job-name=slangmod
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --signal=USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slangmod-%j.log

set -eu
config=${1:?first say which TOML file}
name=${2:?then say what the run is called}
shift 2

# What is known of the run, wherever --workdir says it is; nothing before it began.
known() {
    local where=() last=
    for word in "$@"; do
        case "$last:$word" in
            --workdir:*) where=(--workdir "$word") ;;
            *:--workdir=*) where=("$word") ;;
        esac
        last=$word
    done
    slangmod summarize "$name" --toml "$config" ${where[@]+"${where[@]}"} 2> /dev/null ||
        true
}

# srun does not take this over from sbatch by itself.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

# All machines share the files; what is there already is not made again.
srun --kill-on-bad-exit=1 slangmod clean tokenize encode --toml "$config" "$@"

# SLURM sends SIGUSR1 five minutes before the end; torchrun passes on what it is told to.
before=$(known "$@")
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
code=0
srun --kill-on-bad-exit=1 torchrun \
    --nnodes="$SLURM_JOB_NUM_NODES" \
    --nproc-per-node="${SLURM_GPUS_ON_NODE:-1}" \
    --rdzv-backend=c10d \
    --rdzv-endpoint="$first:$((20000 + SLURM_JOB_ID % 20000))" \
    --rdzv-id="$SLURM_JOB_ID-${SLURM_RESTART_COUNT:-0}" \
    --max-restarts=3 \
    --signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1 \
    -m slangmod train --continue --toml "$config" --name "$name" "$@" || code=$?

# torchrun ends with 1 where its processes end with 75, so the run itself is asked. What
# it said before is of no account: it may have failed without a word.
if [ "$code" -ne 0 ]; then
    after=$(known "$@")
    if [ "$after" != "$before" ] && grep -q '"reason": "stopped"' <<< "$after"; then
        code=75
    fi
fi
if [ "$code" -eq 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
