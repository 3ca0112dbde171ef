// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a VM does once KVM_ENABLE_CAP has asked for it, and what it does before: payloads, triple
 * faults, failures of the emulator, exits that are left out, limits.
 * Must not test capabilities that are of use without being enabled; options.c does.
 */
#include <sys/mman.h>

#include "ktap.h"
#include "tvm.h"

#define DB 1
#define UD 6
#define PF 14
#define MSR_PLATFORM_INFO 0xce

static int enable(struct tvm *vm, u32 cap, u64 arg)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg } };

	return tvm_err(ioctl(vm->fd, KVM_ENABLE_CAP, &enable));
}

FIXTURE(enabled)
{
	struct tvm *vm;
	struct tcpu *cpu;
};

FIXTURE_SETUP(enabled)
{
	self->vm = tvm_create(0);
	self->cpu = tvm_vcpu(self->vm, 0);
}

FIXTURE_TEARDOWN(enabled)
{
	tcpu_destroy(self->cpu);
	tvm_destroy(self->vm);
}

static struct kvm_vcpu_events get_events(struct tcpu *cpu)
{
	struct kvm_vcpu_events events;

	if (ioctl(cpu->fd, KVM_GET_VCPU_EVENTS, &events))
		tvm_die("KVM_GET_VCPU_EVENTS");
	return events;
}

static int set_events(struct tcpu *cpu, const struct kvm_vcpu_events *events)
{
	return tvm_err(ioctl(cpu->fd, KVM_SET_VCPU_EVENTS, events));
}

PROGRAM(idle, 64, "nop; hlt");

TEST_F(enabled, exception_payload)
{
	struct kvm_vcpu_events events = get_events(self->cpu);
	struct tfault fault;

	tcpu_load(self->cpu, &idle);
	events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	EXPECT_EQ(EINVAL, set_events(self->cpu, &events));
	EXPECT_EQ(1, tvm_cap(self->vm, KVM_CAP_EXCEPTION_PAYLOAD));
	ASSERT_EQ(0, enable(self->vm, KVM_CAP_EXCEPTION_PAYLOAD, 1));
	events = get_events(self->cpu);
	EXPECT_TRUE(events.flags & KVM_VCPUEVENT_VALID_PAYLOAD);
	events.exception.pending = 1;
	events.exception.injected = 1;
	events.exception.nr = PF;
	events.exception.has_error_code = 1;
	events.exception.error_code = 2;
	events.exception_has_payload = 1;
	events.exception_payload = 0x123000;
	ASSERT_EQ(0, set_events(self->cpu, &events));
	/* CR2 does not change before the guest takes the exception. */
	events = get_events(self->cpu);
	EXPECT_EQ(1, events.exception.pending);
	EXPECT_EQ(0, events.exception.injected);
	EXPECT_EQ(1, events.exception_has_payload);
	EXPECT_EQ(0x123000, events.exception_payload);
	EXPECT_EQ(0, tcpu_sregs(self->cpu).cr2);
	ASSERT_EQ(PF, tcpu_run_fault(self->cpu));
	ASSERT_TRUE(tcpu_fault(self->cpu, &fault));
	EXPECT_EQ(2, fault.error);
	EXPECT_EQ(0x123000, tcpu_sregs(self->cpu).cr2);

	events.exception.nr = 2;
	EXPECT_EQ(EINVAL, set_events(self->cpu, &events));
	/* Without the flag nothing is pending. */
	events.exception.nr = PF;
	events.flags &= ~KVM_VCPUEVENT_VALID_PAYLOAD;
	ASSERT_EQ(0, set_events(self->cpu, &events));
	EXPECT_EQ(0, get_events(self->cpu).exception.pending);
}

TEST_F(enabled, triple_fault_event)
{
	struct kvm_vcpu_events events = get_events(self->cpu);

	tcpu_load(self->cpu, &idle);
	EXPECT_EQ(0, events.flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT);
	events.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	EXPECT_EQ(EINVAL, set_events(self->cpu, &events));
	ASSERT_EQ(0, enable(self->vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1));
	events.triple_fault.pending = 1;
	ASSERT_EQ(0, set_events(self->cpu, &events));
	events = get_events(self->cpu);
	EXPECT_TRUE(events.flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT);
	EXPECT_EQ(1, events.triple_fault.pending);
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, tcpu_run(self->cpu));
	EXPECT_EQ(0, get_events(self->cpu).triple_fault.pending);
	events = get_events(self->cpu);
	events.triple_fault.pending = 1;
	ASSERT_EQ(0, set_events(self->cpu, &events));
	events.triple_fault.pending = 0;
	ASSERT_EQ(0, set_events(self->cpu, &events));
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
}

/* FLD of a device's register is nothing that an emulator need know. */
PROGRAM(fld_device, 64, "flds 0xa0000; hlt");
PROGRAM(fld_user, 64,
	"pushq $" GUEST_STR(SEL_UDATA) "; pushq $0x6000; pushq $2; pushq $" GUEST_STR(SEL_UCODE64)
	"; pushq $" AT(fld_user, 1f) "; iretq; 1: flds 0xa0000");

