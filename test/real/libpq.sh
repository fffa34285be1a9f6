#!/bin/bash
# libpq - fifty threads that each wait for PostgreSQL in a call of its library, which
# GMP_SHIM_BLOCKING names: all at once, on one processor too.
. "${0%/*}/common"
bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | tail -1)
need cc setpriv "$bin/initdb" "$bin/postgres"

cat >"$work/query.c" <<'X'
#include <postgresql/libpq-fe.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { N = 50 };
static const char *server;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long sum;

static void *query(void *arg)
{
	char text[80];
	PGconn *c = PQconnectdb(server);
	PGresult *r;

	snprintf(text, sizeof(text), "select %ld, pg_sleep(0.2)", (long)arg);
	r = PQexec(c, text);
	if (PQresultStatus(r) != PGRES_TUPLES_OK) {
		fprintf(stderr, "query: %s", PQerrorMessage(c));
		exit(1);
	}
	pthread_mutex_lock(&mutex);
	sum += atol(PQgetvalue(r, 0, 0));
	pthread_mutex_unlock(&mutex);
	PQclear(r);
	PQfinish(c);
	return NULL;
}

int main(int argc, char **argv)
{
	struct timespec from, to;
	pthread_t t[N];

	server = argv[argc - 1];
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (long i = 0; i < N; i++)
		if (pthread_create(&t[i], NULL, query, (void *)(i + 1)))
			return 1;
	for (int i = 0; i < N; i++)
		pthread_join(t[i], NULL);
	clock_gettime(CLOCK_MONOTONIC, &to);
	/* ten seconds of sleep in all */
	printf("sum %ld, %s\n", sum,
	       to.tv_sec - from.tv_sec < 8 ? "together" : "one by one");
	return 0;
}
X
cc -O2 -pthread -o "$work/query" "$work/query.c" -lpq 2>>"$work/err" || {
	echo "$name: skipped: cannot build with libpq here" >&9
	exit 77
}

# The server refuses to run as root.
as=()
[ "$(id -u)" != 0 ] ||
	as=(setpriv --reuid=postgres --regid=postgres --clear-groups)
data=$work/data
mkdir "$data" && chmod 755 "$work" && chmod 700 "$data" || exit 1
[ ${#as[@]} = 0 ] || chown postgres "$data" || exit 1
cd /
"${as[@]}" "$bin/initdb" -N -A trust -U test -D "$data" >"$work/err" 2>&1 ||
	fail 'initdb'
# Native in every mode: it has processes, no threads.
serve "${as[@]}" "$bin/postgres" -D "$data" -k "$data" -c listen_addresses= \
	-c fsync=off -c max_connections=100
trap 'kill -INT $server; wait $server; cleanup' EXIT
for i in {1..1000}; do
	! "$bin/pg_isready" -q -h "$data" || break
	kill -0 $server || fail 'the server ended'
	sleep 0.02
done

export GMP_SHIM_BLOCKING='
	libpq.so.5:PQconnectdb(p)p
	libpq.so.5:PQexec(pp)p'

body() {
	run "$work/query" "host=$data user=test dbname=postgres"
	[ -z "${prefix[*]}" ] ||
		awk '/BLOCKING libpq.so.5:PQexec: / { calls = $NF }
			END { exit calls < 40 }' "$work/err" ||
		fail 'the calls were not bracketed'
}
compare
