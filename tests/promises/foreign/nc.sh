# nc -N: one request per connection. The client ends its half at once.

trap 'stopped=yes' TERM
requests=0 lost=0

while [ -z "$stopped" ]; do
    answer=$(printf 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' | nc -N 127.0.0.1 8080)
    requests=$((requests + 1))
    case $answer in
        'HTTP/1.1 200 OK'*'}') ;;
        *) lost=$((lost + 1)) && printf 'instead of an answer: %s\n' "$answer" >&2 ;;
    esac
    sleep 0.02
done
errors=
[ "$lost" = 0 ] || errors="\"$lost requests without an answer\""
printf '{"requests": %s, "errors": [%s]}\n' "$requests" "$errors"
