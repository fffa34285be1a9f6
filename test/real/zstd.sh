#!/bin/bash
# zstd - packs with four workers, small and large windows, and unpacks.
. "${0%/*}/common"
need zstd
make_input

body() {
	local level
	for level in -1 -6 '-3 --long=24'; do
		# shellcheck disable=SC2086 # words are wanted
		run zstd -q -T4 $level -c "$input" >packed
		sha256sum <packed
		run zstd -q -dc packed >unpacked
		cmp "$input" unpacked
		sha256sum <unpacked
	done
}
compare
