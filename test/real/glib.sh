#!/bin/bash
# glib - the library's own tests of its threads, locks, queues and pools.
. "${0%/*}/common"
tests=/usr/libexec/installed-tests/glib
need $tests/thread

body() {
	local t
	export G_TEST_SRCDIR=$tests G_TEST_BUILDDIR=$tests
	for t in 1bit-mutex asyncqueue cond mutex once onceinit private \
		rec-mutex rwlock thread thread-pool threadtests; do
		[ -x $tests/$t ] || continue
		run $tests/$t --tap >out
		if grep '^not ok' out; then
			return 1
		fi
		# The seed and the times in the comments differ.
		sed -n "s/^ok/$t: ok/p" out
		grep -q '^ok' out
	done
}
compare
