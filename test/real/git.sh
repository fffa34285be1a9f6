#!/bin/bash
# git - repack, index-pack, grep and status with threads, on a repository made
# for it; then everything in it is verified.
. "${0%/*}/common"
need git
export GIT_CONFIG_NOSYSTEM=1 HOME=$work GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a
export GIT_COMMITTER_EMAIL=a@b GIT_AUTHOR_DATE='@1000000000 +0000'
export GIT_COMMITTER_DATE='@1000000000 +0000'

# Real text in three versions, so that there is something to delta.
make_repository() {
	git init -q "$work/origin" && cd "$work/origin" || return
	find /usr/include/linux /usr/include/x86_64-linux-gnu -name '*.h' \
		-size -64k | sort | head -400 |
		while read -r f; do
			f=${f#/usr/include/}
			cp "/usr/include/$f" "${f//\//_}"
		done
	[ "$(ls | wc -l)" -gt 100 ] || return
	git add . && git commit -qm 1 || return
	for v in 2 3; do
		sed -i "7i /* version $v */" ./*a*.h
		git commit -qam $v || return
	done
	git repack -adq && cp .git/objects/pack/*.pack "$work/pack"
}
(make_repository) || fail 'cannot make a repository'

body() {
	# Which deltas four threads find may differ; what is in it may not.
	cp -r "$work/origin" repo
	cd repo
	run git -c pack.threads=4 repack -adfq --depth=20 --window=20
	git fsck --full 2>&1
	git rev-list --objects --all | sort | sha256sum
	git count-objects -v | grep '^in-pack'
	run git index-pack --threads=4 -o ../idx "$work/pack"
	sha256sum <../idx
	run git grep --threads=8 -n define | sha256sum
	run git grep --threads=8 -c -e struct HEAD~1 | sha256sum
	touch ./*
	run git -c core.preloadindex=true status --porcelain >../status
	[ ! -s ../status ]
	git clone -q --no-local . ../clone
	git -C ../clone rev-parse HEAD
}
compare
