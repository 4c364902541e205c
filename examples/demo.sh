#!/bin/sh
# demo.sh: applies the examples in this folder with a real Terraform on three real
# agents, shows what Terraform printed and what each instance answered, and checks
# all of it. `make demo` calls it; the exit code is 0 when everything was as
# expected. README.md in this folder tells what it does and does not touch.
#
#   DEMO_BIN=DIR       takes the programs of ours from there instead of building them
#   TERRAFORM=PROGRAM  takes this Terraform (see ../tools/terraform/find.sh)
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=${here%/*}
begin=$(date +%s)

# --- what is printed ---------------------------------------------------------

bold='' dim='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
	bold=$(printf '\033[1m') dim=$(printf '\033[2m') plain=$(printf '\033[0m')
fi
say() { printf '%s\n' "$*"; }
heading() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
typed() { printf '\n%s$ %s%s\n' "$bold" "$*" "$plain"; }
quoted() { sed "s/^/  $dim|$plain /;s/[[:space:]]*\$//"; }
elapsed() { printf '%s s' "$(($(date +%s) - $1))"; }

problems=0
# wrong says that something is not as it should be; the demo goes on and fails.
wrong() {
	problems=$((problems + 1))
	say "${bold}NOT AS EXPECTED: $*$plain"
}
fatal() {
	say "$bold$1$plain"
	if [ -n "${2:-}" ] && [ -s "$2" ]; then tail -n 20 "$2" | quoted; fi
	exit 1
}

# --- what is stopped at the end ----------------------------------------------

work='' child='' service='' interrupted=''
patience=0 # how many seconds after Ctrl-C the child may take to end by itself

pause() { sleep 0.1 2>/dev/null || sleep 1; } # not every sleep knows tenths

# ended PID SECONDS waits until a process has ended, and fails if it has not.
ended() {
	tenths=$(($2 * 10))
	while kill -0 "$1" 2>/dev/null; do
		[ "$tenths" -gt 0 ] || return 1
		tenths=$((tenths - 1))
		pause
	done
}

# finish runs at every exit, Ctrl-C included: no process and no file is left.
finish() {
	code=$?
	trap '' HUP INT QUIT TERM
	trap - EXIT
	if [ -n "$child" ]; then
		# After Ctrl-C Terraform has had its signal, as part of the terminal's process
		# group. A second one would keep it from ending its provider.
		if [ "$interrupted" != INT ] || ! ended "$child" "$patience"; then kill -TERM "$child" 2>/dev/null || :; fi
		ended "$child" 15 || kill -KILL "$child" 2>/dev/null || :
		wait "$child" 2>/dev/null || :
	fi
	stop_service
	if [ -n "$work" ]; then
		rm -rf "$work" || code=1
	fi
	exit "$code"
}

# stop_service stops the service, which stops its agents.
stop_service() {
	[ -n "$service" ] || return 0
	kill -TERM "$service" 2>/dev/null || :
	ended "$service" 15 || kill -KILL "$service" 2>/dev/null || :
	wait "$service" 2>/dev/null || :
	service=
	stop_agents
}

# stop_agents ends agents that a service left behind which did not end by itself.
stop_agents() {
	for file in "$work"/data/agents/*/agent.json; do
		[ -f "$file" ] || continue
		pid=$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$file" | head -n 1)
		# The number may have come to mean another process.
		if [ -n "$pid" ] && command_line "$pid" 2>/dev/null | grep -qF "$work"; then
			kill -KILL "$pid" 2>/dev/null || :
		fi
	done
}

command_line() { tr '\0' ' ' <"/proc/$1/cmdline" || ps -o args= -p "$1"; }

stop_on() {
	interrupted=$1
	say
	say 'Stopping.'
	exit "$2"
}

trap finish EXIT
trap 'stop_on HUP 129' HUP
trap 'stop_on INT 130' INT
trap 'stop_on QUIT 131' QUIT
trap 'stop_on TERM 143' TERM

# in_background COMMAND... runs a command and waits for it. The shell acts on a
# signal while it waits, but not while a command in its foreground runs.
in_background() {
	"$@" </dev/null &
	child=$!
	result=0
	wait "$child" || result=$?
	child=
	return "$result"
}

