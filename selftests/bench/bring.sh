# SPDX-License-Identifier: GPL-2.0-only
#
# Builds what the emulated host boots from: files, modules, libraries, the plan, the ISO image.
# Sourced by run; it must not start anything.
#
# shellcheck shell=bash disable=SC2154 # variables of run

# Copy what the dynamic loader of this machine would map for program $1.
bring_libraries()
{
	local lib

	ldd "$1" 2>/dev/null | grep -o '/[^ ]*' | while read -r lib; do
		[ -e "$root$lib" ] || install -D -m 755 "$lib" "$root$lib"
	done || true
}

bring_file()
{
	local src=${1%%:*} dst=

	[[ $1 == *:* ]] && dst=${1#*:}
	[ -e "$src" ] || wrong "--file $src: no such file"
	[ -n "$dst" ] || dst=$(basename "$src")
	[[ $dst == /* ]] || dst=t/$dst
	mkdir -p "$root/$(dirname "$dst")"
	cp -aLT "$src" "$root/$dst"
	if [ -f "$src" ] && [ -x "$src" ]; then
		bring_libraries "$src"
	fi
}

# Print the files of module $1 and of what it depends on, in the order of loading.
tree_module()
{
	local home=$1 name line

	# Names are the same with - and _.
	name=${2//[-_]/[-_]}
	line=$(grep -E "^([^:]*/)?$name\\.ko:" "$home/modules/modules.dep") ||
		wrong "the host's kernel has no module $2"
	# shellcheck disable=SC2086 # a list of files
	set -- ${line/:/}
	while [ $# -gt 0 ]; do
		echo "$1"
		shift
	done | tac
}

# Add a module to the initramfs once, and its insmod to the plan.
bring_module()
{
	local path=$1 args=$2 base

	base=$(basename "$path")
	[[ " $loaded " != *" $base "* ]] || return 0
	loaded+=" $base"
	cp -L "$path" "$root/bench/modules/$base"
	printf '\tinsmod /bench/modules/%s %s || return\n' "$base" "$args" >> "$root/bench/plan"
}

bring_modules()
{
	local home=$1 entry kind spec args path

	loaded=
	for entry in "${modules[@]}"; do
		kind=${entry%% *}
		spec=${entry#* }
		args=
		[[ $spec == *:* ]] && args=${spec#*:}
		spec=${spec%%:*}
		if [ "$kind" = file ]; then
			[ -f "$spec" ] || wrong "--module $spec: no such file"
			bring_module "$spec" "$args"
			continue
		fi
		local list
		list=$(tree_module "$home" "$spec") || exit
		for path in $list; do
			if [ "$path" = "${list##*$'\n'}" ]; then
				bring_module "$home/modules/$path" "$args"
			else
				bring_module "$home/modules/$path" ""
			fi
		done
	done
}

# The command itself comes along when it is a file here; it then runs by its last name.
bring_command()
{
	local first=${command[0]}

	if [[ $first == */* ]] && [ -f "$first" ]; then
		[ -x "$first" ] || wrong "$first is not executable"
		bring_file "$first"
		command[0]=./$(basename "$first")
	fi
}

# Quote for the host's shell.
quote()
{
	local word

	for word in "$@"; do
		printf " '%s'" "${word//\'/\'\\\'\'}"
	done
}

write_plan()
{
	local out n=0

	echo 'load() {' > "$root/bench/plan"
	bring_modules "$1"
	{
		echo $'\ttrue\n}'
		echo 'command() {'
		printf '\t/bench/agent run %d' "$guest_seconds"
		quote "${command[@]}"
		echo $'\n}'
		echo 'collect() {'
		for out in "${outs[@]}"; do
			echo "	cp -r$(quote "${out%%:*}") /result/out-$n 2>/dev/null"
			n=$((n + 1))
		done
		echo $'\ttrue\n}'
	} >> "$root/bench/plan"
}

build_initramfs()
{
	root=$work/root
	mkdir -p "$root"/{bin,dev,proc,sys,tmp,t,bench/modules}
	cp "$(command -v busybox)" "$root/bin/busybox"
	install -m 755 "$bench_dir/guest/init" "$root/init"
	install -m 755 "$bench_dir/guest/where" "$root/bench/where"
	cp "$cache/agent/agent" "$root/bench/agent"
	bring_command
	local file
	for file in "${files[@]}"; do
		bring_file "$file"
	done
	write_plan "$1"
	(cd "$root" && find . | cpio --quiet -o -H newc -R +0:+0) > "$work/iso/initrd"
}

build_iso()
{
	local lib=/usr/lib/ISOLINUX/isolinux.bin log='quiet loglevel=5'

	[ -n "$verbose" ] && log=loglevel=7
	mkdir -p "$work/iso"
	build_initramfs "$1"
	ln "$1/vmlinuz" "$work/iso/vmlinuz" 2>/dev/null || cp "$1/vmlinuz" "$work/iso/vmlinuz"
	cp $lib /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/iso/"
	cat > "$work/iso/isolinux.cfg" <<-EOF
	default host
	prompt 0
	label host
	kernel /vmlinuz
	append initrd=/initrd console=ttyS0,115200 $log tsc_early_khz=${mips}000 $kernel_args $(kernel_strings)$append
	EOF
	xorriso -as mkisofs -quiet -o "$work/boot.iso" -b isolinux.bin -c boot.cat -no-emul-boot \
		-boot-load-size 4 -boot-info-table "$work/iso" > "$work/xorriso.log" 2>&1 ||
		die "xorriso failed: $(tail -n 3 "$work/xorriso.log")"
}

# This saves 8.8 s: self-tests of ciphers and a random source that waits for jitter.
kernel_args='panic=0 cryptomgr.notests initcall_blacklist=jent_mod_init'

# The emulator's IA32_MISC_ENABLE says that fast strings are off. Linux then clears ERMS but not
# FSRM, a pair that no real CPU has, and 6.1's memmove() runs wild. So hide FSRM, from the host
# and through it from guests, or say that fast strings are on as real firmware does.
kernel_strings()
{
	[ -n "$fast_strings" ] || echo clearcpuid=fsrm
}
