# What a job's script does, the same for every job; it says the rest in variables and functions. POSIX shell.
#
# The script runs once as the batch step, which supervises, and again as each task of a step, which runs a replica.
# Names of variables begin with "_": whatever else there is in the environment is the user's.
#
# The two talk through srun. What a replica says on standard output comes out of the supervisor's pipe; a replica is to
# stop when its standard input ends. Neither needs slurmctld. If what carries that was killed, slurmstepd or the shell
# that runs the replica, its end is put into the folder "lost", into which the supervisor looks every few seconds.
#
# A node whose slurmd is gone is lost to Slurm, which runs the job again elsewhere; what still runs there sees that by the
# link "run", which names the latest run, and ends.

# so that nothing of these names in the launcher's environment has a say
unset _again _code _dead _exit _finder _group _killer _over _overlap _pid _place _reader _run _scope _seen _spare _state
unset _stop _stopped _trapped _up _verdict _watcher _where
_this=${SLURM_RESTART_COUNT:-0}
_is_old='_last=$(readlink "$_folder/run"); [ "${_last:-$_this}" != "$_this" ]'

replica() { # replica PROGRAM...: runs it here, and says on standard output how it goes
  _log=$_folder/$XRUN_ROLE.$XRUN_REPLICA_ID
  tell() { echo "$1 $_role $XRUN_REPLICA_ID $XRUN_ATTEMPT $(date +%s.%N) $2"; } 2>/dev/null
  _lose='echo "lost $_role $XRUN_REPLICA_ID $XRUN_ATTEMPT $(date +%s.%N) $_code $_word" >"$_lost.new" && mv "$_lost.new" "$_lost"'
  _lost=$_folder/lost/$_role.$XRUN_REPLICA_ID
  # times and sizes of what was written, if they have changed
  _note='_now=$(LC_ALL=C stat -c "%.9Y %s" "$_log.out" "$_log.err"); [ "$_now" = "$_seen" ] || echo $_now >>"$_log.log"; _seen=$_now'
  aside() { _folder=$_folder _log=$_log _role=$_role _lost=$_lost _this=$_this setsid sh -c "trap '' TERM HUP USR1 USR2; $1" >/dev/null 2>&1 </dev/null 4<&- & }
  end() { kill -KILL "-$1" || kill -KILL "$1"; } 2>/dev/null
  stop() { # stop [SIGNAL]: what ignores it is killed in the end
    [ -z "$_stopped" ] || return 0
    _stopped=stopped
    [ -z "$1" ] || kill "-$1" "-$_pid" || kill "-$1" "$_pid"
    aside "sleep $_grace; kill -KILL -$_pid"
    _killer=$!
  } 2>/dev/null
  if ! cd "$_place" 2>/dev/null; then
    echo "$SLURMD_NODENAME does not see $_place; submit from a folder that all nodes see, or with --workspace" >>"$_log.err"
    XRUN_ATTEMPT=0
    tell end 1
    exit 1
  fi
  exec 4<&0 </dev/null
  trap '_trapped=1; stop' TERM # from Slurm, which sends it to the program too
  trap '_trapped=1; stop TERM' HUP
  trap '_trapped=1' USR1 USR2
  trap : PIPE # slurmstepd is gone
  { trap - TERM HUP; read -r _ <&4; kill -HUP $$; } >/dev/null 2>&1 &
  _reader=$!
  while [ -z "$_stopped" ]; do
    XRUN_ATTEMPT=$(grep -sc ^start "$_log.log")
    export XRUN_ATTEMPT="${XRUN_ATTEMPT:-0}"
    export XRUN_ERROR_FILE="$_log.error-$XRUN_ATTEMPT.json"
    export TORCHELASTIC_ERROR_FILE="$XRUN_ERROR_FILE"
    echo start >>"$_log.log" || exit
    tell start "$SLURMD_NODENAME"
    "$@" >>"$_log.out" 2>>"$_log.err" 4<&- &
    _pid=$!
    [ -z "$_stopped" ] || kill -KILL $_pid
    _lives="kill -0 $$ || { kill -KILL -$_pid; _code=137 _word=lost; $_lose; exit; }"
    _old="if $_is_old; then kill -HUP $$; kill -KILL -$_pid; exit; fi"
    aside "_n=0 _pause=0.2; while sleep \$_pause; do $_note; $_lives; $_old; _n=\$((_n + 1)); [ \$_n -lt 50 ] || _pause=1; done"
    _watcher=$!
    wait $_pid
    _code=$?
    while [ -n "$_trapped" ] && [ $_code -gt 128 ]; do # a signal to us may have ended the wait
      _trapped=
      wait $_pid
      _again=$?
      [ $_again = 127 ] || _code=$_again
    done
    end $_pid
    end $_watcher
    eval "$_note"
    if [ $_code != 0 ] && [ -z "$_stopped" ] && [ "$(grep -c ^failed "$_log.log")" -lt $_retries ]; then
      echo failed >>"$_log.log" || exit
      tell end "$_code again"
    else
      tell end "$_code $_stopped" || { _word=${_stopped:+lost}; eval "$_lose"; }
      break
    fi
  done
  trap '' TERM HUP
  [ -z "$_killer" ] || end $_killer
  kill $_reader 2>/dev/null
  exit "${_code:-143}"
}