# await_build waits for the child and says now and then that it is alive.
await_build() {
	until ended "$child" 30; do say "  still building, $(elapsed "$started")"; done
	result=0
	wait "$child" || result=$?
	child=
	return "$result"
}

# clean COMMAND... replaces this shell by a command that sees nothing of the
# caller's environment: no credentials, no settings, no home folder.
clean() {
	exec env -i PATH="$PATH" HOME="$work/home" TMPDIR="$work/tmp" LC_ALL=C \
		CHECKPOINT_DISABLE=1 TF_CLI_CONFIG_FILE="$work/terraformrc" \
		AWS_EC2_METADATA_DISABLED=true AWS_REGION="${region:-}" AWS_ENDPOINT_URL="${endpoint:-}" \
		AWS_ACCESS_KEY_ID="${key_id:-}" AWS_SECRET_ACCESS_KEY="${secret:-}" "$@"
}
ssmrun() { (clean "$bin/ssmrun" "$@"); }

# --- programs ----------------------------------------------------------------

build_programs() {
	say 'Building ssmrun and its provider: 1 to 3 minutes the first time, else seconds.'
	started=$(date +%s)
	"${MAKE:-make}" -s -C "$root" build >"$work/build.log" 2>&1 </dev/null &
	child=$!
	await_build ||
		fatal 'They could not be built:' "$work/build.log"
	say "Built in $(elapsed "$started")."
}

# find_terraform sets $terraform; where there is none it builds one, and shows
# `ssmrun try` meanwhile.
find_terraform() {
	found=0
	terraform=$(sh "$root/tools/terraform/find.sh" 2>"$work/find.log") || found=$?
	case $found in
	0) return ;;
	3) ;;
	*) fatal 'No Terraform can be used:' "$work/find.log" ;;
	esac
	say
	say 'There is no Terraform 1.14 or newer here. One is being built from its Go module:'
	say '2 to 5 minutes, this once; it is kept in a cache. Meanwhile, without Terraform:'
	started=$(date +%s)
	sh "$root/tools/terraform/build.sh" >"$work/terraform.path" 2>"$work/terraform.log" </dev/null &
	child=$!
	typed 'ssmrun try'
	ssmrun try 2>&1 | quoted
	say
	say 'Waiting for Terraform to be built.'
	await_build || fatal 'Terraform could not be built:' "$work/terraform.log"
	terraform=$(tail -n 1 "$work/terraform.path")
	say "Built in $(elapsed "$started")."
}

# install_provider makes a filesystem mirror, from which an ordinary `terraform
# init` takes the provider without a network. Everything is fresh in each run, so
# that no lock file holds the hash of an earlier build.
install_provider() {
	: >"$work/terraformrc" # it warns where there is none
	(clean "$terraform" version -json) >"$work/version.json"
	version=$(sed -n 's/.*"terraform_version": *"\([^"]*\)".*/\1/p' "$work/version.json")
	platform=$(sed -n 's/.*"platform": *"\([^"]*\)".*/\1/p' "$work/version.json")
	[ -n "$platform" ] || fatal "$terraform does not say what platform it is for."
	mirror=$work/mirror/registry.terraform.io/ssmrun/ssmrun/0.1.0/$platform
	mkdir -p "$mirror"
	cp "$programs/terraform-provider-ssmrun" "$mirror/terraform-provider-ssmrun_v0.1.0"
	cat >"$work/terraformrc" <<-END
		provider_installation {
		  filesystem_mirror {
		    path = "$work/mirror"
		  }
		}
	END
}

# --- the service and its agents ----------------------------------------------

stand_ins='aws git nginx sudo systemctl unzip uptime yum'

make_tools() {
	mkdir "$work/tools" "$work/calls"
	for name in $stand_ins; do
		cp "$here/demo/stand-in.sh" "$work/tools/$name"
		chmod 755 "$work/tools/$name"
	done
	for name in sh cat echo; do
		for folder in /bin /usr/bin; do
			if [ -x "$folder/$name" ]; then
				ln -s "$folder/$name" "$work/tools/$name"
				break
			fi
		done
	done
}

