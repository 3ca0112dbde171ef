# SPDX-License-Identifier: GPL-2.0-only
#
# Runs a command on this very machine instead of the emulated one: WHERE=host.
# Sourced by run; it must leave the machine as it was, in-tree modules aside.
#
# shellcheck shell=bash disable=SC2154 # variables of run

host_refusals()
{
	grep -q -w vmx /proc/cpuinfo || die "WHERE=host needs a CPU with VMX, and this one shows none"
	[ "$(id -u)" = 0 ] || die "WHERE=host needs root to load modules"
}

load_on_host()
{
	local entry spec args path

	for entry in "${modules[@]}"; do
		spec=${entry#* }
		args=
		[[ $spec == *:* ]] && args=${spec#*:}
		path=${spec%%:*}
		if [ "${entry%% *}" = tree ]; then
			# shellcheck disable=SC2086 # several parameters
			modprobe "$path" $args || return
			continue
		fi
		[[ $(modinfo -F vermagic "$path") == "$(uname -r) "* ]] ||
			die "$path is not built for the running kernel $(uname -r)"
		# shellcheck disable=SC2086
		insmod "$path" $args || return
		inserted=("$(basename "$path" .ko)" "${inserted[@]}")
	done
}

run_here()
{
	local status=0 name mark file n

	host_refusals
	inserted=()
	root=$work/root
	mkdir -p "$root/t"
	bring_command
	for file in "${files[@]}"; do
		[[ $file != *:/* ]] || die "WHERE=host has no place for --file $file: not relative"
		bring_file "$file"
	done
	mark="kvmlet bench $$ at $(date +%s%N)"
	echo "$mark" > /dev/kmsg
	if load_on_host; then
		(cd "$root/t" && timeout -k 5 "$real_seconds" "${command[@]}") || status=$?
	else
		say "a module would not load"
		status=$status_load
	fi
	for name in "${inserted[@]}"; do
		# The command may have unloaded it itself.
		[ -e "/sys/module/${name//-/_}" ] || continue
		rmmod "$name" || {
			say "$name could not be unloaded"
			status=$status_load
		}
	done
	mkdir -p "$work/result"
	n=0
	for file in "${outs[@]}"; do
		cp -r "$root/t/${file%%:*}" "$work/result/out-$n" 2>/dev/null || true
		n=$((n + 1))
	done
	fetch_outs
	dmesg -r | sed "1,/$mark/d" > "$work/kernel.log"
	[ -z "$keep_log" ] || cp "$work/kernel.log" "$keep_log"
	[ -z "$verbose" ] || cat "$work/kernel.log" >&2
	verdict=$status
	judge_log
}
