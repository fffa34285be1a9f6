#!/bin/bash
# ffmpeg - encodes, decodes and filters with threads: each frame must be the
# native one.
. "${0%/*}/common"
need ffmpeg
# Not into "grep -q", which may end first: then the pipe's status is a failure.
encoders=$(ffmpeg -hide_banner -encoders 2>/dev/null)

body() {
	local source="-f lavfi -i testsrc2=s=640x360:r=25:d=3"
	# shellcheck disable=SC2086 # words are wanted
	run ffmpeg -nostdin -v error $source -c:v mpeg4 -threads 4 -q:v 5 \
		-f framemd5 - | sha256sum
	if [[ $encoders = *libx264* ]]; then
		# shellcheck disable=SC2086
		run ffmpeg -nostdin -v error $source -c:v libx264 \
			-preset veryfast -threads 4 -f framemd5 - | sha256sum
	fi
	# shellcheck disable=SC2086
	ffmpeg -nostdin -v error $source -c:v mpeg4 -threads 1 -q:v 5 movie.avi
	run ffmpeg -nostdin -v error -threads 4 -i movie.avi -f md5 -
	run ffmpeg -nostdin -v error -threads 4 -i movie.avi -filter_complex \
		'split[a][b];[a]scale=320:180[x];[b]hflip,boxblur[y]' \
		-map '[x]' -f md5 - -map '[y]' -f md5 y.md5
	cat y.md5
}
compare
