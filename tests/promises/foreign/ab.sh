# ab -k: HTTP/1.0 with keep-alive, on four connections. Responses may have different lengths (-l): each names
# a process.

trap 'stopped=yes' TERM
requests=0 lost=0 broken=0

# The number that ab prints for this name, or 0.
number() {
    printf '%s\n' "$told" | sed -n "s/^$1: *\([0-9]*\).*/\1/p" | grep . || echo 0
}

while [ -z "$stopped" ]; do
    told=$(ab -k -q -l -c 4 -n 100 http://127.0.0.1:8080/ 2>&1) || broken=$((broken + 1))
    requests=$((requests + $(number 'Complete requests')))
    failed=$(($(number 'Failed requests') + $(number 'Non-2xx responses')))
    [ "$failed" = 0 ] || printf '%s\n' "$told" >&2
    lost=$((lost + failed))
    sleep 0.2
done
errors=
[ "$lost$broken" = 00 ] || errors="\"$lost failed requests, $broken runs that broke off\""
printf '{"requests": %s, "errors": [%s]}\n' "$requests" "$errors"
