#!/bin/sh
# usage: sh tools/wine.sh FOLDER
#
# Makes ready what runs the Windows code on Linux, in FOLDER: a Wine folder of its
# own (prefix), ssmrun-agent.exe, and the tests of the agent's packages as Windows
# programs (PACKAGE.test.exe). e2e.TestWindows runs them, where SSMRUN_TEST_WINE
# names the folder. Prints wine's path last. Needs Wine for 64 bits, on Debian:
# apt-get install --no-install-recommends wine64
#
# Two things that Go programs ask of Windows 10 are missing in Wine 8, Debian 12's.
# bcryptprimitives.dll is written by tools/wine. The deletion of a file that is
# open is answered with a code that Go's os.RemoveAll does not take for "not there,
# do it the old way"; the programs here are built with a copy of that one file of
# the standard library which does. What is shipped is built without it.
set -eu
cd "$(dirname "$0")/.."
[ $# = 1 ] || { sed -n '2p' "$0" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)

wine=
for name in wine64 /usr/lib/wine/wine64 wine; do
	if wine=$(command -v "$name"); then break; fi
done
[ -n "$wine" ] || { echo "wine.sh: there is no Wine" >&2; exit 1; }

original=$(go env GOROOT)/src/internal/syscall/windows/at_windows.go
sed 's|^\tcase STATUS_INVALID_INFO_CLASS,|\tcase NTStatus(0xC0000002), STATUS_INVALID_INFO_CLASS,|' "$original" >"$folder/at_windows.go"
printf '{"Replace":{"%s":"%s"}}\n' "$original" "$folder/at_windows.go" >"$folder/overlay.json"
export GOOS=windows GOARCH=amd64 CGO_ENABLED=0
go build -overlay "$folder/overlay.json" -o "$folder/" ./cmd/ssmrun-agent
go test -vet=off -overlay "$folder/overlay.json" -c -o "$folder/" \
	./internal/executor ./internal/agent/... ./internal/agentlink ./internal/wire >"$folder/build.log" 2>&1 || { cat "$folder/build.log" >&2; exit 1; }
unset GOOS GOARCH

# Its services keep what they inherit open, so none of it may be ours.
export WINEPREFIX="$folder/prefix" WINEDEBUG=-all WINEDLLOVERRIDES=mscoree,mshtml=
"$wine" wineboot -i </dev/null >"$folder/wineboot.log" 2>&1 || { cat "$folder/wineboot.log" >&2; exit 1; }
"$wine" winecfg -v win10 </dev/null >>"$folder/wineboot.log" 2>&1
(cd tools && go run ./wine "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll")
echo "$wine"
