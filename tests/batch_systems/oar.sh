# OAR on one computer: database, server, and a node of 4 cores that is reached over ssh.
# shellcheck shell=sh
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends postgresql oar-server oar-server-pgsql oar-user \
    oar-user-pgsql oar-node openssh-server
pg_ctlcluster "$(pg_lsclusters -h | cut -d ' ' -f 1)" main start
# No cpusets in a container, nothing that looks for dead nodes, passwords of this container alone.
sed -i 's/^DB_TYPE=.*/DB_TYPE="Pg"/; s/^DB_PORT=.*/DB_PORT="5432"/
    s/^DB_HOSTNAME=.*/DB_HOSTNAME="localhost"/; s/^SERVER_HOSTNAME=.*/SERVER_HOSTNAME="localhost"/
    s/^DB_BASE_PASSWD=.*/DB_BASE_PASSWD="one"/; s/^DB_BASE_PASSWD_RO=.*/DB_BASE_PASSWD_RO="two"/
    s/^JOB_RESOURCE_MANAGER_PROPERTY_DB_FIELD/#&/; s/^DETACH_JOB_FROM_SERVER/#&/
    s/^FINAUD_FREQUENCY=.*/FINAUD_FREQUENCY="0"/
    s|^PINGCHECKER_SENTINELLE_SCRIPT_COMMAND=.*|PINGCHECKER_SENTINELLE_SCRIPT_COMMAND="/bin/true"|
    ' /etc/oar/oar.conf
oar-database --create --db-is-local
[ -f /etc/oar/oar_ssh_host_rsa_key ] || ssh-keygen -q -t rsa -N '' -f /etc/oar/oar_ssh_host_rsa_key
mkdir -p /run/sshd
/usr/sbin/sshd -f /etc/oar/sshd_config
/etc/init.d/oar-server start
host=$(hostname)
su oar -s /bin/sh -c "ssh -p 6667 -o StrictHostKeyChecking=no $host true"
for property in core memcore; do oarproperty -a $property; done
for core in 1 2 3 4; do oarnodesetting -a -h "$host" -p core=$core -p memcore=1024; done
