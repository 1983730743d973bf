#!/usr/bin/env bash
# A Slurm on this machine (Debian, as root), to try real submissions on: scripts/local_slurm.sh [stop]
# Two nodes share the machine's cores, so that jobs over several nodes can be tried as well.
set -euo pipefail

if [ "${1:-start}" = stop ]; then
    pkill -x slurmd || true
    pkill -x slurmctld || true
    exit 0
fi

if ! command -v slurmctld >/dev/null; then
    [ "$(id -u)" = 0 ] || { echo "local_slurm.sh: needs root to install slurm-wlm and munge" >&2; exit 1; }
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
fi

# munge: how the daemons know each other
install -d -o munge -g munge -m 755 /run/munge
if [ ! -s /etc/munge/munge.key ]; then
    head -c 1024 /dev/urandom >/etc/munge/munge.key
fi
chown munge:munge /etc/munge/munge.key
chmod 400 /etc/munge/munge.key
pgrep -x munged >/dev/null || su -s /bin/sh munge -c /usr/sbin/munged

# one partition; jobs share the nodes' cores, and a job that is over time gets five seconds to end
host=$(hostname -s)
cores=$(nproc)
nodes=$((cores > 1 ? 2 : 1))
mkdir -p /etc/slurm /run/slurm /var/log/slurm /var/spool/slurmctld
for node in $(seq "$nodes"); do mkdir -p "/var/spool/slurmd-node$node"; done
cat >/etc/slurm/slurm.conf <<CONF
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd-%n
SlurmctldPidFile=/run/slurm/slurmctld.pid
SlurmdPidFile=/run/slurm/slurmd-%n.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd-%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=2,requeue_delay=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
KillWait=5
$(for node in $(seq "$nodes"); do
    echo "NodeName=node$node NodeHostname=$host NodeAddr=127.0.0.1 Port=$((17000 + node)) CPUs=$((cores / nodes)) State=UNKNOWN"
done)
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
pgrep -x slurmctld >/dev/null || slurmctld
for node in $(seq "$nodes"); do
    pgrep -f "slurmd -N node$node\$" >/dev/null || slurmd -N "node$node"
done

for _ in $(seq 60); do
    if sinfo --noheader --format=%T 2>/dev/null | grep -q -E "idle|mixed|allocated"; then
        sinfo
        exit 0
    fi
    sleep 0.5
done
echo "local_slurm.sh: the node did not come up; see /var/log/slurm" >&2
exit 1
