# shellcheck shell=sh
# Print the Python of the packed environment $2, unpacked on this node's disk. $1 is the job's
# scratch folder, $3 the Python to use if that fails, $4 the key, for messages. Jobs of one user
# share the copy, in a private folder beside the scratch folder, since make_scratch.sh has checked
# that others can not replace what is there. A copy without the file `complete` is never used, and
# none after a week, since nodes remove old files from /tmp. Lines may be joined with spaces.
umask 077; unset CDPATH;
scratch=$1; archive=$2; python=$3; key=$4; new=; me=$(id -u);
say() { echo "$key: on $(uname -n), $1" >&2; };
give_up() {
    [ -z "$new" ] || rm -rf "$new";
    say "$1; workers start from $python instead"; echo "$python"; exit;
};
free() { df -Pk "$home" | { read -r _; read -r _ _ _ kb _; echo "$((kb / 1024))"; }; };
id=$(stat -L -c %i-%s-%Y "$archive" 2> /dev/null) || give_up "there is no $archive";
home=${scratch%/*}/dask-environments-$me;
mkdir "$home" 2> /dev/null || :;
if [ -z "$(find "$home" -prune -type d -user "$me" \( -perm 700 -o -perm 2700 \) 2> /dev/null)" ];
then
    say "not using $home, which is not private: $(ls -ld "$home" 2>&1)";
    home=$scratch/environments;
    mkdir "$home" || give_up "cannot create $home";
fi;
use_complete() {
    for copy in "$home/$id".*; do
        [ -n "$(find "$copy/complete" -prune -mtime -7 2> /dev/null)" ] || continue;
        touch "$copy" || :; echo "$copy/env/bin/python"; exit;
    done;
};
use_complete;
if { : > "$home/lock"; } 2> /dev/null && command -v flock > /dev/null; then
    exec 9> "$home/lock";
    flock -w 900 9 || give_up "another job has been unpacking $archive for 15 minutes";
    use_complete;
fi;
trap "exit 1" HUP INT TERM;
trap "[ -e \"\$new/complete\" ] || rm -rf \"\$new\"" EXIT;
new=$(mktemp -d "$home/$id.XXXXXX" 2> /dev/null) || give_up "cannot write to $home";
env=$new/env;
said=$(mkdir "$env" 2>&1 && tar -xof "$archive" -C "$env" 2>&1) ||
    give_up "cannot unpack $archive in $home, where $(free) MB are free: $(echo "$said" | head -n 1)";
[ -x "$env/bin/python" ] || give_up "$archive has no bin/python that works here";
if [ -e "$env/bin/conda-unpack" ]; then
    said=$("$env/bin/python" "$env/bin/conda-unpack" 2>&1) ||
        give_up "conda-unpack failed: $(echo "$said" | tail -n 1)";
fi;
check="import distributed, sys; assert sys.prefix == sys.argv[1], sys.prefix";
said=$("$env/bin/python" -P -c "$check" "$env" 2>&1) ||
    give_up "the Python of $archive does not work: $(echo "$said" | tail -n 1)";
{ : > "$new/complete"; } 2> /dev/null || give_up "cannot write to $home";
running=$(cat /proc/[0-9]*/cmdline 2> /dev/null | tr "\000" " ");
for copy in "$home"/*.??????; do
    [ "$copy" != "$new" ] && [ -n "$(find "$copy" -prune -mmin +60)" ] || continue;
    case $running in *"$copy/"*) ;; *) rm -rf "$copy" ;; esac;
done;
echo "$env/bin/python";
