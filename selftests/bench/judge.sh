# SPDX-License-Identifier: GPL-2.0-only
#
# Finds what a run came to, from the results that came out and from the kernel's log.
# Sourced by run; it must not start or stop anything.
#
# shellcheck shell=bash disable=SC2154 # variables of run

# What no run may leave in the host's kernel log.
bad_patterns='WARNING:|BUG:|Oops|general protection|unchecked MSR access|rcu:.*(stall|starved)'
bad_patterns+='|blocked for more than|INFO: task |possible (recursive|circular) locking|INFO: trying'
bad_patterns+='|inconsistent lock state|suspicious RCU usage|held lock freed|bad unlock balance'
bad_patterns+='|soft lockup|hard LOCKUP|Kernel panic|stack segment:|invalid opcode:|Call Trace:'
bad_patterns+='|divide error:|kernel NULL pointer|UBSAN:|KASAN:|list_(add|del) corruption'
bad_patterns+='|refcount_t:|Bad page state|scheduling while atomic|sleeping function called'
bad_patterns+='|double fault|Unable to handle|page allocation failure|out of memory:'

# Find why the emulator ended although neither the command nor watch_emulator() ended it.
explain_end()
{
	verdict=$status_machine
	if was_reset; then
		reason='the machine reset itself'
	elif grep -q 'PANIC.*3rd' "$work/bochs.log"; then
		reason='triple fault of the host'
	elif [ "0$(ticks)" -ge $(((guest_seconds + 59) * mips * 1000000)) ]; then
		reason="the host hangs: its CPU ran on beyond the bound of $guest_seconds guest seconds"
		verdict=$status_timeout
	else
		reason='the machine stopped before the command ended'
	fi
}

fetch_outs()
{
	local out n=0 dst

	for out in "${outs[@]}"; do
		dst=$(basename "${out%%:*}")
		[[ $out == *:* ]] && dst=${out#*:}
		if [ -e "$work/result/out-$n" ]; then
			cp -rT "$work/result/out-$n" "$dst"
		else
			say "the command left no ${out%%:*}"
		fi
		n=$((n + 1))
	done
}

# Leave out what a stock kernel says by itself: which mitigations this CPU would need; on CPUs
# with indirect target selection (tigerlake) one W^X warning when the first module loads; on penryn
# one of 6.12's about a number of cores that has no APIC IDs; and in the older emulator one about the
# size of skylake_x's XSAVE area.
drop_harmless()
{
	sed -E '/(RETBleed|Spectre V2|MDS|TAA|MMIO Stale Data) ?: WARNING: /d' | awk '
		/\[ cut here \]/	{ block = 1; text = ""; drop = 0 }
		block			{ text = text $0 "\n" }
		/CPA detected W\^X/	{ drop += 1 }
		/ apply_retpolines\+/	{ drop += 2 }
		/XSAVE consistency| parse_legacy\+/	{ drop = 3 }
		/\[ end trace /		{ if (drop != 3) printf "%s", text; block = 0; next }
		!block
		END			{ if (block) printf "%s", text }'
}

# Find what the run came to; sets verdict.
judge()
{
	local log=$work/console lines=()

	mkdir -p "$work/result"
	if tar -C "$work/result" -xf "$work/result.tar" 2>/dev/null && [ -s "$work/result/kmsg" ]; then
		log=$work/result/kmsg
		mapfile -t lines < "$work/result/verdict"
		fetch_outs
	fi
	tr -d '\r' < "$log" > "$work/kernel.log"
	[ -z "$keep_log" ] || cp "$work/kernel.log" "$keep_log"

	case ${lines[0]:-none} in
	done)
		verdict=${lines[1]:-$status_machine} ;;
	timeout)
		say "passed the bound of $guest_seconds guest seconds"
		sed -n '/sysrq: Show backtrace/,$p' "$work/kernel.log" | cut -c 1-100 |
			head -n 40 >&2
		head -n 60 "$work/result/where" >&2
		verdict=$status_timeout ;;
	load)
		say "a module would not load: $(cat "$work/result/load")"
		tail -n 5 "$work/kernel.log" >&2
		verdict=$status_load ;;
	*)
		[ -n "$reason" ] || explain_end
		say "$reason"
		show_machine ;;
	esac
	judge_log
}

# Make a run that is good otherwise fail for what the host's kernel said.
judge_log()
{
	sed '/sysrq: Show backtrace/,$d' "$work/kernel.log" | drop_harmless > "$work/judged.log"
	if grep -q -E "$bad_patterns" "$work/judged.log"; then
		say "the host's kernel complained:"
		grep -E -A 30 "$bad_patterns" "$work/judged.log" | head -n 60 >&2
		[ "$verdict" = $status_machine ] || [ "$verdict" = $status_timeout ] ||
			verdict=$status_bad_log
	fi
}
