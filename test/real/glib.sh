#!/bin/bash
# glib - the library's own tests of threads, queues, pools and once.
. "${0%/*}/common"
tests=/usr/libexec/installed-tests/glib
need $tests/thread

body() {
	local t
	export G_TEST_SRCDIR=$tests G_TEST_BUILDDIR=$tests
	for t in asyncqueue cond once onceinit private thread thread-pool \
		threadtests; do
		[ -x $tests/$t ] || continue
		run $tests/$t --tap >out
		if grep '^not ok' out; then
			return 1
		fi
		# The seed and the times in the comments differ.  One test
		# skips itself where RLIMIT_NPROC does not stop a thread: for
		# root, and for Gs, which are no processes.
		sed -n "s/ # SKIP.*//; s/^ok/$t: ok/p" out
		grep -q '^ok' out
	done
}
compare
