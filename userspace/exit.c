// SPDX-License-Identifier: GPL-2.0-only
/*
 * What to do when KVM_RUN returns, by exit reason.
 *
 * Must not let an exit that it does not know go on: that would lose what the guest did.
 */
#include "runner.h"

static void exit_mmio(struct vcpu *v)
{
	io_mmio_exit(v);
}

static void exit_nothing(struct vcpu *v)
{
	(void)v;
}

static void exit_hlt(struct vcpu *v)
{
	report_vcpu(v);
	vm_fatal(v->vm, "vCPU %u halted and the device does not wait for interrupts itself",
		 v->index);
}

static void exit_shutdown(struct vcpu *v)
{
	report_vcpu(v);
	vm_fatal(v->vm, "vCPU %u shut down: an exception could not be delivered (triple fault)",
		 v->index);
}

static void exit_fail_entry(struct vcpu *v)
{
	report_fail_entry(v);
	report_vcpu(v);
	vm_fatal(v->vm, "the processor refused to enter the guest (vCPU %u)", v->index);
}

static void exit_internal_error(struct vcpu *v)
{
	report_internal_error(v);
	report_vcpu(v);
	vm_fatal(v->vm, "the device cannot go on with this guest (vCPU %u)", v->index);
}

static void exit_system_event(struct vcpu *v)
{
	u32 type = v->run->system_event.type;

	if (type == KVM_SYSTEM_EVENT_SHUTDOWN) {
		vm_stop(v->vm, STOP_POWEROFF, 0);
	} else if (type == KVM_SYSTEM_EVENT_RESET) {
		vm_stop(v->vm, STOP_RESET, 0);
	} else {
		report_vcpu(v);
		vm_fatal(v->vm, "system event %u%s", type,
			 type == KVM_SYSTEM_EVENT_CRASH ? ": the guest crashed" : "");
	}
}

static const struct {
	const char *name;
	void (*handle)(struct vcpu *v);
} exits[NR_EXIT_REASONS] = {
	[KVM_EXIT_UNKNOWN] = { "UNKNOWN", NULL },
	[KVM_EXIT_EXCEPTION] = { "EXCEPTION", NULL },
	[KVM_EXIT_IO] = { "IO", io_port_exit },
	[KVM_EXIT_HYPERCALL] = { "HYPERCALL", NULL },
	[KVM_EXIT_DEBUG] = { "DEBUG", NULL },
	[KVM_EXIT_HLT] = { "HLT", exit_hlt },
	[KVM_EXIT_MMIO] = { "MMIO", exit_mmio },
	[KVM_EXIT_IRQ_WINDOW_OPEN] = { "IRQ_WINDOW_OPEN", NULL },
	[KVM_EXIT_SHUTDOWN] = { "SHUTDOWN", exit_shutdown },
	[KVM_EXIT_FAIL_ENTRY] = { "FAIL_ENTRY", exit_fail_entry },
	[KVM_EXIT_INTR] = { "INTR", exit_nothing },
	[KVM_EXIT_SET_TPR] = { "SET_TPR", NULL },
	[KVM_EXIT_TPR_ACCESS] = { "TPR_ACCESS", NULL },
	[KVM_EXIT_NMI] = { "NMI", NULL },
	[KVM_EXIT_INTERNAL_ERROR] = { "INTERNAL_ERROR", exit_internal_error },
	[KVM_EXIT_SYSTEM_EVENT] = { "SYSTEM_EVENT", exit_system_event },
	[KVM_EXIT_IOAPIC_EOI] = { "IOAPIC_EOI", NULL },
	[KVM_EXIT_HYPERV] = { "HYPERV", NULL },
	[KVM_EXIT_X86_RDMSR] = { "X86_RDMSR", NULL },
	[KVM_EXIT_X86_WRMSR] = { "X86_WRMSR", NULL },
	[KVM_EXIT_DIRTY_RING_FULL] = { "DIRTY_RING_FULL", NULL },
	[KVM_EXIT_AP_RESET_HOLD] = { "AP_RESET_HOLD", NULL },
	[KVM_EXIT_X86_BUS_LOCK] = { "X86_BUS_LOCK", NULL },
	[KVM_EXIT_XEN] = { "XEN", NULL },
	[KVM_EXIT_NOTIFY] = { "NOTIFY", NULL },
};

const char *exit_name(u32 reason)
{
	if (reason < NR_EXIT_REASONS && exits[reason].name)
		return exits[reason].name;
	return "not a known reason";
}

static void exit_unknown(struct vcpu *v)
{
	u32 reason = v->run->exit_reason;

	if (reason == KVM_EXIT_UNKNOWN)
		say("hardware exit reason 0x%llx", v->run->hw.hardware_exit_reason);
	report_vcpu(v);
	vm_fatal(v->vm, "vCPU %u ended with exit %u (%s), which this runner never asked for",
		 v->index, reason, exit_name(reason));
}

/*
 * The console is nearly all of the traffic: one byte to or from the serial port goes there without
 * a look at the bus. Returns false when the exit is something else.
 */
static bool serial_fast_path(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	u32 reg = (u32)run->io.port - COM1_BASE;
	u8 *data = (u8 *)run + run->io.data_offset;

	if (reg > 7 || run->io.size != 1 || run->io.count != 1)
		return false;
	if (run->io.direction == KVM_EXIT_IO_OUT)
		serial_write(v->vm->serial, reg, *data);
	else
		*data = serial_read(v->vm->serial, reg);
	if (v->vm->port_count) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			v->vm->port_count[run->io.port].out++;
		else
			v->vm->port_count[run->io.port].in++;
	}
	return true;
}

void exit_handle(struct vcpu *v)
{
	u32 reason = v->run->exit_reason;

	/* What was written before this exit comes before it. */
	if (v->vm->coalesce)
		coalesce_drain_slow(v->vm->coalesce);
	if (reason == KVM_EXIT_IO && serial_fast_path(v))
		return;
	if (reason < NR_EXIT_REASONS && exits[reason].handle)
		exits[reason].handle(v);
	else
		exit_unknown(v);
}
