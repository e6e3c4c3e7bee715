# shellcheck shell=sh disable=SC2012  # of / alone
# Print the name of a new private folder in the folder $1, by default $TMPDIR or /tmp. $2 is the key,
# for messages; the others are tests of find for trusted groups. As in trust.py, only this user and
# root may be able to rename a folder on the way there; HTCondor's scratch folders are in one of the
# account that its daemons run as, which could change the job anyway. Lines may be joined with spaces.
umask 077; unset CDPATH;
here=${1:-${TMPDIR:-/tmp}}; key=$2;
[ -n "$1" ] || [ -w "$here" ] || here=/tmp;
shift 2;
fail() { echo "$key: $here $1 on $(uname -n)$2" >&2; exit 1; };
folder=$(mkdir -p "$here" && cd "$here" && [ -w . ] && pwd -P) 2> /dev/null ||
    fail "is not writable";
owner() { ls -nd "$1" | { read -r _ _ id _; echo "$id"; }; };
root=$(owner /); batch=$root;
[ ! -d "$_CONDOR_SCRATCH_DIR" ] || batch=$(owner "$_CONDOR_SCRATCH_DIR/..");
set -- \( -perm -1000 -o ! -perm -002 \( ! -perm -020 "$@" \) \);
set -- \( -user 0 -o -user "$root" -o -user "$batch" -o -user "$(id -u)" \) "$@";
way=$folder;
while
    [ -n "$(find "$way" -prune "$@")" ] ||
        fail "is not safe" ", since another user could replace it: $(ls -ld "$way")";
    [ "$way" != / ];
do
    way=${way%/*}; way=${way:-/};
done;
mktemp -d "$folder/dask-scratch-space-XXXXXX" 2> /dev/null || fail "is not writable";
