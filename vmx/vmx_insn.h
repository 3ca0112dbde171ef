/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The VMX instructions, each with an exception-table entry, and width-checked VMCS accessors.
 * This header must not decide anything: a failure is reported, the caller says what follows.
 */
#ifndef KVMLET_VMX_INSN_H
#define KVMLET_VMX_INSN_H

#include <linux/bug.h>
#include <linux/types.h>
#include <asm/asm.h>

#include "vmcs_fields.h"

/*
 * How a VMX instruction ended, "Conventions" of the VMX instruction reference, plus the fault that
 * comes when VMX is off.
 */
enum vmx_result { VMX_OK, VMX_FAILED, VMX_FAULTED };

/*
 * vmx_@name(): one instruction with a physical address in memory. VMfail sets CF or ZF, which
 * SETNA turns into VMX_FAILED; a fault skips it.
 */
#define DEFINE_VMX_INSN(name, insn)							\
static __always_inline enum vmx_result vmx_##name(u64 pa)				\
{											\
	unsigned int result = VMX_FAULTED;						\
											\
	asm volatile("1: " insn " %1\n\t"						\
		     "setna %b0\n\t"							\
		     "2:\n\t"								\
		     _ASM_EXTABLE(1b, 2b)						\
		     : "+q"(result) : "m"(pa) : "cc", "memory");			\
	return result;									\
}

DEFINE_VMX_INSN(on, "vmxon")
DEFINE_VMX_INSN(clear, "vmclear")
DEFINE_VMX_INSN(ptrld, "vmptrld")

static __always_inline enum vmx_result vmx_off(void)
{
	unsigned int result = VMX_FAULTED;

	asm volatile("1: vmxoff\n\t"
		     "setna %b0\n\t"
		     "2:\n\t"
		     _ASM_EXTABLE(1b, 2b)
		     : "+q"(result) : : "cc", "memory");
	return result;
}

/* VMPTRST writes all ones when no VMCS is current, and so does this when VMX is off. */
static __always_inline u64 vmx_ptrst(void)
{
	u64 vmcs = ~0ull;

	asm volatile("1: vmptrst %0\n\t"
		     "2:\n\t"
		     _ASM_EXTABLE(1b, 2b)
		     : "+m"(vmcs) : : "cc");
	return vmcs;
}

struct invept_desc {
	u64 eptp, zero;
};

struct invvpid_desc {
	u64 vpid, address;
};

#define INVEPT_CONTEXT		1ul
#define INVEPT_ALL		2ul
#define INVVPID_ADDRESS		0ul
#define INVVPID_CONTEXT		1ul
#define INVVPID_ALL		2ul

/* vmx_@name(): one instruction with a type and a descriptor. */
#define DEFINE_VMX_INVALIDATION(name)							\
static __always_inline enum vmx_result vmx_##name(unsigned long type,			\
						  struct name##_desc desc)		\
{											\
	unsigned int result = VMX_FAULTED;						\
											\
	asm volatile("1: " #name " %1, %2\n\t"						\
		     "setna %b0\n\t"							\
		     "2:\n\t"								\
		     _ASM_EXTABLE(1b, 2b)						\
		     : "+q"(result) : "m"(desc), "r"(type) : "cc", "memory");		\
	return result;									\
}

DEFINE_VMX_INVALIDATION(invept)
DEFINE_VMX_INVALIDATION(invvpid)

/* vmcs.c: warn once, name the field, and kill the VM whose VMCS is current. */
void vmcs_read_failed(unsigned long field);
void vmcs_write_failed(unsigned long field, unsigned long value);

/* Both go on behind the jump at label 2, which is where a fault continues. */
static __always_inline unsigned long vmcs_read_raw(unsigned long field)
{
	unsigned long value;

	asm volatile goto("1: vmread %1, %0\n\t"
			  "ja 3f\n\t"
			  "2: jmp %l[failed]\n\t"
			  "3:\n\t"
			  _ASM_EXTABLE(1b, 2b)
			  : "=r"(value) : "r"(field) : "cc" : failed);
	return value;
failed:
	vmcs_read_failed(field);
	return 0;
}

static __always_inline void vmcs_write_raw(unsigned long field, unsigned long value)
{
	asm volatile goto("1: vmwrite %1, %0\n\t"
			  "ja 3f\n\t"
			  "2: jmp %l[failed]\n\t"
			  "3:\n\t"
			  _ASM_EXTABLE(1b, 2b)
			  : : "r"(field), "rm"(value) : "cc", "memory" : failed);
	return;
failed:
	vmcs_write_failed(field, value);
}

/* Bits 14:13 of an encoding are the width, bit 0 the high half of a 64-bit field. */
#define VMCS_WIDTH(field)	(((field) >> 13) & 3)
enum vmcs_width { VMCS_WIDTH_16, VMCS_WIDTH_64, VMCS_WIDTH_32, VMCS_WIDTH_NATURAL };

#define VMCS_CHECK(field, width)						\
	BUILD_BUG_ON_MSG(__builtin_constant_p(field) && VMCS_WIDTH(field) != (width),	\
			 "VMCS accessor of the wrong width")

static __always_inline u16 vmcs_read16(unsigned long field)
{
	VMCS_CHECK(field, VMCS_WIDTH_16);
	return vmcs_read_raw(field);
}

static __always_inline void vmcs_write16(unsigned long field, u16 value)
{
	VMCS_CHECK(field, VMCS_WIDTH_16);
	vmcs_write_raw(field, value);
}

static __always_inline u32 vmcs_read32(unsigned long field)
{
	VMCS_CHECK(field, VMCS_WIDTH_32);
	return vmcs_read_raw(field);
}

static __always_inline void vmcs_write32(unsigned long field, u32 value)
{
	VMCS_CHECK(field, VMCS_WIDTH_32);
	vmcs_write_raw(field, value);
}

static __always_inline u64 vmcs_read64(unsigned long field)
{
	VMCS_CHECK(field, VMCS_WIDTH_64);
	return vmcs_read_raw(field);
}

static __always_inline void vmcs_write64(unsigned long field, u64 value)
{
	VMCS_CHECK(field, VMCS_WIDTH_64);
	vmcs_write_raw(field, value);
}

static __always_inline unsigned long vmcs_readl(unsigned long field)
{
	VMCS_CHECK(field, VMCS_WIDTH_NATURAL);
	return vmcs_read_raw(field);
}

static __always_inline void vmcs_writel(unsigned long field, unsigned long value)
{
	VMCS_CHECK(field, VMCS_WIDTH_NATURAL);
	vmcs_write_raw(field, value);
}

static __always_inline void vmcs_set32(unsigned long field, u32 bits)
{
	vmcs_write32(field, vmcs_read32(field) | bits);
}

static __always_inline void vmcs_clear32(unsigned long field, u32 bits)
{
	vmcs_write32(field, vmcs_read32(field) & ~bits);
}

#endif
