#!/bin/bash
# curl - many downloads at once, with a look-up thread each, from a server in
# Python that has a thread for each connection; both are under test.
. "${0%/*}/common"
need curl python3
python=$(python3 -c 'import sys; print(sys.executable)') || exit 1

mkdir "$work/www"
for i in {1..40}; do
	head -c $((i * 3000)) /dev/urandom >"$work/www/f$i"
done
cat >"$work/server.py" <<'X'
import http.server, os, sys
os.chdir(sys.argv[1])
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 100
s = Server(("127.0.0.1", 0), Handler)
# Renamed into place: whoever sees the file sees the number.
with open(sys.argv[2] + ".new", "w") as f: f.write(str(s.server_port))
os.rename(sys.argv[2] + ".new", sys.argv[2])
s.serve_forever()
X

body() {
	local i port
	serve "$python" "$work/server.py" "$work/www" "$PWD/port"
	for i in {1..1000}; do
		[ ! -s port ] || break
		kill -0 $server || fail 'the server ended'
		sleep 0.02
	done
	port=$(cat port)
	mkdir got
	for i in 1 2; do
		run curl -sS --fail --parallel --parallel-max 20 --noproxy '*' \
			-o 'got/f#1' "http://localhost:$port/f[1-40]"
		diff -r "$work/www" got
		(cd got && sha256sum f*)
		rm got/*
	done
	[ -z "${prefix[*]}" ] || grep -qF "$SHIM" /proc/$server/maps ||
		fail 'the server ran without the library'
	stop
}
compare