TEST_F(enabled, exit_on_emulation_failure)
{
	struct kvm_run *run = self->cpu->run;
	int i;

	EXPECT_EQ(EINVAL, enable(self->vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 2));
	tcpu_load(self->cpu, &fld_user);
	EXPECT_EQ(UD, tcpu_run_fault(self->cpu));
	ASSERT_EQ(0, enable(self->vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1));
	for (i = 0; i < 2; i++) {
		tcpu_mode(self->cpu, MODE_LONG);
		tcpu_load(self->cpu, i ? &fld_user : &fld_device);
		ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, tcpu_run(self->cpu));
		EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, run->emulation_failure.suberror);
		EXPECT_LE(3, run->emulation_failure.ndata);
		EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES,
			  run->emulation_failure.flags);
		EXPECT_LE(7, run->emulation_failure.insn_size);
		EXPECT_EQ(0xd9, run->emulation_failure.insn_bytes[0]);
		EXPECT_EQ(0x04, run->emulation_failure.insn_bytes[1]);
		/* The guest has got nothing: user space may go on as it likes. */
		EXPECT_EQ(0, get_events(self->cpu).exception.injected);
	}
}

TEST_F(enabled, platform_info)
{
	u64 value;

	EXPECT_EQ(1, tvm_cap(self->vm, KVM_CAP_MSR_PLATFORM_INFO));
	EXPECT_TRUE(tcpu_rdmsr(self->cpu, MSR_PLATFORM_INFO, &value));
	ASSERT_EQ(0, enable(self->vm, KVM_CAP_MSR_PLATFORM_INFO, 0));
	EXPECT_FALSE(tcpu_rdmsr(self->cpu, MSR_PLATFORM_INFO, &value));
	EXPECT_TRUE(tcpu_get_msr(self->cpu, MSR_PLATFORM_INFO, &value));
	ASSERT_EQ(0, enable(self->vm, KVM_CAP_MSR_PLATFORM_INFO, 1));
	EXPECT_TRUE(tcpu_rdmsr(self->cpu, MSR_PLATFORM_INFO, &value));
}

TEST(executable_large_pages)
{
	struct tvm *vm = tvm_create(0);
	int fd;

	ASSERT_EQ(1, tvm_cap(vm, KVM_CAP_VM_DISABLE_NX_HUGE_PAGES));
	EXPECT_EQ(EINVAL, enable(vm, KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, 1));
	EXPECT_EQ(0, enable(vm, KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, 0));
	EXPECT_EQ(0, enable(vm, KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, 0));
	fd = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
	EXPECT_LE(0, fd);
	EXPECT_EQ(EINVAL, enable(vm, KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, 0));
	close(fd);
	tvm_destroy(vm);
}

TEST(max_vcpu_id)
{
	struct tvm *vm = tvm_create(0);
	int most = tvm_cap(vm, KVM_CAP_MAX_VCPU_ID);
	int fd;

	EXPECT_EQ(EINVAL, enable(vm, KVM_CAP_MAX_VCPU_ID, most + 1));
	ASSERT_OK(ioctl(vm->fd, KVM_SET_BOOT_CPU_ID, 9));
	EXPECT_EQ(EINVAL, enable(vm, KVM_CAP_MAX_VCPU_ID, 8));
	EXPECT_EQ(0, enable(vm, KVM_CAP_MAX_VCPU_ID, 10));
	EXPECT_EQ(0, enable(vm, KVM_CAP_MAX_VCPU_ID, 10));
	EXPECT_EQ(EINVAL, enable(vm, KVM_CAP_MAX_VCPU_ID, 11));
	EXPECT_ERR(EINVAL, ioctl(vm->fd, KVM_CREATE_VCPU, 10));
	fd = ioctl(vm->fd, KVM_CREATE_VCPU, 9);
	EXPECT_LE(0, fd);
	close(fd);
	tvm_destroy(vm);

	vm = tvm_create(0);
	fd = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
	EXPECT_LE(0, fd);
	EXPECT_EQ(EINVAL, enable(vm, KVM_CAP_MAX_VCPU_ID, 10));
	close(fd);
	tvm_destroy(vm);
}

/* The handler of an interrupt reports, and wakes the HLT that did not exit. */
PROGRAM(sleeper, 64, "sti; hlt; out %al, $" GUEST_STR(PORT_TEST));

TEST(disable_exits)
{
	struct tvm *vm = tvm_create(0);
	int offered = tvm_cap(vm, KVM_CAP_X86_DISABLE_EXITS);
	struct tcpu *cpu;

	EXPECT_EQ(EINVAL, enable(vm, KVM_CAP_X86_DISABLE_EXITS, 0x100));
	ASSERT_TRUE(offered & KVM_X86_DISABLE_EXITS_HLT);
	EXPECT_TRUE(offered & KVM_X86_DISABLE_EXITS_PAUSE);
	EXPECT_TRUE(offered & KVM_X86_DISABLE_EXITS_CSTATE);
	ASSERT_EQ(0, enable(vm, KVM_CAP_X86_DISABLE_EXITS, offered));
	cpu = tvm_vcpu(vm, 0);
	tcpu_load(cpu, &sleeper);
	/* It sleeps in the guest until something is injected: an NMI that is there already. */
	ASSERT_OK(ioctl(cpu->fd, KVM_NMI, 0));
	EXPECT_EQ(2, tcpu_run_fault(cpu));
	tcpu_destroy(cpu);
	tvm_destroy(vm);
}

