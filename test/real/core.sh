#!/bin/bash
# core - the core of a program that dies is of the thread that died, beside others that
# compute and wait: its registers, its stack, and where the signal came from; also where
# another thread sent it.
. "${0%/*}/common"
need cc gdb
pattern=$(cat /proc/sys/kernel/core_pattern)
case $pattern in
'|'*)
	echo "$name: skipped: cores go to $pattern" >&9
	exit 77
	;;
esac

# Without a core natively there is nothing to compare.
(ulimit -c unlimited && cd "$work" && exec sh -c 'kill -ABRT $$') 2>/dev/null &
wait $! 2>/dev/null
first=${pattern//%p/$!}
first=${first//%e/sh}
(cd "$work" && rm "$first" 2>/dev/null || rm "$first.$!" 2>/dev/null) || {
	echo "$name: skipped: no core in $pattern" >&9
	exit 77
}

cat >"$work/dies.c" <<'X'
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile int stop, ready;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static void handler(int sig)
{
	(void)sig;
}

static void *computes(void *arg)
{
	while (!stop)
		;
	return arg;
}

static void *waits(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void dies_here(const char *how)
{
	/* Held over the end: what kept(%rsp) is, the core tells. */
	register long kept asm("r12") = 0x5eed;

	asm volatile("" : "+r"(kept));
	if (!strcmp(how, "fault"))
		asm volatile("movl $1, 0x1230" : : "r"(kept) : "memory");
	else if (!strcmp(how, "raise"))
		raise(SIGSYS); /* a shell has SIGQUIT ignored */
	else if (!strcmp(how, "itself"))
		pthread_kill(pthread_self(), SIGTRAP);
	else if (!strcmp(how, "busy"))
		for (ready = 1;; )
			asm volatile("" : : "r"(kept));
	else if (!strcmp(how, "asleep"))
		for (ready = 1;; )
			sleep(60);
	else if (!strcmp(how, "locked"))
		ready = 1, pthread_mutex_lock(&held);
	else if (!strcmp(how, "reading"))
		ready = 1, getchar();
	else
		abort();
	asm volatile("" : : "r"(kept));
}

static void *dies(void *how)
{
	struct sigaction once = { .sa_flags = SA_RESETHAND };

	/* No handler is there any more, but there was one, and it was sent. */
	once.sa_handler = handler;
	sigaction(SIGSEGV, &once, NULL);
	pthread_kill(pthread_self(), SIGSEGV);
	usleep(20000);
	dies_here(how);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t;
	int i;

	for (i = 0; i < 8; i++)
		if (pthread_create(&t, NULL, i % 2 ? waits : computes, NULL))
			return 1;
	pthread_mutex_lock(&held);
	if (argc < 2 || pthread_create(&t, NULL, dies, argv[1]))
		return 1;
	if (argc > 2) {
		while (!ready)
			usleep(1000);
		usleep(20000);
		pthread_kill(t, atoi(argv[2]));
	}
	pthread_join(t, NULL);
	return 1;
}
X
cc -g -O1 -fno-inline -o "$work/dies" "$work/dies.c" -lpthread ||
	fail 'no program made'

mkfifo "$work/fifo"

# Its core, wherever the kernel puts it.
core() {
	local file=${pattern//%p/$1}
	file=${file//%e/dies}
	[ "${file#/}" != "$file" ] || file=$PWD/$file
	ls -d "$file" "$file.$1" 2>/dev/null | head -1 || true
}

body() {
	local how pid file
	ulimit -c unlimited
	# Nothing to read from it: this shell has it open for writing.
	exec 8<>"$work/fifo"
	for how in fault raise itself abort 'busy 6' 'asleep 31' 'locked 11' \
		'reading 5' 'busy 24'; do
		env "${prefix[@]}" "$work/dies" $how 2>>"$work/err" <"$work/fifo" &
		pid=$!
		wait $pid || echo "$how: status $?"
		file=$(core $pid)
		[ -n "$file" ] || fail "no core in $pattern"
		timeout -s KILL 40 gdb -nx -batch -iex 'set debuginfod enabled off' \
			-ex 'p/x $r12' -ex 'p/x $_siginfo.si_signo' \
			-ex 'p $_siginfo.si_code' \
			-ex 'p $_siginfo._sifields._sigfault.si_addr' -ex bt \
			"$work/dies" "$file" >"$work/gdb" 2>&1
		rm -f "$file"
		# Our frames, and libc's, between the call and its end are not the same.
		case $how in
		fault) ;;
		busy*) sed -i '/^\$4 /d' "$work/gdb" ;;
		*) sed -i '/^\$[14] /d' "$work/gdb" ;;
		esac
		grep -o '^\$[1-4] = .*\|dies_here\|in dies ' "$work/gdb"
	done
}
compare
