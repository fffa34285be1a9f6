#!/bin/bash
# gdb - what a program's threads are in is found by gdb alike: natively by its own means,
# else by those of scripts/gmp-gdb.py.
. "${0%/*}/common"
need cc gdb
commands=$(realpath "${0%/*}/../../scripts/gmp-gdb.py")

cat >"$work/waits.c" <<'X'
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { N = 5 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int end[2], there;

/* Not the last calls there, or their frames would be gone. */
static void *waits_for_word(void *arg)
{
	pthread_mutex_lock(&mutex);
	for (there++;; there--)
		pthread_cond_wait(&cond, &mutex);
	return arg;
}

static void *waits_for_data(void *arg)
{
	char c;

	pthread_mutex_lock(&mutex);
	there++;
	pthread_mutex_unlock(&mutex);
	while (read(end[0], &c, 1) > 0)
		;
	return arg;
}

static void *waits_for_time(void *arg)
{
	pthread_mutex_lock(&mutex);
	there++;
	pthread_mutex_unlock(&mutex);
	for (;;)
		sleep(1000);
	return arg;
}

int main(void)
{
	void *(*const fns[])(void *) = { waits_for_word, waits_for_data,
					 waits_for_time };
	pthread_t t;
	int i, all;

	if (pipe(end))
		return 1;
	for (i = 0; i < 3 * N; i++)
		if (pthread_create(&t, NULL, fns[i % 3], NULL))
			return 1;
	do {
		usleep(1000);
		pthread_mutex_lock(&mutex);
		all = there == 3 * N;
		pthread_mutex_unlock(&mutex);
	} while (!all);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
X
cc -g -O1 -fno-inline -o "$work/waits" "$work/waits.c" -lpthread ||
	fail 'no program made'

look() { # what gdb looks at
	local -a do=(-nx -batch -iex 'set debuginfod enabled off')
	if [ "$mode" = native ]; then
		do+=(-ex 'thread apply all bt')
	else
		do+=(-ix "$commands" -ex 'info gs' -ex 'g all')
	fi
	timeout -s KILL 40 gdb "${do[@]}" "$work/waits" "$@" >"$work/gdb" 2>&1
	# Those that run show no less.
	grep -o 'in waits_for_[a-z]*' "$work/gdb" | sort | uniq -c
	[ "$mode" = native ] || grep -c '^G[0-9]* *waiting' "$work/gdb" >&2
}

body() {
	local end=$((SECONDS + limit))
	serve "$work/waits" >"$work/here/out"
	until grep -q ready "$work/here/out"; do
		[ $SECONDS -lt $end ] || fail 'its threads never all waited'
		sleep 0.1
	done
	look -p "$server"
	stop
}
compare
