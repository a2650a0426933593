#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The clients of PBS, LSF and Moab, by the name this is called by; jobs are processes, and all of it
# is in the directory $FAKE. $FAKE/behave may hold shell lines that make one misbehave.
me=$(basename "$0")
[ -f "$FAKE/behave" ] && . "$FAKE/behave"

submit() {
    id=$(($(ls "$FAKE/jobs" | wc -l) + 4711))
    mkdir "$FAKE/jobs/$id"
    cat > "$FAKE/jobs/$id/script"
    grep "^#$1" "$FAKE/jobs/$id/script" > "$FAKE/jobs/$id/directives"
    echo "$2" > "$FAKE/jobs/$id/state"
    [ "$2" = "$3" ] || return 0
    setsid sh "$FAKE/jobs/$id/script" > /dev/null 2>&1 < /dev/null &
    echo $! > "$FAKE/jobs/$id/pid"
}

cancel() {
    [ -d "$FAKE/jobs/$1" ] || { echo "$me: Unknown Job Id $1" >&2; exit 153; }
    [ -f "$FAKE/jobs/$1/pid" ] && kill -- "-$(cat "$FAKE/jobs/$1/pid")"
    echo "$2" > "$FAKE/jobs/$1/state"
}

each() {
    for job in "$FAKE"/jobs/*; do
        [ -d "$job" ] && "$1" "$(basename "$job")" "$(cat "$job/state")"
    done
}

pbs_line() { [ "$2" = F ] || printf '%s.a-long-serve nf-selftest   lab   00:00:00 %s workq\n' "$1" "$2"; }
lsf_line() { echo "$1 lab $2 normal login node1 nf-selftest Nov 24 18:00"; }
moab_line() { [ "$2" = gone ] || echo "$1 lab $2 1 00:59:59 Tue Nov 24 18:00:00"; }

case $me in
qsub) submit PBS "${STATE:-R}" R < "$1"; echo "$id.a-long-server-name.example" ;;
qstat)
    [ "$1" = --version ] && { echo 'pbs_version = 22.05.11'; exit; }
    echo 'Job id            Name             User              Time Use S Queue'
    echo '----------------  ---------------- ----------------  -------- - -----'
    each pbs_line ;;
qdel) cancel "${1%%.*}" F ;;
bsub)
    [ "$1" = -V ] && { echo 'IBM Spectrum LSF Standard 10.1.0.13' >&2; exit; }
    submit BSUB "${STATE:-RUN}" RUN
    echo "Job <$id> is submitted to default queue <normal>." ;;
bjobs)
    echo 'JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME'
    lsf_line "$2" "$(cat "$FAKE/jobs/$2/state")" ;;
bkill) cancel "$1" EXIT; echo "Job <$1> is being terminated" ;;
msub)
    [ "$1" = --version ] && { echo 'Version: moab client 9.1.3'; exit; }
    submit MSUB "${STATE:-Running}" Running < "$1"; printf '\n%s\n' "$id" ;;
showq)
    printf '\nactive jobs------------------------\nJOBID  USERNAME  STATE PROCS REMAINING STARTTIME\n\n'
    each moab_line ;;
canceljob) cancel "$1" gone; printf "\njob '%s' cancelled\n\n" "$1" ;;
esac
