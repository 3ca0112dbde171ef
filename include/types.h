/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Address types of the four address spaces and the return contract of exit handlers.
 * This header must not know any structure of the module.
 */
#ifndef KVMLET_TYPES_H
#define KVMLET_TYPES_H

#include <linux/kvm_types.h>	/* gva_t, gpa_t, gfn_t (4 KiB frames), hva_t, hpa_t */
#include <linux/types.h>

#define INVALID_GPA	(~(gpa_t)0)

static inline gfn_t gpa_to_gfn(gpa_t gpa)
{
	return gpa >> 12;
}

static inline gpa_t gfn_to_gpa(gfn_t gfn)
{
	return gfn << 12;
}

/*
 * What an exit handler, and each step below KVM_RUN, returns. A negative value is an errno for
 * user space; KVM_RUN then leaves run->exit_reason at KVM_EXIT_UNKNOWN unless said otherwise.
 */
enum run_result {
	RUN_TO_USER = 0,	/* vcpu->run is filled; return 0 from KVM_RUN */
	RUN_RESUME = 1,		/* enter the guest again */
};

/* Indexes into vcpu->regs[], in the order of x86 instruction encoding. */
enum vcpu_reg {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	NR_GPRS
};

/* Segment registers, in the order of x86 instruction encoding; then the system ones. */
enum vcpu_seg {
	SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_TR, SEG_LDTR, NR_SEGS
};

/* Exceptions by vector. */
enum x86_vector {
	VEC_DE, VEC_DB, VEC_NMI, VEC_BP, VEC_OF, VEC_BR, VEC_UD, VEC_NM, VEC_DF,
	VEC_TS = 10, VEC_NP, VEC_SS, VEC_GP, VEC_PF, VEC_MF = 16, VEC_AC, VEC_MC, VEC_XM,
	VEC_VE, VEC_CP
};

/* Page-fault error code bits ("Page-Fault Exceptions"). */
#define PFEC_PRESENT	BIT(0)
#define PFEC_WRITE	BIT(1)
#define PFEC_USER	BIT(2)
#define PFEC_RSVD	BIT(3)
#define PFEC_FETCH	BIT(4)
#define PFEC_PK		BIT(5)

/**
 * struct guest_exception - an exception to be delivered to the guest
 * @vector:	exception vector
 * @has_error:	an error code is pushed
 * @error:	the error code
 * @cr2:	new CR2 for a page fault, DR6 bits for a #DB
 */
struct guest_exception {
	u8 vector;
	bool has_error;
	u32 error;
	u64 cr2;
};

#endif
