// SPDX-License-Identifier: GPL-2.0-only
/*
 * Port I/O: to in-kernel devices, else to user space; one access of IN and OUT, several elements of
 * INS and OUTS.
 * This file must not check permissions; the CPU did before the exit, the emulator does for the
 * string forms.
 */
#include <linux/mm.h>

#include "guest_state.h"
#include "iobus.h"

/* Elements travel in the page behind struct kvm_run. */
#define PIO_DATA_OFFSET	(KVM_PIO_PAGE_OFFSET * PAGE_SIZE)

static int exit_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = vcpu->pio.in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = vcpu->pio.size;
	run->io.port = vcpu->pio.port;
	run->io.count = vcpu->pio.count;
	run->io.data_offset = PIO_DATA_OFFSET;
	return RUN_TO_USER;
}

static void ask_user(struct vcpu *vcpu, u16 port, unsigned int size, bool in, unsigned int count)
{
	vcpu->pio.port = port;
	vcpu->pio.size = size;
	vcpu->pio.in = in;
	vcpu->pio.count = count;
}

/* ---- Register forms ---- */

/*
 * "General-Purpose Registers in 64-Bit Mode": 32 bits clear the upper half, fewer leave the rest
 * alone.
 */
static void put_rax(struct vcpu *vcpu, unsigned int size, u32 value)
{
	unsigned long keep = size == 4 ? 0 : size == 2 ? ~0xfffful : ~0xfful;

	vcpu->regs[REG_RAX] = (vcpu->regs[REG_RAX] & keep) | (value & ~(u32)keep);
}

/* User space may have moved RIP, and then knows what it does. */
static int complete_in(struct vcpu *vcpu)
{
	u32 value = 0;

	if (vcpu->rip != vcpu->pio.rip)
		return RUN_RESUME;
	memcpy(&value, vcpu->pio_data, vcpu->pio.size);
	put_rax(vcpu, vcpu->pio.size, value);
	return vcpu_skip_instruction(vcpu);
}

static int complete_out(struct vcpu *vcpu)
{
	return vcpu->rip == vcpu->pio.rip ? vcpu_skip_instruction(vcpu) : RUN_RESUME;
}

static int register_to_user(struct vcpu *vcpu, u16 port, unsigned int size, bool in, u32 value)
{
	ask_user(vcpu, port, size, in, 1);
	vcpu->pio.rip = vcpu->rip;
	vcpu->complete_io = in ? complete_in : complete_out;
	if (!in)
		memcpy(vcpu->pio_data, &value, size);
	/* Old VMMs reset the machine at a write here and expect to find RIP behind it. */
	if (!in && port == 0x7e && vm_has_quirk(vcpu->vm, KVM_X86_QUIRK_OUT_7E_INC_RIP))
		vcpu_skip_instruction(vcpu);
	return exit_io(vcpu);
}

int vcpu_pio(struct vcpu *vcpu, u16 port, unsigned int size, bool in)
{
	u32 value = in ? 0 : vcpu->regs[REG_RAX];

	if (in) {
		if (iobus_read(vcpu, IOBUS_PIO, port, size, &value))
			return register_to_user(vcpu, port, size, in, 0);
		put_rax(vcpu, size, value);
	} else if (iobus_write(vcpu, IOBUS_PIO, port, size, &value)) {
		return register_to_user(vcpu, port, size, in, value);
	}
	return vcpu_skip_instruction(vcpu);
}

/* ---- String forms, for the emulator ---- */

/*
 * What user space has read waits in the page until the emulator takes it, all of it or element by
 * element.
 */
static bool take_ready(struct vcpu *vcpu, u16 port, unsigned int size, void *buf,
		       unsigned int count)
{
	u32 left = vcpu->pio.ready - vcpu->pio.taken;

	if (!left || port != vcpu->pio.port || size != vcpu->pio.size || count > left)
		return false;
	memcpy(buf, vcpu->pio_data + vcpu->pio.taken * size, count * size);
	vcpu->pio.taken += count;
	return true;
}

enum em_cb emulate_port_in(struct em_ctx *ctx, u16 port, unsigned int size, void *buf,
			   unsigned int count)
{
	struct vcpu *vcpu = container_of(ctx, struct vcpu, em);
	unsigned int i;

	if (take_ready(vcpu, port, size, buf, count))
		return EM_CB_OK;
	if (vcpu->pio.needed || vcpu->mmio.nr_frags)
		return EM_CB_PENDING;
	memset(buf, 0, count * size);
	for (i = 0; i < count; i++) {
		/* A device that goes away in between leaves zeroes. */
		if (iobus_read(vcpu, IOBUS_PIO, port, size, buf + i * size) && !i) {
			ask_user(vcpu, port, size, true, count);
			vcpu->pio.ready = 0;
			vcpu->pio.taken = 0;
			vcpu->pio.needed = true;
			return EM_CB_PENDING;
		}
	}
	return EM_CB_OK;
}

enum em_cb emulate_port_out(struct em_ctx *ctx, u16 port, unsigned int size, const void *buf,
			    unsigned int count)
{
	struct vcpu *vcpu = container_of(ctx, struct vcpu, em);
	unsigned int i;

	if (vcpu->pio.needed || vcpu->mmio.nr_frags)
		return EM_CB_PENDING;
	for (i = 0; i < count; i++) {
		if (iobus_write(vcpu, IOBUS_PIO, port, size, buf + i * size) && !i) {
			/*
			 * Nothing depends on it: the instruction goes on, user space is told before
			 * the guest does.
			 */
			ask_user(vcpu, port, size, false, count);
			memcpy(vcpu->pio_data, buf, count * size);
			vcpu->pio.needed = true;
			return EM_CB_OK;
		}
	}
	return EM_CB_OK;
}

static int complete_string(struct vcpu *vcpu)
{
	vcpu->pio.needed = false;
	vcpu->pio.ready = vcpu->pio.in ? vcpu->pio.count : 0;
	vcpu->pio.taken = 0;
	return vcpu->mmio.resume ? emulate_resume(vcpu) : RUN_RESUME;
}

int emulate_exit_pio(struct vcpu *vcpu)
{
	vcpu->complete_io = complete_string;
	return exit_io(vcpu);
}
