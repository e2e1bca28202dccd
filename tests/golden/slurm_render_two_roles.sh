#!/bin/sh
#SBATCH --job-name=train-x7f2q
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR2@40
#SBATCH --comment="a \"quoted\" \\ one"
#SBATCH --partition=gpu
#SBATCH --time=12:00:00
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=65536M
#SBATCH --gpus-per-node=8
#SBATCH hetjob
#SBATCH --job-name=train-x7f2q
#SBATCH --partition=gpu
#SBATCH --time=12:00:00
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
# slurm://default/train-x7f2q: what xrun asks of Slurm. By hand: sbatch THIS_FILE
_folder=/shared/jobs/train-x7f2q _grace=30 _lead=40 _requeues=100
_roles="0 1"
export XRUN_APP_ID=train-x7f2q XRUN_HANDLE=slurm://default/train-x7f2q
export PYTHONUNBUFFERED="${PYTHONUNBUFFERED-1}"

role0() { # 4 x trainer
  export XRUN_ROLE=trainer XRUN_NUM_REPLICAS=4 XRUN_RDZV_PORT=24479 XRUN_RANK0_HOST="$XRUN_RANK0_HOST_TRAINER"
  _retries=0
  replica env \
    LR=0.1 \
    NOTE='it'"'"'s $HOME, as it stands' \
    "$(command -v setsid)" python train.py --rank "$XRUN_REPLICA_ID" --out runs/train-x7f2q
}

role1() { # 1 x server
  export XRUN_ROLE=server XRUN_NUM_REPLICAS=1 XRUN_RDZV_PORT=28887 XRUN_RANK0_HOST="$XRUN_RANK0_HOST_SERVER"
  _retries=0
  replica setsid serve
}
secrets1() { export TOKEN="${HF_TOKEN:?}"; }

about() { # about ROLE: what the rules need to know of it
  case $1 in
  0) _replicas=4 _spare=0 _primary=yes _retries=2 _scope=all _group="0 1" ;;
  1) _replicas=1 _spare=0 _primary=no _retries=0 _scope= _group="" ;;
  esac
}
step() { # step ROLE: runs it
  case $1 in
  0) _place="$PWD" _where="--het-group=0 --nodes=4 --ntasks=4 --ntasks-per-node=1 --cpus-per-task=8" ;;
  1) secrets1; _place="$PWD" _where="--het-group=1 --nodes=1 --ntasks=1 --ntasks-per-node=1" ;;
  esac
  # a node that does not see the folder says so
  exec srun $_where $_overlap --kill-on-bad-exit=0 --wait=0 --export=ALL sh -c \
    '[ ! -e "$0" ] || exec sh "$0" "$@"; echo "end $1 $SLURM_PROCID 0 $(date +%s.%N) 1 unseen $SLURMD_NODENAME"' \
    "$_folder/job.sh" $1 "$_place"
}
prepare() {
  see_folder
  export XRUN_RANK0_HOST_TRAINER="$(address "$SLURM_JOB_NODELIST_HET_GROUP_0")"
  export XRUN_RANK0_HOST_SERVER="$(address "$SLURM_JOB_NODELIST_HET_GROUP_1")"
  [ ! -e "$_folder/secrets" ] || . "$_folder/secrets"
}
[ -e "$_folder/xrun.sh" ] || { mkdir -p "$_folder" && cp XRUN/xrun.sh "$_folder"; } || exit
. "$_folder/xrun.sh"
