# curl: several requests on one connection, in turn over HTTP/1.1 and over HTTP/2.

trap 'stopped=yes' TERM
requests=0 lost=0

# curl 7.88 of Debian 12 fails on each second request of an HTTP/2 connection with prior knowledge:
# https://github.com/curl/curl/issues/10634
case $(curl --version) in
    'curl 7.88.'*) most=1 ;;
    *) most=10 ;;
esac

# Sends this many requests on one connection.
ask() {
    number=$1 && shift
    # One line for each response. curl's errors are in the journal.
    answers=$(curl --silent --show-error --max-time 30 --output /dev/null --write-out '%{http_code}\n' "$@" \
        "http://127.0.0.1:8080/?[1-$number]")
    ok=$(printf '%s\n' "$answers" | grep -c '^200$')
    requests=$((requests + number)) lost=$((lost + number - ok))
}

while [ -z "$stopped" ]; do
    ask 10 --http1.1
    ask "$most" --http2-prior-knowledge
    sleep 0.05
done
errors=
[ "$lost" = 0 ] || errors="\"$lost requests without an answer\""
printf '{"requests": %s, "errors": [%s]}\n' "$requests" "$errors"
