#!/bin/bash
# glib_locks - the library's own tests of its locks, which fight hard for them.
. "${0%/*}/common"
tests=/usr/libexec/installed-tests/glib
need $tests/thread

body() {
	local t
	export G_TEST_SRCDIR=$tests G_TEST_BUILDDIR=$tests
	for t in 1bit-mutex mutex rec-mutex rwlock; do
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
