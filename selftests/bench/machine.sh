# SPDX-License-Identifier: GPL-2.0-only
#
# Starts the emulator, keeps its bounds and ends it.
# Sourced by run; it must not know what the command is.
#
# shellcheck shell=bash disable=SC2154 # variables of run

# Print the program to use: the one that setup built, or else an installed one.
find_emulator()
{
	if [ -x "$bochs_home/bochs" ] && [ "${KVMLET_BOCHS:-}" != installed ]; then
		echo "$bochs_home/bochs"
	else
		command -v bochs || die "no emulator: $bench_dir/setup bochs failed"
	fi
}

check_cpu()
{
	local models

	models=$("$program" --help cpu 2>&1 | grep -E '^(core|broadwell|atom|tiger|sapph|arrow|p[234]_)')
	[ "$cpu" != help ] || {
		echo "$models"
		exit 0
	}
	grep -q -x -e "$cpu" <<< "$models" ||
		wrong "$program has no CPU model $cpu; --cpu help lists those it has"
}

write_config()
{
	local strings=

	if [ -n "$fast_strings" ]; then
		# IA32_MISC_ENABLE: type, reset value, reserved bits, ignored bits.
		echo '0x1a0 0 00000000 00000001 00000000 00000000 00000000 00000000' \
			> "$work/msrs"
		strings=", msrs=$work/msrs"
	fi
	cat > "$work/bochsrc" <<-EOF
	config_interface: textconfig
	display_library: $1
	romimage: file=/usr/share/bochs/BIOS-bochs-latest
	vgaromimage: file=/usr/share/vgabios/vgabios.bin
	cpu: model=$cpu, count=$smp, ips=${mips}000000, reset_on_triple_fault=0, quantum=10$strings
	clock: sync=none, time0=1767225600
	memory: guest=$memory, host=$((memory < 2048 ? memory : 2048))
	com1: enabled=1, mode=file, dev=$work/console
	parport1: enabled=1, file=$work/output
	parport2: enabled=1, file=$work/result.tar
	ata0-master: type=cdrom, path=$work/boot.iso, status=inserted
	boot: cdrom
	log: $work/bochs.log
	logprefix: %t%e%d
	panic: action=fatal
	error: action=report
	info: action=report
	debug: action=ignore
	speaker: enabled=0, mode=none
	EOF
}

start_emulator()
{
	local bound=$(((guest_seconds + 60) * mips))

	mkfifo "$work/output"
	: > "$work/console"
	cat "$work/output" &
	reader=$!
	# The reader must see its end even if the emulator dies before it opens the port's file.
	exec 7> "$work/output"
	if [ "${program#"$cache"}" != "$program" ]; then
		write_config nogui
		setsid setpriv --pdeathsig KILL "$program" -q -f "$work/bochsrc" -benchmark $bound \
			< /dev/null > "$work/emulator" 2>&1 7>&- &
	else
		# Debian's program wants a terminal, and has its debugger wait for a "continue".
		write_config term
		echo c > "$work/continue"
		TERM=xterm setsid setpriv --pdeathsig KILL script -q -c "$program -q \
			-f $work/bochsrc -rc $work/continue -benchmark $bound" /dev/null \
			< /dev/null > "$work/emulator" 2>&1 7>&- &
	fi
	emulator=$!
	if [ -n "$verbose" ]; then
		tail -n +1 -f -s 0.2 --pid=$emulator "$work/console" 2>/dev/null 7>&- |
			sed -u 's/\r//; s/^/host: /' >&2 7>&- &
	fi
}

stop_emulator()
{
	[ -n "${emulator:-}" ] || return 0
	kill -TERM -- "-$emulator" 2>/dev/null || true
	sleep 0.1
	kill -KILL -- "-$emulator" 2>/dev/null || true
	wait "$emulator" 2>/dev/null || true
	emulator=
}

# The emulator resets the machine once at its start.
was_reset()
{
	[ "$(grep -c 'pc_system_c::Reset(.* called$' "$work/bochs.log" 2>/dev/null)" -gt 1 ]
}

# Wait for the emulator's end; name the reason when it must be ended from here.
watch_emulator()
{
	local end=$((SECONDS + real_seconds)) turn=0

	reason=
	while kill -0 "$emulator" 2>/dev/null; do
		sleep 0.2
		turn=$((turn + 1))
		# Looking costs a core as much as a tenth of the emulator.
		if [ $((turn % 10)) != 0 ]; then
			continue
		elif [ $SECONDS -ge $end ]; then
			reason="passed the bound of $real_seconds real seconds"
			verdict=$status_timeout
		elif was_reset; then
			reason='the machine reset itself'
			verdict=$status_machine
		elif grep -q 'Kernel panic' "$work/console"; then
			sleep 1
			reason="the host's kernel panicked"
			verdict=$status_machine
		else
			continue
		fi
		break
	done
	stop_emulator
	exec 7>&-
	wait "$reader" 2>/dev/null || true
}

ticks()
{
	tail -n 1 "$work/bochs.log" 2>/dev/null | grep -o '^0*[0-9]*' | sed 's/^0*//'
}

# Show what there is to see when the machine did not come to its own end.
show_machine()
{
	if [ ! -s "$work/bochs.log" ]; then
		say "the emulator did not start:"
		grep -a -A 3 PANIC "$work/emulator" >&2 || true
		return 0
	fi
	say "last lines of the host's console:"
	tail -n 25 "$work/console" | tr -d '\r' >&2
	grep -v -E 'system_management|VMEXIT: EPT ' "$work/bochs.log" |
		grep -E 'VMFAIL|VMENTER|VMEXIT|VMX|PANIC|3rd|^[0-9]*p' |
		tail -n 15 > "$work/errors" || true
	if [ -s "$work/errors" ]; then
		say "last errors of the emulator:"
		cat "$work/errors" >&2
		# The emulator dumps its registers when it ends; that tells where a triple fault was.
		grep -E '\] \| (RAX|RSP|RIP|CR[234])=|>> ' "$work/bochs.log" | cut -d']' -f2- |
			grep -v PANIC | tail -n 7 >&2 || true
	fi
}

run_emulated()
{
	local home

	[ "$memory" -le 6144 ] || wrong "--memory: at most 6144 MB"
	"$bench_dir/setup" packages bochs agent
	program=$(find_emulator)
	check_cpu
	home=$("$bench_dir/setup" kernel "$host")
	build_iso "$home"
	start_emulator
	watch_emulator
	judge
	if [ -n "$verbose" ] && [ -s "$work/result/uptime-end" ]; then
		say "init after $(cat "$work/result/uptime-init") s, end after" \
			"$(cat "$work/result/uptime-end") s of the host; $SECONDS real seconds;" \
			"$(ticks) instructions, of them the command's: $(sed -n 3p "$work/result/verdict")"
	fi
}
