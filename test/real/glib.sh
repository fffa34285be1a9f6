#!/bin/bash
# glib - the library's own tests of its threads, locks, queues and pools.
. "${0%/*}/common"
tests=/usr/libexec/installed-tests/glib
need $tests/thread

# The subtests that measure speed take a second each: one contended case of
# each kind, unless ALL is set.
choice() { # test
	[ -z "${ALL-}" ] || return
	case $1 in
	1bit-mutex) echo -p /glib/1bit-mutex/pointer ;;
	mutex) echo -p\ /thread/mutex{1,2,3,4,5} \
		-p /thread/mutex/perf/contended/4 ;;
	rec-mutex) echo -p\ /thread/rec-mutex{1,2,3,4} \
		-p /thread/rec-mutex/perf/contended3/depth2 ;;
	esac
}

body() {
	local t
	export G_TEST_SRCDIR=$tests G_TEST_BUILDDIR=$tests
	for t in 1bit-mutex asyncqueue cond mutex once onceinit private \
		rec-mutex rwlock thread thread-pool threadtests; do
		[ -x $tests/$t ] || continue
		# shellcheck disable=SC2046 # words are wanted
		run $tests/$t --tap $(choice $t) >out
		if grep '^not ok' out; then
			return 1
		fi
		# The seed and the times in the comments differ.
		sed -n "s/^ok/$t: ok/p" out
		grep -q '^ok' out
	done
}
compare
