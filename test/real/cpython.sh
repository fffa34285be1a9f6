#!/bin/bash
# cpython - the interpreter's own tests, those about threads, signals, children and
# sockets: each of them has to come out as it does natively, skipped ones too.
#
#   TESTS="test_socket ..."	all of these instead of the quick ones of each
. "${0%/*}/common"
python=/usr/bin/python3.11
need $python
[ -e /usr/lib/python3.11/test/test_threading.py ] || {
	echo "$name: skipped: no libpython3.11-testsuite here" >&9
	exit 77
}
all=(test_thread test_threading test_threading_local test_threadsignals
	test_threadedtempfile test_signal test_fork1 test_subprocess
	test_queue test_sched test_socket test_socketserver test_select
	test_selectors)
# Few of them are quick; of the others some of each kind.
quick=('*.CRLockTests.*' '*.ConditionTests.*' '*ThreadRunningTests*'
	'*ForkInThread*' '*.ThreadLocalTest.test_derived*' '*fork_from*'
	'*ThreadTests*fork*' '*ThreadTests*daemon*' '*reinit_tls_after_fork'
	'*ThreadSignals.test_signals' '*ThreadedTempFile*' '*test_sched.*'
	'*PendingSignalsTests.test_p*' '*PendingSignalsTests.test_sigwait_*'
	'*PidfdSignalTest*' '*StressTest*neous*' '*WakeupSocketSignalTests*'
	'*fork1*import_lock*' '*POSIXProcessTestCase*preexec*'
	'*POSIXProcessTestCase.test_close_fds' '*SocketServerTest.test_F*'
	'*SocketServerTest.test_Threading*' '*SelectTestCase.test_select'
	'*BasicTCPTest*' '*BasicUDPTest*' '*BasicSocketPairTest*'
	'*RecvmsgIntoTCP*' '*SendmsgTCP*' '*NonBlockingTCPTests*'
	'*EpollSelectorTestCase.test_[mr]*')

# As "-m test"; but what the library says of itself is not for the tests' children,
# whose output is compared.
start='import os, runpy
os.environ.pop("GMP_SHIM_VERBOSE", None)
runpy.run_module("test", run_name="__main__", alter_sys=True)'

# A line for each test: its name and how it ended.
outcomes() { # file
	sed 's/<testcase /\n&/g' "$1" |
		sed -nE 's/^<testcase name="([^"]*)"[^>]*\/>.*/\1 ok/p
			s/^<testcase name="([^"]*)"[^>]*><(failure|error|skipped).*/\1 \2/p'
}

body() {
	local tests=(${TESTS-"${all[@]}"}) some=(-i '*VSOCK*' -i '*_timeout') m
	[ -n "${TESTS-}" ] || for m in "${quick[@]}"; do some+=(-m "$m"); done
	# bash has the interrupt ignored in what it does not wait for
	run env --default-signal=INT $python -c "$start" -q -u network \
		--timeout "$limit" "${some[@]}" --junit-xml "$PWD/result" \
		"${tests[@]}" >output || {
		grep -aE '^(FAIL|ERROR)|Error' output >&2
		return 1
	}
	outcomes result
}
compare
