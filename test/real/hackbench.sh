#!/bin/bash
# hackbench - groups of threads that send messages to one another, over socket
# pairs and over pipes, on stacks that it allocates itself.
. "${0%/*}/common"
need hackbench

body() {
	# Its one figure is a time.
	run hackbench -T -g 4 -l 100 >out
	grep -c '^Time: [0-9.]*$' out
	run hackbench -T -p -g 4 -l 100 >out
	grep -c '^Time: [0-9.]*$' out
	run hackbench -T -g 10 -f 10 -l 50 -s 4000 >out
	grep -c '^Time: [0-9.]*$' out
}
compare
