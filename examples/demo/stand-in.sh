#!/bin/sh
# Stands in for a program that the examples call, under whose name it is
# installed: notes how it was called, answers, and changes nothing. It uses
# nothing but the shell, because its PATH holds nothing else.
name=${0##*/}
printf "%s\n" "$name${1:+ $*}" >>"${0%/*}/../calls/${AWS_SSM_INSTANCE_ID:?}"
if [ "$name" = sudo ]; then
	exec "$@" # as the same user, with the same PATH
fi
printf '%s\n' "(stand-in) $name${1:+ $*}"
