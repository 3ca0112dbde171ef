// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exits of port I/O: register forms to the in-kernel bus or to user space, string forms to the
 * emulator.
 * It must not know any device.
 */
#include <linux/bitfield.h>

#include "iobus.h"
#include "vmx.h"

static unsigned int io_size(unsigned long qual)
{
	return FIELD_GET(IO_QUAL_SIZE, qual) + 1;
}

/*
 * "General-Purpose Registers in 64-Bit Mode": a 32-bit result clears the upper half, shorter ones
 * leave the rest.
 */
static void merge_rax(struct vcpu *vcpu, unsigned int size, u32 value)
{
	if (size == 4)
		vcpu->regs[REG_RAX] = value;
	else if (size == 2)
		vcpu->regs[REG_RAX] = (vcpu->regs[REG_RAX] & ~0xfffful) | (u16)value;
	else
		vcpu->regs[REG_RAX] = (vcpu->regs[REG_RAX] & ~0xfful) | (u8)value;
}

enum fast_result fast_io(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	unsigned long qual = vmcs_readl(VMCS_EXIT_QUALIFICATION);
	unsigned int size = io_size(qual);
	u16 port = FIELD_GET(IO_QUAL_PORT, qual);
	u32 data = 0;

	/* Devices act on accesses: be sure that the instruction can be left afterwards. */
	if ((qual & IO_QUAL_STRING) ||
	    (vmcs_readl(VMCS_GUEST_RFLAGS) & (X86_EFLAGS_TF | X86_EFLAGS_RF)))
		return FAST_NONE;
	if (qual & IO_QUAL_IN) {
		if (iobus_read(vcpu, IOBUS_PIO, port, size, &data))
			return FAST_NONE;
		merge_rax(vcpu, size, data);
	} else {
		data = vcpu->regs[REG_RAX];
		if (iobus_write(vcpu, IOBUS_PIO, port, size, &data))
			return FAST_NONE;
	}
	vcpu->stat.io_exits++;
	if (!vmx_skip_fast(vmx)) {
		vmx->skip_pending = true;
		return FAST_DONE;
	}
	return FAST_REENTER;
}

int handle_io(struct vcpu *vcpu)
{
	unsigned long qual = to_vmx(vcpu)->info.qual;

	vcpu->stat.io_exits++;
	if (qual & IO_QUAL_STRING) {
		to_vmx(vcpu)->l1d_flush = true;
		return vcpu_emulate(vcpu, INVALID_GPA, 0);
	}
	return vcpu_pio(vcpu, FIELD_GET(IO_QUAL_PORT, qual), io_size(qual), qual & IO_QUAL_IN);
}
