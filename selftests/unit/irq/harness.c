// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VM of the tests and what its guest does; main().
 * It must not decide what is right; the test_*.c files do.
 */
#include "harness.h"

#define APIC_PAGE	0xfee00000ull
#define IOAPIC_PAGE	0xfec00000ull

struct vm vm;
struct ktap ktap;
unsigned int nr_bad;

void check(bool ok, const char *what, const char *file, int line)
{
	if (ok)
		return;
	nr_bad++;
	ktap_diag("%s:%d: not so: %s", file, line, what);
}

void equal(s64 got, s64 want, const char *what, const char *file, int line)
{
	if (got == want)
		return;
	nr_bad++;
	ktap_diag("%s:%d: %s is %#llx, not %#llx", file, line, what, (unsigned long long)got,
		  (unsigned long long)want);
}

void run_test(const char *name, void (*fn)(void))
{
	nr_bad = 0;
	fn();
	ktap_result(!nr_bad, name);
}

/* ---- The machine ---- */

/* No irqfds here: their files need the kernel's eventfds. */
bool irqfd_resamples(struct vm *vm, u32 gsi)
{
	return false;
}

void irqfd_pins_acked(struct vm *vm, unsigned int chip, unsigned long pins)
{
}

void irqfd_pin_resample(struct vm *vm, unsigned int chip, unsigned int pin)
{
}

void vcpu_nmi(struct vcpu *vcpu)
{
	vcpu->nr_nmis++;
}

struct vcpu *cpu(unsigned int i)
{
	return vm.vcpu[i];
}

void vm_add_vcpu(u32 id)
{
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));

	vcpu->vm = &vm;
	vcpu->id = id;
	vcpu->maxphyaddr = 46;
	vcpu->tsc_khz = 1000000;
	assert(!vlapic_create(vcpu));
	vlapic_reset(vcpu, false);
	vm.vcpu[vm.nr_vcpus++] = vcpu;
}

void vm_begin(unsigned int nr)
{
	unsigned int i;

	memset(&vm, 0, sizeof(vm));
	vm.apic_cycle_ns = 1;
	assert(!irqchip_create(&vm));
	for (i = 0; i < nr; i++) {
		vm_add_vcpu(i);
		apic_write(i, APIC_SPIV, 0x1ff);
		told(i);
	}
}

void vm_end(void)
{
	unsigned int i;

	irqchip_stop(&vm);
	for (i = 0; i < vm.nr_vcpus; i++) {
		vlapic_destroy(vm.vcpu[i]);
		free(vm.vcpu[i]);
	}
	irqchip_destroy(&vm);
	iobus_destroy(&vm);
	clock_forget_timers();
}

/* ---- The guest ---- */

int in8(unsigned int port)
{
	u8 value;

	return iobus_read(cpu(0), IOBUS_PIO, port, 1, &value) ? -1 : value;
}

int out8(unsigned int port, u8 value)
{
	return iobus_write(cpu(0), IOBUS_PIO, port, 1, &value) ? -1 : 0;
}

u32 apic_read(unsigned int i, unsigned int offset)
{
	u32 value = 0xdeadbeef;

	assert(vlapic_covers(cpu(i), APIC_PAGE + offset));
	vlapic_mmio_read(cpu(i), APIC_PAGE + offset, 4, &value);
	return value;
}

void apic_write(unsigned int i, unsigned int offset, u32 value)
{
	vlapic_mmio_write(cpu(i), APIC_PAGE + offset, 4, &value);
}

void x2apic_enable(unsigned int i)
{
	EQUAL(vlapic_set_base(cpu(i), vlapic_get_base(cpu(i)) | BIT(10), false), 0);
}

int x2apic_write(unsigned int i, unsigned int offset, u64 value)
{
	return vlapic_msr_write(cpu(i), 0x800 + (offset >> 4), value);
}

u64 x2apic_read(unsigned int i, unsigned int offset)
{
	u64 value = ~0ull;

	if (vlapic_msr_read(cpu(i), 0x800 + (offset >> 4), &value))
		return ~0ull;
	return value;
}

u32 ioapic_read(u8 reg)
{
	u32 value = 0, select = reg;

	iobus_write(cpu(0), IOBUS_MMIO, IOAPIC_PAGE, 4, &select);
	EQUAL(iobus_read(cpu(0), IOBUS_MMIO, IOAPIC_PAGE + 0x10, 4, &value), 0);
	return value;
}

void ioapic_write(u8 reg, u32 value)
{
	u32 select = reg;

	iobus_write(cpu(0), IOBUS_MMIO, IOAPIC_PAGE, 4, &select);
	EQUAL(iobus_write(cpu(0), IOBUS_MMIO, IOAPIC_PAGE + 0x10, 4, &value), 0);
}

void ioapic_entry(unsigned int pin, u32 low, u8 dest)
{
	ioapic_write(0x11 + 2 * pin, (u32)dest << 24);
	ioapic_write(0x10 + 2 * pin, low);
}

bool told(unsigned int i)
{
	bool was = test_bit(REQ_EVENT, &cpu(i)->requests);

	clear_bit(REQ_EVENT, &cpu(i)->requests);
	return was;
}

int take(unsigned int i)
{
	if (vlapic_timer_pending(cpu(i)))
		vlapic_timer_inject(cpu(i));
	if (!vcpu_irq_pending(cpu(i)))
		return -1;
	return vcpu_irq_take(cpu(i));
}

int take_and_eoi(unsigned int i)
{
	int vector = take(i);

	if (vector < 0)
		return vector;
	if (vlapic_get_base(cpu(i)) & BIT(10))
		x2apic_write(i, APIC_EOI, 0);
	else
		apic_write(i, APIC_EOI, 0);
	return vector;
}

int main(void)
{
	ktap_begin();
	test_iobus();
	test_pic();
	test_pit();
	test_route();
	test_ioapic();
	test_lapic();
	test_ipi();
	test_timer();
	return ktap_end();
}
