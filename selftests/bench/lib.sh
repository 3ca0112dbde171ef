# SPDX-License-Identifier: GPL-2.0-only
#
# What setup, run and smoke share: where the cache is, which kernel is which, how to speak.
# Sourced, never run; it must not install, download or change anything.
#
# shellcheck shell=bash

bench_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${KVMLET_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/kvmlet}

# show-ips prints from a signal handler, where it can wait for a lock that its own thread holds.
bochs_version=3.0
bochs_options=(
	--enable-cpu-level=6 --enable-x86-64 --enable-smp --enable-vmx=2 --enable-avx --enable-evex
	--enable-all-optimizations --enable-pci --enable-memtype --enable-a20-pin --enable-fpu
	--enable-protection-keys --enable-cet --disable-show-ips --with-nogui --disable-docbook
)

# Other patches or options are another emulator.
bochs_home=$cache/bochs-$bochs_version-$(cat "$bench_dir"/patches/*.patch - \
	<<< "${bochs_options[*]}" | cksum | cut -d' ' -f1)

say()
{
	printf 'bench: %s\n' "$*" >&2
}

die()
{
	say "$*"
	exit 69
}

# The names of the packages that a host line ("6.1" or "6.12") stands for.
image_package()
{
	case $1 in
	6.1)	echo linux-image-cloud-amd64 ;;
	6.12)	echo linux-image-6.12-cloud-amd64 ;;
	*)	die "unknown host kernel '$1': 6.1 and 6.12 are known" ;;
	esac
}

headers_package()
{
	image_package "$1" | sed s/image/headers/
}

# Where the unpacked kernel of a host line is; fails when setup has not been there.
kernel_home()
{
	local link=$cache/kernel-$1

	[ -e "$link/release" ] && readlink -f "$link"
}

# The version of the installed bochs package's program, or nothing.
installed_bochs()
{
	local path

	path=$(command -v bochs) && "$path" --help 2>&1 | grep -o -m1 'Bochs x86 Emulator [0-9.]*' |
		grep -o '[0-9.]*$'
}