# start_service starts it with its agents in a mount namespace of their own, where
# this system lets us make one, as root or in a user namespace.
start_service() {
	confine=''
	for try in 'unshare -m' 'unshare -r -m'; do
		# The words are meant to be split.
		# shellcheck disable=SC2086
		if (clean $try sh "$here/demo/confine.sh" "$work" true) >/dev/null 2>&1; then
			confine=$try
			break
		fi
	done
	set -- "$bin/ssmrun" serve --data "$work/data" --listen 127.0.0.1:0 --ready-file "$work/ready.json" \
		--local-agents 3 --local-agent-path "$work/tools" --bucket logs --drain 2s --log-level warn
	if [ -n "$confine" ]; then set -- sh "$here/demo/confine.sh" "$work" "$@"; fi
	# In a user namespace we are root too, but over nothing that is not ours.
	case $(id -u),$confine in 0,* | *,*-r*) set -- "$@" --allow-root-agents ;; esac
	# shellcheck disable=SC2086
	clean $confine "$@" >"$work/service.log" 2>&1 </dev/null &
	service=$!
	tenths=600
	until [ -f "$work/ready.json" ]; do
		kill -0 "$service" 2>/dev/null || fatal 'The service did not start:' "$work/service.log"
		[ "$tenths" -gt 0 ] || fatal 'The service was not ready in a minute:' "$work/service.log"
		tenths=$((tenths - 1))
		pause
	done
	endpoint=$(ready endpoint) region=$(ready region) key_id=$(ready access_key_id) secret=$(ready secret_access_key)
	# shellcheck disable=SC2046
	set -- $(sed -n 's/.*"\(i-[0-9a-f]*\)".*/\1/p' "$work/ready.json")
	[ $# = 3 ] || fatal "The service has $# instances instead of 3:" "$work/service.log"
	one=$1 two=$2 three=$3
}

ready() { sed -n "s/.*\"$1\": \"\(.*\)\".*/\1/p" "$work/ready.json"; }

# --- examples ----------------------------------------------------------------

# example NAME SETTING... makes a working copy of an example, whose variables have
# these values, and initialises it.
example() {
	dir=$work/$1
	cp -R "$here/$1" "$dir"
	shift
	printf '%s\n' "$@" >"$dir/demo.auto.tfvars"
	in_dir init -no-color -input=false >"$work/init.log" 2>&1 || fatal 'terraform init failed:' "$work/init.log"
}

# in_dir ARGUMENT... runs Terraform in the working copy.
in_dir() {
	patience=5
	in_background terraform_in "$dir" "$@"
}
terraform_in() {
	cd "$1"
	shift
	clean "$terraform" "$@"
}

# count prints how many commands the service has had.
count() { ssmrun commands --limit 50 --json | grep -c '"command_id"' || :; }

# newest FIELD prints a field of the newest command.
newest() { ssmrun commands --limit 1 --json | sed -n "s/.*\"$1\": \"\(.*\)\".*/\1/p"; }

applies=0 commands=0

