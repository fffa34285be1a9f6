#!/bin/bash
# tracers - a threaded program runs to its right end under strace -f, perf record -g and
# ltrace -f, and these see what it does; under valgrind it runs natively, and says so.
. "${0%/*}/common"
need cc

cat >"$work/turns.c" <<'X'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { N = 12, ROUNDS = 40 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int turn, end[2];
static volatile unsigned long sum;

static void computes(void)
{
	unsigned long i;

	for (i = 0; i < 4000000; i++)
		sum += i % 3;
}

static void *takes_turns(void *arg)
{
	int me = (int)(long)arg, i;

	for (i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		while (turn != me)
			pthread_cond_wait(&cond, &mutex);
		turn = (turn + 1) % N;
		if (i == 0)
			computes();
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mutex);
		free(malloc(100 + i));
	}
	usleep(1000);
	if (write(end[1], "x", 1) != 1)
		abort();
	return arg;
}

static void *counts(void *arg)
{
	char c;
	int i;

	for (i = 0; i < N; i++)
		if (read(end[0], &c, 1) != 1)
			abort();
	return arg;
}

int main(void)
{
	pthread_t t[N], r;
	long i;

	if (pipe(end) || pthread_create(&r, NULL, counts, NULL))
		return 1;
	for (i = 0; i < N; i++)
		if (pthread_create(&t[i], NULL, takes_turns, (void *)i))
			return 1;
	for (i = 0; i < N; i++)
		pthread_join(t[i], NULL);
	pthread_join(r, NULL);
	printf("%lu\n", sum);
	return 0;
}
X
cc -g -O0 -o "$work/turns" "$work/turns.c" -lpthread || fail 'no program made'

here() { command -v "$1" >/dev/null; }

traced() { # tracer...
	timeout -s KILL "$limit" "$@" env "${prefix[@]}" "$work/turns"
}

body() {
	if here strace; then
		echo strace
		traced strace -f -o calls
		grep -c 'write.*(.*"x"' calls
		grep -c 'exit_group(0' calls
	fi
	if here perf && perf record -q -o none true; then
		echo perf
		traced perf record -q -g -o samples
		perf script -i samples >script
		# by whom it was called
		grep -A1 -w computes script | grep -ow takes_turns | sort -u
	fi
	# natively it does not always come to an end, with so many threads
	if here ltrace && [ "$mode" != native ]; then
		traced ltrace -f -e pthread_create+usleep -o calls >out
		traced env >plain
		cmp out plain
		grep -c 'usleep(1000' calls >&2
	fi
	if here valgrind; then
		echo valgrind
		traced valgrind -q --tool=none --trace-children=yes 2>said
		[ "$mode" = native ] || grep -q 'gmp_shim: .*valgrind.* natively' said
	fi
}
compare
