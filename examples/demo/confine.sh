#!/bin/sh
# confine.sh FOLDER PROGRAM [ARGUMENT...] runs a program in a mount namespace that
# it has to itself (unshare -m), in which it can write to FOLDER but not to other
# filesystems, and the places where people keep their own things are empty. Fails,
# and runs nothing, where that is not to be had.
set -eu
folder=$1
shift

mount --make-rprivate /
mount --bind "$folder" "$folder" # a mount of its own stays writable
while read -r _ _ _ _ point options _; do
	point=$(printf '%b' "$(printf '%s\n' "$point" | sed 's/\\/\\0/g')") # "\040" is a space
	case $point in
	/proc | /proc/* | /sys | /sys/* | /dev | /dev/* | "$folder") continue ;;
	esac
	# In a user namespace the options that are set must be set again. A mount that
	# refuses may be hidden below another one.
	mount -o "remount,bind,$options,ro" "$point" 2>/dev/null || [ "$point" != / ]
done </proc/self/mountinfo
for place in /home /root /opt /srv /mnt /media /var/www; do
	case $folder/ in "$place"/*) continue ;; esac
	[ ! -d "$place" ] || mount -t tmpfs -o ro,size=4k tmpfs "$place"
done
if [ -w / ] || [ ! -w "$folder" ]; then exit 1; fi
cd "$folder" # the mounted one, not what is below it
exec "$@"
