#!/bin/bash
# gdb - what a program's threads are in is found by gdb alike: natively by its own means,
# else by those of scripts/gmp-gdb.py.  In the living program, in the core file that gdb
# makes of it, which is not much larger than natively, and in the kernel's.
. "${0%/*}/common"
need cc gdb gcore
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
	[ "$mode" = native ] && return
	grep -c '^G[0-9]* *waiting' "$work/gdb" >&2
	# One that is parked has registers.
	[ "$(grep -c '^rip  0x0000[0-9a-f]*[1-9a-f]' "$work/gdb")" -ge 15 ]
}

# Where the kernel puts that process's core file, if that is a file.
kernel_core() { # pid
	local to
	to=$(cat /proc/sys/kernel/core_pattern)
	[ "$(cat /proc/sys/kernel/core_uses_pid)" = 0 ] || to=${to/%.%p/}.%p
	to=${to//%p/$1}
	[[ $to != *[%\|]* ]] && realpath -m "$to"
}

body() {
	local end=$((SECONDS + limit))
	ulimit -c unlimited
	serve "$work/waits" >"$work/here/out"
	until grep -q ready "$work/here/out"; do
		[ $SECONDS -lt $end ] || fail 'its threads never all waited'
		sleep 0.1
	done
	look -p "$server"

	timeout -s KILL 40 gcore -o made "$server" >&2
	[ "$(stat -c %s "made.$server")" -lt 1000000000 ] && echo small
	look "made.$server"
	rm "made.$server"

	core=$(kernel_core "$server") || core=
	kill -ABRT "$server"
	wait "$server" || true
	servers=()
	if [ -f "$core" ]; then
		look "$core"
		rm "$core"
	fi
}
compare