address() { # of the first of some nodes: its name, or where Slurm reaches it if nobody knows the name
  _node=$(scontrol show hostnames "$1" | head -n 1)
  getent hosts "$_node" >/dev/null && echo "$_node" && return
  until scontrol show node "$_node" | sed -n 's/.*NodeAddr=\([^ ]*\).*/\1/p' | grep .; do sleep 1; done
}
say() { echo "$*" >>"$_folder/job.log"; }
has() { case " $2 " in *" $1 "*) ;; *) false ;; esac; }
less() { for _i in $2; do [ "$_i" = "$1" ] || echo "$_i"; done; }

launch() { # launch ROLE...: a step each, which stops when its standard input ends
  _run=$((_run + 1))
  for _i; do
    _up="$_up $_i" _over=$(less $_i "$_over") _stop=$(less $_i "$_stop") _dead=$(less $_i "$_dead")
    eval "_failed$_i=0 _ended$_i=0 _hold$_i= _run$_i=$_run"
    # what holds its standard input open ends with us, however we do
    sh -c "echo hold $_i \$\$ >&3; exec tail --pid=$$ -f /dev/null" | {
      step "$_i" <&4 4<&- &
      echo "step $_i $!"
      wait $!
      echo "done $_i $? $_run"
    } 4<&0 >&3 &
    eval "_launch$_i=$!"
  done
}
look() { # for what could not be said to us
  while sleep 3 && kill -0 $$; do
    echo look >&3
    if eval "$_is_old"; then echo old >&3 && return; fi
    [ ! -e "$_folder/cancelled" ] || echo cancel >&3
    for _i in "$_folder"/lost/*[0-9]; do
      [ ! -e "$_i" ] || { cat "$_i" >&3 && rm "$_i"; }
    done
  done
}

hang_up() { # hang_up ROLE...
  for _i; do
    has $_i "$_stop" || { _stop="$_stop $_i"; eval "kill \$_hold$_i"; }
  done
} 2>/dev/null

finish() { # finish STATE WHY...: the first one counts
  _verdict=${_verdict:-$*} _again=
  hang_up $_up
}

state() { squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T | head -n 1; }
requeue() {
  for _i in $(seq 200); do # a controller that is away is waited for
    scontrol requeue "$SLURM_JOB_ID" && return
    [ -z "$(state)" ] || return
    sleep 3
  done
  false
}
killed() { # by Slurm, which knows why and what comes then
  say "killed $(date +%s.%N)"
  _verdict=${_verdict:-KILLED} _again=
}

fail() { # fail ROLE REPLICA CODE: what its policy says
  about $1
  if [ -n "$_scope" ] && [ "$(grep -c "^retry $_scope " "$_folder/job.log")" -lt $_retries ]; then
    say "retry $_scope $1 $2 $(date +%s.%N)" || exit
    _again="$_again $_group"
    hang_up $_group
  elif [ $_primary = yes ]; then
    eval "_failed$1=\$((_failed$1 + 1)) _i=\$_failed$1"
    [ $_i -le $_spare ] || { _exit=$3; finish FAILED $1 $2 $3; }
  fi
}

forget() { # forget ROLE: srun would wait for ever for a replica of which it can't hear
  about $1
  eval "_i=\$_ended$1"
  [ $_i -lt $_replicas ] || ! has $1 "$_dead" || eval "kill \$_step$1"
} 2>/dev/null

ended() { # ended ROLE CODE: a step has
  _up=$(less $1 "$_up")
  eval "kill \$_hold$1; _i=\$_ended$1" 2>/dev/null
  about $1
  # a replica that didn't say how it ended was lost
  if [ -z "$_verdict" ] && ! has $1 "$_stop $_again" && [ $_i -lt $_replicas ]; then
    _state=$(state)
    case $_state in
    '' | RUNNING) fail $1 - $2 ;;
    *) # with its node, after which Slurm runs the job again if it may
      killed
      hang_up $_up
      ;;
    esac
  fi
  _stop=$(less $1 "$_stop")
  [ -z "$_verdict" ] || return 0
  if [ -n "$_again" ]; then
    for _i in $_again; do ! has $_i "$_up" || return 0; done
    _i=$(for _i in $_again; do echo $_i; done | sort -u) _again=
    launch $_i
    return 0
  fi
  _over="$_over $1"
  for _i in $_roles; do
    about $_i
    [ $_primary = no ] || has $_i "$_over" || return 0
  done
  finish SUCCEEDED
}

after() { # after SECONDS WORD: says it then, if we are still there
  { timeout --foreground $1 tail --pid=$$ -f /dev/null; [ $? != 124 ] || echo $2; } >&3 &
}

time_is_up() { # Slurm's signal before the time limit, which may come a good deal earlier than asked for
  _left=$(SLURM_TIME_FORMAT=%s squeue --noheader --jobs="$SLURM_JOB_ID" --format=%e | head -n 1)
  case $_left in
  '' | *[!0-9]*) _left=0 ;;
  *) _left=$((_left - $(date +%s) - _lead)) ;;
  esac
  if [ $_left -gt 0 ]; then
    after $_left limit
  elif [ "$_this" -lt $_requeues ]; then
    finish REQUEUE
  else
    finish FAILED limit
  fi
}

is_alone() { # whether the batch step's slurmstepd was killed, so that Slurm won't hear of our end
  _i=$(sed -n 's/^PPid:[^0-9]*//p' "/proc/$$/status")
  [ "${_i:-$PPID}" != "$PPID" ]
}

