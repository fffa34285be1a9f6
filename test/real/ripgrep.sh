#!/bin/bash
# ripgrep - searches and lists a tree with eight threads.
. "${0%/*}/common"
need rg

body() {
	local tree=/usr/include
	# In the order in which threads found them: sorted.
	run rg -j8 -c -uuu --no-messages int $tree | sort | sha256sum
	run rg -j8 -n -uuu --no-messages 'struct [a-z]+_[a-z]+' $tree |
		sort | sha256sum
	run rg -j8 --files -uuu --no-messages $tree | sort | sha256sum
	rg -j1 --files -uuu --no-messages $tree | sort | sha256sum
}
compare
