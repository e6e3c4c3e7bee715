# Son of Grid Engine on one computer: master, execution daemon, a queue of 8 slots.
# shellcheck shell=sh
set -e
export DEBIAN_FRONTEND=noninteractive
wait_for() {
    tries=0
    until "$@" > /dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 120 ] || { echo "in vain: $*"; exit 1; }
        sleep 0.5
    done
}
apt-get update -qq
apt-get install -y -qq --no-install-recommends gridengine-master gridengine-exec gridengine-client
host=$(hostname)
/etc/init.d/gridengine-master start
wait_for qconf -sh
cd "$(mktemp -d)"
qconf -as "$host"
# shellcheck disable=SC2094  # $host is the host's name, not the file `host` that is written
for key in hostname:$host load_scaling complex_values user_lists xuser_lists projects xprojects \
        usage_scaling report_variables; do
    value=${key#*:}
    [ "$value" = "$key" ] && value=NONE
    echo "${key%%:*} $value"
done > host
qconf -Ae host
# shellcheck disable=SC2016  # $pe_slots is a word of Grid Engine's
printf '%s\n' 'pe_name smp' 'slots 999' 'user_lists NONE' 'xuser_lists NONE' \
    'start_proc_args NONE' 'stop_proc_args NONE' 'allocation_rule $pe_slots' \
    'control_slaves FALSE' 'job_is_first_task TRUE' 'urgency_slots min' \
    'accounting_summary FALSE' 'qsort_args NONE' > pe
qconf -Ap pe
qconf -sq | sed "s/^qname .*/qname all.q/; s/^hostlist .*/hostlist $host/; s/^slots .*/slots 8/
    s/^pe_list .*/pe_list smp/; s/^shell .*/shell \/bin\/bash/
    s/^shell_start_mode .*/shell_start_mode unix_behavior/
    s/^load_thresholds .*/load_thresholds NONE/" > queue
qconf -Aq queue
# It looks at its line of jobs every 15 s otherwise.
qconf -ssconf | sed 's/^schedule_interval .*/schedule_interval 0:0:2/' > scheduling
qconf -Msconf scheduling
/etc/init.d/gridengine-exec start
qconf -au alice users
wait_for sh -c "qhost | grep '^$host .*[0-9]G'"
