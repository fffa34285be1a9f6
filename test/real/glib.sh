#!/bin/bash
# glib - the library's own tests of threads, queues, pools and once.
run_these='asyncqueue cond once onceinit private thread thread-pool threadtests'
. "${0%/*}/glib_tests"
