# shellcheck shell=sh disable=SC2329  # the trap calls the function
worker=$! code=
# This shell stays until the worker has ended. Signals mostly reach both; a worker that has not
# ended 5 s later gets SIGTERM from here.
stop_worker() {
    for _ in $(seq 50); do kill -0 "$worker" || break; sleep 0.1; done
    kill "$worker" || :
    wait "$worker" && code=0 || code=${code:-$?}
} 2> /dev/null
trap stop_worker INT TERM
wait "$worker" || code=${code:-$?}
exit "${code:-0}"
