# Functions for the scripts in this folder, to be sourced by a POSIX sh. A script
# that sources it has set -eu and says its name in $me.
#
# What is built goes into a cache outside the tree, under a name that holds the
# hash of all that decides about it. So a file that exists there is right, and is
# never looked at again; nothing has to be cleaned, nothing is ever built twice.

say() { printf '%s: %s\n' "$me" "$*" >&2; }
die() { say "$*"; exit 2; }

# cache_root prints the cache's folder as an absolute path, without making it.
cache_root() {
	if [ -n "${SSMRUN_CACHE:-}" ]; then
		root=$SSMRUN_CACHE
	elif [ -n "${XDG_CACHE_HOME:-}" ]; then
		root=$XDG_CACHE_HOME/ssmrun
	elif [ -n "${HOME:-}" ]; then
		root=$HOME/.cache/ssmrun
	else
		die 'no folder for the cache: set SSMRUN_CACHE or HOME'
	fi
	case $root in
	/*) printf '%s\n' "$root" ;;
	*) printf '%s\n' "$(pwd)/$root" ;;
	esac
}

# short_hash prints 12 characters that depend on the name and the content of each
# file named by a line of standard input, and on the arguments.
short_hash() {
	{
		printf '%s\n' "$@"
		while IFS= read -r file; do
			printf '%s\n' "$file"
			cat "$file"
		done
	} | if command -v sha256sum >/dev/null 2>&1; then
		sha256sum
	elif command -v shasum >/dev/null 2>&1; then
		shasum -a 256
	else
		git hash-object --stdin
	fi | cut -c 1-12
}

# build_flags: -dwarf=false saves a tenth of the time and a quarter of the build
# cache, and a stack trace keeps its line numbers. CGO is off (see go_build), so
# that Go is all that is needed.
build_flags='-trimpath -buildvcs=false -mod=readonly -gcflags=all=-dwarf=false'

# go_build FOLDER OUTPUT LDFLAGS PACKAGE builds one program for this machine. Go
# runs in the background, because a shell acts on a signal only after the command
# in its foreground has ended.
go_build() {
	# The flags hold no spaces of their own: they are meant to be split.
	# shellcheck disable=SC2086
	(
		cd "$1" || exit
		exec env CGO_ENABLED=0 GOWORK=off GOTMPDIR="$work" \
			GOOS="$(go env GOHOSTOS)" GOARCH="$(go env GOHOSTARCH)" \
			go build $build_flags -ldflags "-s -w $3" -o "$2" "$4"
	) >&2 &
	child=$!
	built=0
	wait "$child" || built=$?
	child=
	return "$built"
}

# cached TARGET USUAL BUILD makes the file TARGET by calling the function BUILD
# with the path to write to, unless TARGET is there. USUAL says how long it usually
# takes. Calls at the same time build once: one holds the lock, the others wait.
# The lock only saves work. What keeps the cache right is that a file is renamed
# into place, so it does no harm when a lock is taken from someone who still lives.
cached() {
	target=$1
	if [ -x "$target" ]; then return 0; fi
	folder=${target%/*}
	cache=${folder%/*}
	mkdir -p "$cache" || die "cannot make the cache $cache: set SSMRUN_CACHE to a folder that can be written"
	[ -w "$cache" ] || die "cannot write to the cache $cache: set SSMRUN_CACHE to another folder"
	command -v go >/dev/null 2>&1 || die 'go is not on PATH: install Go 1.26 or newer, see https://go.dev/doc/install'

	lock='' work='' child=''
	trap clean_up EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	take_lock "$folder.lock"
	if [ ! -x "$target" ]; then
		# What a SIGKILL left behind. Nothing takes a day to build.
		find "$cache" -name '*.making.*' -prune -mtime +0 -exec rm -rf {} +
		work=$(mktemp -d "$folder.making.XXXXXX")
		say "building $(basename "$folder"): usually takes $2"
		started=$(date +%s)
		"$3" "$work/program" || die "not built, see above; the Go module proxy ($(go env GOPROXY)) must be reachable and about 3 GB of disk free"
		mkdir -p "$folder"
		mv -f "$work/program" "$target"
		say "built in $(($(date +%s) - started)) s"
	fi
	clean_up
	trap - EXIT HUP INT TERM
}

clean_up() {
	# SIGTERM, because a shell without job control starts what runs in the background
	# with SIGINT ignored. Go then leaves its temporary files: they are in $work.
	if [ -n "$child" ]; then kill "$child" 2>/dev/null || :; fi
	if [ -n "$work" ]; then rm -rf "$work" 2>/dev/null || :; fi
	if [ -n "$lock" ]; then rm -rf "$lock"; fi
	lock='' work='' child=''
}

# take_lock DIR makes DIR, or waits until it is gone. A lock is left behind when
# its owner is no longer alive, or has not written its process id for 10 s.
take_lock() {
	told='' nameless=0
	until mkdir "$1" 2>/dev/null; do
		owner=$(cat "$1/pid" 2>/dev/null) || owner=
		if [ -z "$owner" ]; then nameless=$((nameless + 1)); else nameless=0; fi
		if [ "$nameless" -gt 10 ] || { [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; }; then
			# Renamed first: of two who find it, one gets it.
			mv "$1" "$1.stale.$$" 2>/dev/null && rm -rf "$1.stale.$$"
			nameless=0
			continue
		fi
		if [ -z "$told" ] && [ -n "$owner" ]; then
			say "process $owner is building the same: waiting for it"
			told=1
		fi
		sleep 1
	done
	lock=$1
	echo $$ >"$lock/pid"
}