# apply EXIT-CODE COMMANDS STATUS ARGUMENT... applies the working copy. Terraform
# has to end with the exit code and to have sent so many commands, the last of
# which has to have the status.
apply() {
	want_code=$1 want_commands=$2 want_status=$3
	shift 3
	typed "terraform apply${*:+ $*}"
	rm -f "$work"/calls/* "$work/show.log"
	code=0
	in_dir apply -no-color -compact-warnings -auto-approve "$@" >"$work/apply.log" 2>&1 || code=$?
	if [ "$applies" = 0 ]; then
		say '(The plan is left out here and below.)'
		without_plan <"$work/apply.log" | wrapped | quoted
	else
		if [ "$applies" = 1 ]; then say '("..." is "Action ADDRESS (triggered by TRIGGER):" from here on.)'; fi
		without_plan <"$work/apply.log" | without_address | wrapped | quoted
	fi
	now=$(count)
	sent=$((now - commands))
	commands=$now
	applies=$((applies + 1))
	say "  exit code $code, commands sent: $sent"
	[ "$code" = "$want_code" ] || wrong "Terraform ended with exit code $code instead of $want_code"
	[ "$sent" = "$want_commands" ] || wrong "commands sent: $sent instead of $want_commands"
	if [ "$sent" -gt 0 ]; then show_command; fi
}

# without_plan leaves out what comes before the plan's last line, and with -invoke
# also the action that follows it: the configuration over again.
without_plan() {
	awk '
		/^Plan: / { for (line in kept) delete kept[line]; n = 0; print; skip = 1; next }
		/^(Action started|Apply complete|terraform_data\.|Error|Warning)/ || !/^[ A-Z]/ && NF { skip = 0 }
		/^No changes/ { for (line in kept) delete kept[line]; n = 0; plan = 1 }
		skip { plan = 1; next }
		plan { print; next }
		{ kept[n++] = $0 }
		END { for (line = 0; line < n; line++) print kept[line] }'
}

# without_address leaves out the action's address, with which Terraform begins
# every line of progress.
without_address() { sed 's/^Action action\.[^ ]* (triggered by [^ ]*): /... /'; }

# wrapped breaks lines that are longer than a narrow terminal between words.
wrapped() {
	LC_ALL=C awk '
		{
			line = $0
			indent = ""
			while (length(indent line) > 92) {
				at = 76 - length(indent)
				while (at > 1 && substr(line, at, 1) != " ") at--
				if (at == 1) at = index(line, " ") # a word too long for a line
				if (at <= 1) break
				print indent substr(line, 1, at - 1)
				line = substr(line, at + 1)
				indent = "    "
			}
			print indent line
		}'
}

# show_command shows what became of the newest command on each instance, and how
# the stand-ins were called.
show_command() {
	id=$(newest command_id)
	status=$(newest status)
	[ "$status" = "$want_status" ] || wrong "command $id is $status instead of $want_status"
	typed "ssmrun show $id"
	ssmrun show "$id" >"$work/show.log" 2>&1 || wrong 'ssmrun show failed'
	wrapped <"$work/show.log" | quoted
	show_calls
}

# show_calls shows how the stand-ins were called, at once for instances on which
# they were called alike.
show_calls() {
	first='' where=''
	for calls in "$work"/calls/i-*; do
		[ -f "$calls" ] || continue
		if [ -n "$first" ] && ! cmp -s "$first" "$calls"; then
			list_calls
			where=''
		fi
		first=$calls where="$where ${calls##*/}"
	done
	if [ -n "$first" ]; then list_calls; fi
}
list_calls() {
	say
	say "Stand-ins called on$where:"
	sed 's/^/    /' "$first"
}

# stored COUNT shows the outputs of the newest command in the bucket. There have
# to be so many.
stored() {
	say
	say "In the bucket, below s3://logs/$id/:"
	ssmrun show "$id" --json 2>/dev/null | sed -n "s|.*\"s3\": \"s3://logs/$id/\(.*\)\".*|\1|p" >"$work/objects"
	sed 's/^/    /' "$work/objects"
	[ "$(grep -c . "$work/objects")" = "$1" ] || wrong "not $1 outputs in the bucket"
}

next() {
	say
	say "$*"
}

# answered TEXT: `ssmrun show` must have shown it. printed TEXT: Terraform must have.
answered() { grep -qF -- "$1" "$work/show.log" 2>/dev/null || wrong "no instance answered \"$1\""; }
printed() { grep -qF -- "$1" "$work/apply.log" || wrong "Terraform did not print \"$1\""; }

# called INSTANCE LINE: the stand-ins must have been called so on the instance.
called() {
	grep -qxF -- "$2" "$work/calls/$1" 2>/dev/null || wrong "\"$2\" was not called on $1"
}

# --- the demo ----------------------------------------------------------------

umask 077
work=$(mktemp -d "${TMPDIR:-/tmp}/ssmrun-demo.XXXXXX")
work=$(CDPATH='' cd -- "$work" && pwd -P)
bin=$work/bin
mkdir "$bin" "$work/home" "$work/tmp"

say "${bold}ssmrun: Terraform's action aws_ssm_send_command, with no AWS$plain"
say
say "A real Terraform applies the four examples of the action's page, and one run that"
say 'fails. Three agents on this machine really execute the scripts, with stand-ins for'
say 'the programs that would change something.'

heading 'Programs'
if [ -n "${DEMO_BIN:-}" ]; then
	programs=$DEMO_BIN
else
	programs=$root/bin
	build_programs
