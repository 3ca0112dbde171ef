/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small VM library for the tests: make a VM, put a vCPU into a mode, run guest code.
 * Must not hide an error of the device under test: what a test did not expect ends it.
 */
#ifndef SELFTESTS_LIB_TVM_H
#define SELFTESTS_LIB_TVM_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "guest.h"

#define TVM_IRQCHIP	0x01	/* PIC, IOAPIC and LAPIC in the kernel */
#define TVM_PIT		0x02	/* and the PIT with its speaker port; implies TVM_IRQCHIP */
#define TVM_NO_MEMORY	0x04	/* no slot at all */

#define PAGE 4096UL

/**
 * struct tvm - one VM
 * @dev: the device's file descriptor
 * @fd: the VM's file descriptor
 * @mem: where guest physical 0 is mapped; GUEST_SIZE bytes
 * @run_size: bytes of a vCPU's mapping
 * @flags: TVM_* it was made with
 */
struct tvm {
	int dev;
	int fd;
	u8 *mem;
	size_t run_size;
	unsigned int flags;
};

enum tmode {
	MODE_REAL,
	MODE_PROT16,
	MODE_PROT32,
	MODE_PAGED32,
	MODE_PAE,
	MODE_LONG,
	MODE_COUNT,
};

/* Where a 64-bit handler acknowledges an interrupt after its report. */
enum teoi {
	EOI_NONE,
	EOI_LAPIC,
	EOI_X2APIC,
	EOI_PIC,
};

/**
 * struct tcpu - one vCPU
 * @vm: its VM
 * @fd: its file descriptor
 * @run: its shared page
 * @mode: what tcpu_mode() set last
 */
struct tcpu {
	struct tvm *vm;
	int fd;
	struct kvm_run *run;
	enum tmode mode;
};

/**
 * struct tfault - what a default handler found on its stack
 * @vector: exception or interrupt vector
 * @error: error code, 0 where the CPU pushes none
 * @rip: saved instruction pointer
 * @cs: saved code segment
 * @rflags: saved flags
 * @frame: linear address of the saved instruction pointer, to change it
 */
struct tfault {
	unsigned int vector;
	u64 error;
	u64 rip;
	u64 cs;
	u64 rflags;
	u64 frame;
};

/* Print a message in KTAP's comment form and end the test as failed. */
#define tvm_die(fmt, ...) do { \
	fprintf(stderr, "# lib: " fmt "\n", ##__VA_ARGS__); \
	_exit(1); \
} while (0)

/**
 * tvm_err() - the errno of a system call's result
 * @ret: what the call returned
 *
 * Return: errno when @ret is negative, else 0.
 */
int tvm_err(long ret);

/** tvm_device() - Return: the path of the device under test (KVMLET_DEVICE). */
const char *tvm_device(void);

/**
 * tvm_use() - change the device under test for VMs made from now on
 * @path: the device
 */
void tvm_use(const char *path);

/** tvm_is_kvmlet() - Return: whether the device under test is not the in-tree one. */
bool tvm_is_kvmlet(void);

/** tvm_on_shadow() - Return: whether the device's module was loaded with ept=0. */
bool tvm_on_shadow(void);

/** tvm_open() - open the device under test. Return: its file descriptor. */
int tvm_open(void);

/**
 * tvm_cap() - ask for a capability on the VM's file descriptor
 * @vm: the VM
 * @cap: KVM_CAP_*
 *
 * Return: the answer, 0 or greater.
 */
int tvm_cap(struct tvm *vm, long cap);

/**
 * tvm_create() - make a VM with GUEST_SIZE bytes of memory and a hole at 640 KiB
 * @flags: TVM_*
 *
 * The memory holds a GDT, page tables for every mode, and default handlers for every
 * vector of 64-bit mode. Return: the VM, never NULL.
 */
struct tvm *tvm_create(unsigned int flags);

/**
 * tvm_destroy() - close the VM and give its memory back
 * @vm: the VM; its vCPUs must be gone
 */
void tvm_destroy(struct tvm *vm);

/**
 * tvm_counter() - one value of KVM_GET_STATS_FD
 * @fd: the VM's or the vCPU's file descriptor of counters
 * @name: the counter's name
 *
 * Return: the value, or -1 when there is none of this name.
 */
long tvm_counter(int fd, const char *name);

