#!/bin/sh
# nginx in front of the masters, and beside it the edge, which tells it who they are. The container
# lives for as long as nginx; the edge is started anew. Options are those of `crawler install nginx`.
set -eu
kept=/var/lib/crawler/edge/nginx.nginx.kept
begin() {
    crawler install nginx --to /run/entry --force --http 0.0.0.0:8080 --grpc 0.0.0.0:9090 "$@"
}
begin "$@"
# Started anew, it serves at once with those who were there last; the edge then looks at them again.
if [ -s "$kept" ]; then
    cp "$kept" /run/entry/upstreams.conf
    nginx -t -q -c /run/entry/nginx.conf || begin "$@"
fi
while :; do
    crawler edge --config /run/entry/edge.toml --state /var/lib/crawler/edge || :
    sleep 1
done &
exec nginx -c /run/entry/nginx.conf -g "daemon off;"
