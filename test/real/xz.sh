#!/bin/bash
# xz - packs and unpacks with four threads: both must give the native bytes.
. "${0%/*}/common"
need xz
make_input

body() {
	run xz -T4 -1 --block-size=4MiB -k -c "$input" >packed
	sha256sum <packed
	run xz -T4 -dc packed | sha256sum
	sha256sum <"$input"
	[ "$(run xz -T4 -dc packed | sha256sum)" = "$(sha256sum <"$input")" ]
	run xz -T2 -t packed
}
compare