TEST_F(enabled, sregs2)
{
	struct kvm_sregs old = tcpu_sregs(self->cpu);
	struct kvm_sregs2 sregs;

	EXPECT_EQ(1, tvm_cap(self->vm, KVM_CAP_SREGS2));
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_SREGS2, &sregs));
	EXPECT_EQ(0, sregs.flags);
	EXPECT_EQ(old.cr3, sregs.cr3);
	EXPECT_EQ(old.apic_base, sregs.apic_base);
	EXPECT_EQ(old.cs.selector, sregs.cs.selector);
	sregs.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_SREGS2, &sregs));
	sregs.flags = 2;
	EXPECT_ERR(EINVAL, ioctl(self->cpu->fd, KVM_SET_SREGS2, &sregs));

	/* The PDPTEs are the vCPU's, not memory's. */
	tcpu_mode(self->cpu, MODE_PAE);
	tcpu_load(self->cpu, &idle);
	ASSERT_OK(ioctl(self->cpu->fd, KVM_GET_SREGS2, &sregs));
	EXPECT_EQ(KVM_SREGS2_FLAGS_PDPTRS_VALID, sregs.flags);
	EXPECT_EQ(*(u64 *)(self->vm->mem + sregs.cr3), sregs.pdptrs[0]);
	*(u64 *)(self->vm->mem + sregs.cr3) = 0;
	ASSERT_OK(ioctl(self->cpu->fd, KVM_SET_SREGS2, &sregs));
	EXPECT_EQ(KVM_EXIT_HLT, tcpu_run(self->cpu));
}

#define EXIT_MEMORY_FAULT 39	/* younger than some headers */
#define CAP_MEMORY_FAULT_INFO 232
#define CAP_PRE_FAULT_MEMORY 236

TEST_F(enabled, memory_fault_info)
{
	struct { u64 flags, gpa, size; } *fault = (void *)self->cpu->run->padding;
	void *gone = tvm_map(4 * PAGE);

	if (!tvm_is_kvmlet() || !tvm_cap(self->vm, CAP_MEMORY_FAULT_INFO))
		SKIP(return, "the device says nothing about shared memory");
	ASSERT_OK(tvm_slot(self->vm, 5, 0, 0x500000, 4 * PAGE, gone));
	ASSERT_EQ(0, munmap(gone, 4 * PAGE));
	tcpu_mode(self->cpu, MODE_PROT32);
	tcpu_set_rip(self->cpu, 0x501000, false);
	EXPECT_EQ(-EFAULT, tcpu_run(self->cpu));
	EXPECT_EQ(EXIT_MEMORY_FAULT, self->cpu->run->exit_reason);
	EXPECT_EQ(0, fault->flags);
	EXPECT_EQ(0x501000, fault->gpa);
	EXPECT_EQ(PAGE, fault->size);
}

struct pre_fault {
	u64 gpa, size, flags, padding[5];
};

#define PRE_FAULT _IOWR(KVMIO, 0xd5, struct pre_fault)

TEST_F(enabled, pre_fault_memory)
{
	struct pre_fault range = { .gpa = 0x100000, .size = 0x10000 };
	int fd = self->cpu->fd;

	if (!tvm_cap(self->vm, CAP_PRE_FAULT_MEMORY))
		SKIP(return, "the device does not offer it");
	EXPECT_OK(ioctl(fd, PRE_FAULT, &range));
	EXPECT_EQ(0, range.size);
	EXPECT_EQ(0x110000, range.gpa);
	range = (struct pre_fault) { .gpa = GUEST_SIZE - PAGE, .size = 2 * PAGE };
	EXPECT_OK(ioctl(fd, PRE_FAULT, &range));
	EXPECT_EQ(PAGE, range.size);
	EXPECT_EQ(GUEST_SIZE, range.gpa);
	EXPECT_ERR(ENOENT, ioctl(fd, PRE_FAULT, &range));
	range = (struct pre_fault) { .gpa = 0x100000, .size = PAGE, .flags = 1 };
	EXPECT_ERR(EINVAL, ioctl(fd, PRE_FAULT, &range));
	range = (struct pre_fault) { .gpa = 0x100001, .size = PAGE };
	EXPECT_ERR(EINVAL, ioctl(fd, PRE_FAULT, &range));
	range = (struct pre_fault) { .gpa = 0x100000, .size = 1 };
	EXPECT_ERR(EINVAL, ioctl(fd, PRE_FAULT, &range));
	range = (struct pre_fault) { .gpa = 0x100000 };
	EXPECT_ERR(EINVAL, ioctl(fd, PRE_FAULT, &range));
	EXPECT_ERR(EFAULT, ioctl(fd, PRE_FAULT, 0x10));
}

TEST_HARNESS_MAIN
