#!/bin/bash
# glib_locks - the library's own tests of its locks, which fight hard for them.
run_these='1bit-mutex mutex rec-mutex rwlock'
. "${0%/*}/glib_tests"
