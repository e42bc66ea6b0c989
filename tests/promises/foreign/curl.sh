# curl: requests on a connection one after another, over HTTP/1.1 and over HTTP/2 in turn.

trap 'stopped=yes' TERM
requests=0 lost=0

# curl 7.88 of Debian 12 fails with any second request on a connection of HTTP/2 with prior knowledge:
# https://github.com/curl/curl/issues/10634
case $(curl --version) in
    'curl 7.88.'*) most=1 ;;
    *) most=10 ;;
esac

# Makes so many requests on one connection.
ask() {
    number=$1 && shift
    # One line for each answer; what curl says of the others is in the journal.
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
