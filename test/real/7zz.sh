#!/bin/bash
# 7zz - packs a tree with four threads, tests it and unpacks it again.
. "${0%/*}/common"
need 7zz
mkdir "$work/tree"
find /usr/include -type f -size +1k | sort | head -1500 |
	tar -cf - -T - 2>/dev/null | tar -xf - -C "$work/tree"

sums() { (cd "$1" && find . -type f | sort | xargs sha256sum | sha256sum); }

body() {
	local kind
	for kind in 7z zip; do
		run 7zz a -bd -mx=3 -mmt=4 -t$kind out.$kind "$work/tree" >log
		run 7zz t -bd -mmt=4 out.$kind >log
		grep -c 'Everything is Ok' log
		run 7zz x -bd -mmt=4 -ounpacked-$kind out.$kind >log
		sums unpacked-$kind/tree
		[ "$(sums unpacked-$kind/tree)" = "$(sums "$work/tree")" ]
	done
}
compare