/**
 * tvm_slot() - call KVM_SET_USER_MEMORY_REGION
 * @vm: the VM
 * @slot: slot number
 * @flags: KVM_MEM_*
 * @gpa: guest physical address
 * @size: bytes; 0 deletes
 * @hva: where the memory is mapped
 *
 * Return: what ioctl() returned.
 */
int tvm_slot(struct tvm *vm, u32 slot, u32 flags, u64 gpa, u64 size,
	     const void *hva);

/**
 * tvm_map() - map fresh anonymous zeroed memory, page aligned
 * @size: bytes
 *
 * Return: its address, never NULL.
 */
void *tvm_map(size_t size);

/**
 * tvm_vcpu() - make a vCPU with the supported CPUID, in MODE_LONG
 * @vm: the VM
 * @id: vCPU id
 *
 * Return: the vCPU, never NULL.
 */
struct tcpu *tvm_vcpu(struct tvm *vm, unsigned int id);

/**
 * tvm_vcpu_raw() - make a vCPU and leave it as it was born
 * @vm: the VM
 * @id: vCPU id
 *
 * Return: the vCPU, never NULL.
 */
struct tcpu *tvm_vcpu_raw(struct tvm *vm, unsigned int id);

/**
 * tcpu_destroy() - unmap and close a vCPU
 * @cpu: the vCPU
 */
void tcpu_destroy(struct tcpu *cpu);

/** tvm_supported_cpuid() - Return: the device's CPUID table; static storage. */
struct kvm_cpuid2 *tvm_supported_cpuid(void);

/**
 * tvm_cpuid_has() - look up one bit of the supported CPUID
 * @leaf: CPUID leaf
 * @index: its subleaf
 * @reg: 0 to 3 for EAX, EBX, ECX, EDX
 * @bit: 0 to 31
 *
 * Return: whether the device offers it to guests.
 */
bool tvm_cpuid_has(u32 leaf, u32 index, unsigned int reg, unsigned int bit);

/**
 * tcpu_mode() - put a vCPU at GUEST_CODE in a mode, and the mode's handlers into memory
 * @cpu: the vCPU
 * @mode: the mode
 *
 * General registers become 0, the stack pointer GUEST_CODE, interrupts are off. An FPU
 * state is left alone.
 */
void tcpu_mode(struct tcpu *cpu, enum tmode mode);

/**
 * tcpu_handlers() - replace the 64-bit handlers of all vectors
 * @cpu: the vCPU, in MODE_LONG
 * @eoi: how they end an interrupt
 */
void tcpu_handlers(struct tcpu *cpu, enum teoi eoi);

/** tmode_name() - Return: a mode's name for messages. */
const char *tmode_name(enum tmode mode);

/**
 * tcpu_settle() - let the vCPU finish the instruction of its last exit, and no more
 * @cpu: the vCPU
 *
 * Registers belong to the instruction until then: KVM_RUN would overwrite what a test sets.
 */
void tcpu_settle(struct tcpu *cpu);

/**
 * tcpu_load() - copy guest code to GUEST_CODE and point the vCPU at it
 * @cpu: the vCPU
 * @code: a PROGRAM()
 */
void tcpu_load(struct tcpu *cpu, const struct guest_code *code);

/**
 * tcpu_load_bytes() - as tcpu_load(), from a buffer
 * @cpu: the vCPU
 * @bytes: machine code
 * @size: bytes, less than 16 KiB
 */
void tcpu_load_bytes(struct tcpu *cpu, const void *bytes, size_t size);

/**
 * tcpu_run() - KVM_RUN once
 * @cpu: the vCPU
 *
 * Return: the exit reason, or -errno.
 */
int tcpu_run(struct tcpu *cpu);

/** tcpu_regs() - Return: the general registers. */
struct kvm_regs tcpu_regs(struct tcpu *cpu);

/** tcpu_set_regs() - set the general registers. */
void tcpu_set_regs(struct tcpu *cpu, const struct kvm_regs *regs);

/** tcpu_set_rip() - move a vCPU, with IF as given and no other flag. */
void tcpu_set_rip(struct tcpu *cpu, u64 rip, bool interrupts);

/** tcpu_sregs() - Return: the system registers. */
struct kvm_sregs tcpu_sregs(struct tcpu *cpu);

/** tcpu_set_sregs() - set the system registers. */
void tcpu_set_sregs(struct tcpu *cpu, const struct kvm_sregs *sregs);

/**
 * tcpu_get_msr() - read one MSR
 * @cpu: the vCPU
 * @index: its number
 * @value: where to put it
 *
 * Return: whether the device gave it.
 */
