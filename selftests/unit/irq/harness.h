/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM with the interrupt hardware and some vCPUs, and short words for what a guest does with it.
 * It must not look into the devices except through what guests and user space see.
 */
#ifndef UNIT_IRQ_HARNESS_H
#define UNIT_IRQ_HARNESS_H

#include "irq.h"
#include "ktap.h"
#include "requests.h"
#include "vm.h"

extern struct vm vm;
extern unsigned int nr_bad;

/* One test: all its checks together are one line of KTAP. */
#define TEST(fn) run_test(#fn, fn)
void run_test(const char *name, void (*fn)(void));

#define CHECK(cond) check((cond), #cond, __FILE__, __LINE__)
#define EQUAL(got, want) equal((got), (want), #got, __FILE__, __LINE__)
void check(bool ok, const char *what, const char *file, int line);
void equal(s64 got, s64 want, const char *what, const char *file, int line);

/* A VM with irqchip and @nr vCPUs with ids 0 up; the APICs software enabled. */
void vm_begin(unsigned int nr);
void vm_add_vcpu(u32 id);
void vm_end(void);
struct vcpu *cpu(unsigned int i);

/* Port I/O by vCPU 0; -1 when nobody takes it. */
int in8(unsigned int port);
int out8(unsigned int port, u8 value);

u32 apic_read(unsigned int i, unsigned int offset);
void apic_write(unsigned int i, unsigned int offset, u32 value);
void x2apic_enable(unsigned int i);
/* 0, or 1 for #GP */
int x2apic_write(unsigned int i, unsigned int offset, u64 value);
u64 x2apic_read(unsigned int i, unsigned int offset);

u32 ioapic_read(u8 reg);
void ioapic_write(u8 reg, u32 value);
/* An entry: low half with vector, mode and so on; destination id. */
void ioapic_entry(unsigned int pin, u32 low, u8 dest);

/* The vCPU looks for an interrupt as before an entry: the vector it takes, or -1. */
int take(unsigned int i);
/* The same, and ends its service. */
int take_and_eoi(unsigned int i);
/* REQ_EVENT was set: clears it. */
bool told(unsigned int i);

void test_pic(void);
void test_pit(void);
void test_ioapic(void);
void test_lapic(void);
void test_ipi(void);
void test_timer(void);
void test_route(void);
void test_iobus(void);

#endif
