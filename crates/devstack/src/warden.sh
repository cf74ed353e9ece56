# The warden of one server: starts it, ends it when the lifeline closes, and dies with it.
#
# Called as: sh -c SCRIPT warden STOP_SIGNAL GRACE_S LOCK LOG SETPRIV_FLAGS PROGRAM ARG...
# Standard input is the lifeline: nothing is ever written to it; it closes when the process that
# started us ends, however it ends. Standard output gets one line, the server's pid.
#
#   owner --lifeline--> watcher --TERM, then USR1--> warden --STOP_SIGNAL, then KILL--> server
#
# Server and watcher carry a parent death signal, so killing the warden ends both. They compare
# their parent with the warden's pid first: it may have died before the signal was armed.
#
# The server inherits the lock on its directory, so that the lock lasts as long as the server or any
# child of it: two servers never share files.
stop_signal=$1 grace_s=$2 lock=$3 log=$4 setpriv_flags=$5
shift 5
exec 3<&0 </dev/null 9>>"$lock"
flock -w "$grace_s" 9 || exit 1

# shellcheck disable=SC2086 # the flags are several words, or none
setpriv $setpriv_flags --pdeathsig KILL -- \
    sh -c 'test "$PPID" = "$1" || exit 1; shift; exec "$@"' server "$$" "$@" \
    >>"$log" 2>&1 3<&- &
server=$!

interrupted=
trap 'interrupted=1; kill -s "$stop_signal" "$server"; kill -s CONT "$server"' TERM
trap 'interrupted=1; kill -s KILL "$server"' USR1

setpriv --pdeathsig KILL -- sh -c '
    test "$PPID" = "$1" || exit 1
    read -r _ <&3
    exec 3<&-
    kill -s TERM "$1"
    setpriv --pdeathsig KILL sleep "$2"
    kill -s USR1 "$1"
' watcher "$$" "$grace_s" >/dev/null 2>&1 9>&- &

exec 3<&-
echo "$server"
exec >/dev/null 2>&1

# A trapped signal ends `wait` early; only an uninterrupted one has collected the server.
while :; do
    interrupted=
    wait "$server"
    status=$?
    test -n "$interrupted" || exit "$status"
done
