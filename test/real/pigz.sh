#!/bin/bash
# pigz - packs with four threads and unpacks with its reader, writer and
# checker; what it packs, gzip unpacks too.
. "${0%/*}/common"
need pigz gzip
make_input

body() {
	local i
	# Without -n the time of day is in the header.
	run pigz -n -p4 -c "$input" >packed
	sha256sum <packed
	gzip -dc packed | cmp - "$input"
	run pigz -dc packed >unpacked
	cmp "$input" unpacked
	# Independent blocks, and single blocks so small that threads abound.
	run pigz -n -i -b 128 -p8 -c "$input" >packed
	sha256sum <packed
	run pigz -t packed
	# Through pipes on both sides.
	for i in 1 2 3; do
		head -c 3000000 "$input" | run pigz -n -p4 -c |
			run pigz -dc | sha256sum
	done
}
compare
