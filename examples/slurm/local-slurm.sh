#!/bin/sh
# A Slurm cluster of this one machine, for trying sensitivity.sbatch without a cluster. Debian: apt-get install slurm-wlm munge. Needs root.
#   local-slurm.sh start DIR    starts munged, slurmctld and slurmd with all their files in DIR, and prints the SLURM_CONF to export
#   local-slurm.sh stop DIR     ends them
set -eu

usage() {
    echo "usage: local-slurm.sh start|stop DIR" >&2
    exit 2
}
[ $# -eq 2 ] || usage
action=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)

stop() {
    for daemon in slurmd slurmctld munged; do
        [ -f "$dir/$daemon.pid" ] || continue
        pid=$(cat "$dir/$daemon.pid")
        kill "$pid" 2>/dev/null || true
        # A daemon that is asked to end finishes what it writes.
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.2
        done
    done
}

start() {
    host=$(hostname -s)
    # Two clusters of one machine do not meet.
    port=$((20000 + $$ % 20000 * 2))
    # munge wants a socket that everybody can reach and a key that nobody else can read.
    mkdir -p "$dir/state" "$dir/spool" "$dir/munge"
    chmod 0755 "$dir" "$dir/munge"
    (umask 077 && head -c 128 /dev/urandom > "$dir/munge.key")
    munged --force --key-file="$dir/munge.key" --socket="$dir/munge/socket" --pid-file="$dir/munged.pid" --log-file="$dir/munged.log" \
        --seed-file="$dir/munge.seed"
    cat > "$dir/slurm.conf" <<CONF
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
AuthInfo=socket=$dir/munge/socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=local Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
    slurmctld -f "$dir/slurm.conf"
    slurmd -f "$dir/slurm.conf"
    export SLURM_CONF="$dir/slurm.conf"
    for _ in $(seq 50); do
        if sinfo -h -o %T 2>/dev/null | grep -q -x -e idle -e mixed; then
            echo "SLURM_CONF=$dir/slurm.conf"
            return
        fi
        sleep 0.2
    done
    echo "slurm does not come up; see the logs in $dir" >&2
    stop
    exit 1
}

case $action in
start) start ;;
stop) stop ;;
*) usage ;;
esac
