# SPDX-License-Identifier: GPL-2.0-only
# The address types of the kernel's <linux/kvm_types.h>, without all else that it has: a rule for $(BUILD)/shim.

.DEFAULT_GOAL := all
ADDRESS_TYPES := $(BUILD)/shim/linux/kvm_types.h

$(ADDRESS_TYPES): ../address-types.mk
	@mkdir -p $(@D)
	@printf '#include <linux/types.h>\n' >$@
	@printf 'typedef unsigned long %s;\n' gva_t hva_t >>$@
	@printf 'typedef __u64 %s;\n' gpa_t gfn_t hpa_t >>$@