fi
cp "$programs/ssmrun" "$bin/ssmrun"
find_terraform
install_provider
say "Terraform $version: $terraform"

heading 'A Run Command service with three agents'
make_tools
start_service
typed 'ssmrun instances'
ssmrun instances | quoted
say
say "The agents' scripts start in an empty folder and find these programs alone:"
say "    $stand_ins"
say 'All of them are STAND-INS: they note how they were called, answer that they are'
say 'stand-ins, and change nothing; sudo runs its arguments. Only sh, cat and echo are'
say "the system's own."
if [ -n "$confine" ]; then
	say 'The agents also have mounts of their own, in which the demo'"'"'s folder is the only'
	say 'one that can be written, and others, like /home, are empty.'
fi

heading 'Example 1: basic usage'
example 1-basic-usage "example_instance_id = \"$one\""
say 'First by a trigger: the action runs because a resource is created.'
apply 0 1 Success
called "$one" uptime
answered 'Hello World'
next 'Then on request:'
apply 0 1 Success -invoke=action.aws_ssm_send_command.example
called "$one" uptime
answered 'Hello World'

heading 'Example 2: with parameters'
example 2-with-parameters "web_instance_id = \"$two\""
say 'By a trigger:'
apply 0 1 Success
called "$two" 'yum update -y'
called "$two" 'systemctl restart httpd'
next 'On request:'
apply 0 1 Success -invoke=action.aws_ssm_send_command.update_packages
called "$two" 'sudo yum update -y'
called "$two" 'sudo systemctl restart httpd'

heading 'Example 3: multiple instances with S3 output'
example 3-multiple-instances-with-s3-output "web1_instance_id = \"$one\"" "web2_instance_id = \"$two\"" \
	"web3_instance_id = \"$three\"" 'logs_bucket = "logs"'
say 'There is no /var/www/html on these instances, so the first line, "cd", fails. The'
say 'run succeeds all the same: of a script only the last exit code counts.'
next 'By a trigger:'
apply 0 1 Success
for instance in "$one" "$two" "$three"; do
	called "$instance" 'git pull origin main'
	called "$instance" 'systemctl reload nginx'
done
answered '/var/www/html'
stored 6
next 'On request:'
apply 0 1 Success -invoke=action.aws_ssm_send_command.deploy
for instance in "$one" "$two" "$three"; do called "$instance" 'sudo systemctl reload nginx'; done
stored 6

heading 'Example 4: deployment trigger'
example 4-deployment-trigger "app_server_instance_id = \"$three\"" 'app_version = "1.0.0"'
say 'The action runs when app_version changes, and only then. The first apply runs it:'
apply 0 1 Success
called "$three" 'aws s3 cp s3://my-app-bucket/app.zip /tmp/'
called "$three" 'unzip -o /tmp/app.zip -d /opt/app'
called "$three" 'systemctl restart app'
next 'Nothing has changed, so nothing may run:'
apply 0 0 ''
next 'A new version runs it once more:'
apply 0 1 Success -var=app_version=1.1.0
called "$three" 'systemctl restart app'
next 'On request, whatever has changed:'
apply 0 1 Success -var=app_version=1.1.0 -invoke=action.aws_ssm_send_command.deploy_app
called "$three" 'unzip -o /tmp/app.zip -d /opt/app'

heading 'A run that fails'
example 5-a-run-that-fails "instance_ids = [\"$one\", \"$two\", \"$three\"]" "failing_instance_id = \"$two\""
say "The script ends with exit code 3 on one of three instances, $two."
apply 1 1 Failed
say
say 'The apply failed, as it has to. On the two other instances the script has run.'
printed 'volume /data is not mounted'
printed "$two"
answered 'all is well'

heading 'Done'
stop_service
if [ "$problems" -gt 0 ]; then
	say "$problems things were not as expected: look above for NOT AS EXPECTED."
	exit 1
fi
say "All was as expected: $applies applies sent $commands commands, in $(elapsed "$begin")."
say 'Service and agents are stopped, and the demo'"'"'s folder is removed.'
if [ -z "${DEMO_BIN:-}" ]; then
	say
	say 'Go on with:  bin/ssmrun try -- uptime      (on this machine, as you)'
	say '             bin/ssmrun serve --help'
	say '             examples/README.md'
fi
