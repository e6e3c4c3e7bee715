# shellcheck shell=sh disable=SC2329  # the trap calls the function
worker=$! code=;
# Keep this shell until the worker has ended. Signals usually reach both; if the worker is still
# running after 5 s, send it SIGTERM.
stop_worker() {
    for _ in $(seq 50); do kill -0 "$worker" || break; sleep 0.1; done;
    kill "$worker" || :;
    wait "$worker" && code=0 || code=${code:-$?};
} 2> /dev/null;
trap stop_worker INT TERM;
wait "$worker" || code=${code:-$?};
rm -rf "${dask_scratch-}" || :;
exit "${code:-0}"
