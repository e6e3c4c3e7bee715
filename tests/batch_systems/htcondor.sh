# HTCondor on one computer, Debian's minicondor, with 8 cores that it deals out soon.
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
apt-get install -y -qq --no-install-recommends minicondor
printf '%s\n' 'NUM_CPUS = 8' 'NEGOTIATOR_INTERVAL = 5' 'NEGOTIATOR_MIN_INTERVAL = 1' \
    'NEGOTIATOR_CYCLE_DELAY = 1' > /etc/condor/config.d/99-tests
condor_master
wait_for sh -c "condor_status -af TotalSlotCpus | grep 8"