see_folder() { # see_folder [FOLDER]: slurmd goes to /tmp where that of the submission, or this one, is missing
  if [ "$PWD" != /tmp ] || (cd "${1-$SLURM_SUBMIT_DIR}") 2>/dev/null; then return; fi
  echo "${SLURMD_NODENAME-the node} does not see ${1-$SLURM_SUBMIT_DIR}; submit from a folder that all nodes see, or with --workspace" >&2
  exit 1
}

supervise() {
  mkdir -p "$_folder" && ln -s "$SLURM_JOB_ID" "$_folder/job" 2>/dev/null
  [ "$(readlink "$_folder/job")" = "$SLURM_JOB_ID" ] || { echo "$_folder belongs to another job"; exit 1; }
  [ -e "$_folder/job.sh" ] || cp "$0" "$_folder/job.sh"
  if [ "$(readlink "$_folder/run")" = "$_this" ]; then # a controller that was killed forgets that this run has ended
    case $(tail -n 1 "$_folder/job.log") in
    verdict*SUCCEEDED) exit 0 ;;
    verdict*) exit 1 ;;
    esac
  fi
  ln -sfn "$_this" "$_folder/run" && say "run $SLURM_JOB_ID $_this $(date +%s.%N) $SLURM_JOB_NODELIST" || exit
  _pipe=$(mktemp -u) && mkfifo -m 600 "$_pipe" && exec 3<>"$_pipe" && rm "$_pipe" || exit
  trap 'echo killed >&3' TERM
  trap 'echo cancel >&3' USR1
  trap 'echo limit >&3' USR2
  prepare
  rm -rf "$_folder/lost" && mkdir "$_folder/lost" || exit
  look 2>/dev/null &
  _finder=$!
  if [ -e "$_folder/cancelled" ]; then finish CANCELLED; else launch $_roles; fi
  while [ -n "$_up" ]; do
    read -r _what _role _k _attempt _time _code _word <&3 || continue
    case $_what in
    start)
      say "start $_role $_k $_attempt $_time $_code"
      eval "_at${_role}_$_k=\$_run$_role.$_attempt"
      ;;
    end | lost)
      eval "_i=\$_at${_role}_$_k _at${_role}_$_k= _now=\$_run$_role"
      if [ $_what = lost ]; then
        [ "$_i" = "$_now.$_attempt" ] || continue # it is known, or of a step before
        _dead="$_dead $_role" _overlap='--overlap --mem=0' # to Slurm, what it had is in use
      fi
      say "end $_role $_k $_attempt $_time $_code $_word"
      [ "$_word" = again ] || eval "_ended$_role=\$((_ended$_role + 1))"
      if [ "$_word" = stopped ]; then
        has $_role "$_stop" || finish STOPPED # by Slurm
      elif [ "$_code$_word" != 0 ] && [ "$_word" != again ] && [ -z "$_verdict" ]; then
        has $_role "$_again" || fail $_role $_k $_code
      fi
      forget $_role
      ;;
    step) eval "_step$_role=$_k" ;;
    done) eval "[ $_attempt != \$_run$_role ]" || ! has $_role "$_up" || ended $_role $_k ;;
    look) # who would say that a step is done may have been killed
      : $(:) # takes note of children that are gone
      for _role in $_up; do
        eval "kill -0 \$_launch$_role" 2>/dev/null && continue
        eval "kill \$_step$_role" 2>/dev/null
        ended $_role 137
      done
      ;;
    hold)
      eval "_hold$_role=$_k"
      has $_role "$_up" && ! has $_role "$_stop" || kill $_k
      ;;
    cancel) finish CANCELLED ;;
    overtime) finish FAILED overtime ;;
    limit) time_is_up ;;
    killed) killed ;;
    old)
      say() { :; }
      _verdict=
      killed
      hang_up $_up
      ;;
    esac
  done
  trap - TERM
  kill $_finder 2>/dev/null
  case $_verdict in
  KILLED)
    # of a heterogeneous job Slurm puts back only the component that it has lost, which then waits for the others
    [ "$_state" != PENDING ] || [ -z "$SLURM_HET_SIZE" ] || scontrol requeue "$SLURM_JOB_ID"
    exit 143
    ;;
  REQUEUE | STOPPED)
    if [ $_verdict = STOPPED ] && [ "$(state)" != RUNNING ]; then # what Slurm's own commands end isn't to run again
      killed
      exit 143
    fi
    say "requeue $(date +%s.%N)" && requeue && sleep 600
    [ $_verdict = REQUEUE ] || exit 143 # Slurm knows why
    _verdict="FAILED limit"
    ;;
  esac
  say "verdict $(date +%s.%N) $_verdict"
  rm -f "$_folder/secrets"
  if is_alone; then scancel "$SLURM_JOB_ID"; elif [ "$_verdict" = CANCELLED ]; then scancel "$SLURM_JOB_ID" && sleep 600; fi
  [ "$_verdict" = SUCCEEDED ] || exit "${_exit:-1}"
}

_role=${1-}
case $_role in
'') supervise ;;
*)
  _place=$2
  export XRUN_REPLICA_ID="$SLURM_PROCID"
  "role$_role"
  ;;
esac