bool tcpu_get_msr(struct tcpu *cpu, u32 index, u64 *value);

/**
 * tcpu_set_msr() - write one MSR
 * @cpu: the vCPU
 * @index: its number
 * @value: the value
 *
 * Return: whether the device took it.
 */
bool tcpu_set_msr(struct tcpu *cpu, u32 index, u64 value);

/**
 * tcpu_is_out() - did the last run end in an OUT of a byte to a port?
 * @cpu: the vCPU
 * @port: the port
 */
bool tcpu_is_out(struct tcpu *cpu, u16 port);

/** tcpu_io_data() - Return: where the data of the last KVM_EXIT_IO lies. */
void *tcpu_io_data(struct tcpu *cpu);

/**
 * tcpu_fault() - did the last run end in a default handler, and which one?
 * @cpu: the vCPU
 * @fault: filled in when it did
 */
bool tcpu_fault(struct tcpu *cpu, struct tfault *fault);

/**
 * tcpu_run_fault() - run until a default handler reports
 * @cpu: the vCPU
 *
 * Return: the vector, or -1 with a message when the vCPU did something else.
 */
int tcpu_run_fault(struct tcpu *cpu);

/* What tcpu_wait() says when the guest came to the end of its loop. */
#define WAIT_NOTHING 0x1000

/**
 * tcpu_idle() - point the vCPU at a loop that reports now and then, interrupts on or off
 * @cpu: the vCPU, in MODE_LONG
 * @interrupts: whether the loop has interrupts on
 */
void tcpu_idle(struct tcpu *cpu, bool interrupts);

/**
 * tcpu_wait() - run until a handler reports, or the code by an OUT to PORT_TEST
 * @cpu: the vCPU
 *
 * Return: the vector, WAIT_NOTHING for PORT_TEST, or -1 with a message for anything else.
 */
int tcpu_wait(struct tcpu *cpu);

/**
 * tcpu_explain() - print the last exit and the registers as KTAP comments
 * @cpu: the vCPU
 */
void tcpu_explain(struct tcpu *cpu);

/**
 * tvm_gate() - point a vector of the current mode's table at guest code
 * @cpu: the vCPU, for its mode
 * @vector: 0 to 255
 * @handler: linear address
 */
void tvm_gate(struct tcpu *cpu, unsigned int vector, u64 handler);

/**
 * tvm_pte() - the 4 KiB page table entry that MODE_LONG and MODE_PAE use for an address
 * @vm: the VM
 * @gva: linear address below 2 MiB
 *
 * Return: where the entry lies in the host.
 */
u64 *tvm_pte(struct tvm *vm, u64 gva);

/** tcpu_read32() - let the guest read. Return: what it read from a linear address. */
u32 tcpu_read32(struct tcpu *cpu, u64 address);

/** tcpu_write32() - let the guest write to a linear address. */
void tcpu_write32(struct tcpu *cpu, u64 address, u32 value);

/** tcpu_in8() - let the guest read a port. Return: what it read. */
u8 tcpu_in8(struct tcpu *cpu, u16 port);

/** tcpu_out8() - let the guest write to a port of the kernel's. */
void tcpu_out8(struct tcpu *cpu, u16 port, u8 value);

/** tcpu_rdmsr() - let the guest read an MSR. Return: false when it got an exception. */
bool tcpu_rdmsr(struct tcpu *cpu, u32 index, u64 *value);

/** tcpu_wrmsr() - let the guest write an MSR. Return: false when it got an exception. */
bool tcpu_wrmsr(struct tcpu *cpu, u32 index, u64 value);

/** tcpu_cr8() - let the guest read CR8. Return: the value. */
u64 tcpu_cr8(struct tcpu *cpu);

/** tcpu_set_cr8() - let the guest write CR8. */
void tcpu_set_cr8(struct tcpu *cpu, u64 value);

/** tvm_irq_line() - KVM_IRQ_LINE_STATUS. Return: the status it gave. */
int tvm_irq_line(struct tvm *vm, u32 gsi, u32 level);

/** tcpu_start_lapic() - mask the PICs, enable the LAPIC, handlers that end interrupts there. */
void tcpu_start_lapic(struct tcpu *cpu);

/** tvm_rdtsc() - Return: the host's time stamp counter. */
static inline u64 tvm_rdtsc(void)
{
	u32 low, high;

	asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (u64)high << 32 | low;
}

/* For modes.c: fills the fixed parts of guest memory. */
void tvm_write_tables(u8 *mem);

#endif
