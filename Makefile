# SPDX-License-Identifier: GPL-2.0-only
# The project's front door: `make help` tells the targets.

KDIR ?= /lib/modules/$(shell uname -r)/build
HOST ?= 6.1
CPU ?= corei7_skylake_x

all: module userspace

help:
	@echo 'Build'
	@echo '  make                   kvmlet.ko for the running kernel (or KDIR=), and userspace/kvmlet'
	@echo '  make module            the module alone'
	@echo '  make userspace         the runner alone (static)'
	@echo '  make install           module, runner and man page into the system; modules_install of KDIR'
	@echo '  make clean'
	@echo 'Run'
	@echo '  make demo              boot a stock Debian kernel as guest (HOST=6.1|6.12 CPU=model WHERE=host)'
	@echo '  make bench             instructions of each exit path, beside kvm_intel'
	@echo 'Test'
	@echo '  make check             everything CI runs; about 15 minutes, 6 more the first time; PARAMS="ept=0" loads'
	@echo '                         the module with parameters'
	@echo '  make vmm               Debian'"'"'s QEMU on kvmlet, all cases (HOST=, CASES=pattern, ON=kvm for the oracle)'
	@echo '  make check-build       both kernels with W=1 and sparse, checkpatch, headers, exported symbols'
	@echo '  make check-unit        the pure parts, in user space'
	@echo '  make check-kvm         the selftests of the API (HOST=, CPU=)'
	@echo '  make check-boot        a guest on each CPU model and both hosts'
	@echo '  make ladder            the same from Penryn on, and with ept=0 and unrestricted_guest=0, beside kvm_intel'
	@echo '  make check-runner      disks, network, console, memory kinds, and a loaded SMP guest'
	@echo "  make kvm-selftests     KVM's own selftests on kvmlet, beside kvm_intel (HOST=, CPU=, TESTS=, ARGS=)"
	@echo "  make check-full        make check at full length, all of KVM's selftests and QEMU's machines (about 4 hours)"

module:
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

userspace:
	$(MAKE) -C userspace

install: all
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules_install
	$(MAKE) -C userspace install

demo:
	selftests/demo --host $(HOST) --cpu $(CPU)

bench:
	selftests/check bench

check:
	selftests/check all

check-full:
	selftests/check full

kvm-selftests:
	selftests/kvm-selftests/run --host $(if $(filter file,$(origin HOST)),6.12,$(HOST)) --cpu $(CPU) $(ARGS) $(TESTS)

vmm:
	selftests/vmm/run --on $(or $(ON),kvmlet) --host $(if $(filter file,$(origin HOST)),6.12,$(HOST)) $(CASES)

ladder:
	selftests/ladder $(ARGS)

check-build check-unit check-kvm check-boot check-runner:
	HOST=$(HOST) CPU=$(CPU) selftests/check $(@:check-%=%)

clean:
	[ ! -d "$(KDIR)" ] || $(MAKE) -C $(KDIR) M=$(CURDIR) clean
	$(MAKE) -C userspace clean
	rm -rf build
	find selftests -type d -name build -prune -exec rm -rf {} +

.PHONY: all help module userspace install demo bench check check-full kvm-selftests ladder vmm check-build check-unit check-kvm check-boot check-runner clean
