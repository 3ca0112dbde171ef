/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way into the guest and out of it: general registers, VMLAUNCH or VMRESUME, and what must
 * happen before the first RET.
 * This file must not decide anything; its caller has chosen the flags.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/nospec-branch.h>
#include <asm/segment.h>

/* struct vmx_enter, see vmx.h: static_asserts in run.c hold these offsets. */
#define ENTER_FLAGS		0
#define ENTER_SPEC_GUEST	8
#define ENTER_SPEC_HOST		16
#define ENTER_HOST_RSP		24
#define ENTER_VERW_SEL		32

#define FLAG_RESUME_BIT		0	/* the others are masks */
#define FLAG_SPEC_CTRL		4
#define FLAG_VERW		16
#define FLAG_SPEC_SAVE		32

#define FIELD_HOST_RSP		0x6c14
#define MSR_SPEC_CTRL		0x48

.section .noinstr.text, "ax"

/*
 * int __vmx_enter(unsigned long *regs, struct vmx_enter *e)
 * Returns 0 after a VM exit, 1 when the instruction failed, 2 when it faulted.
 */
SYM_FUNC_START(__vmx_enter)
	push	%rbp
	mov	%rsp, %rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rsi			/* e */
	push	%rdi			/* regs */

	cmp	%rsp, ENTER_HOST_RSP(%rsi)
	je	.Lrsp_known
	mov	$FIELD_HOST_RSP, %eax
.Lwrite_rsp:
	vmwrite	%rsp, %rax
	mov	%rsp, ENTER_HOST_RSP(%rsi)
.Lrsp_known:
	mov	ENTER_FLAGS(%rsi), %ebx

	/* No RET and no indirect branch from here to the guest: the host's protection is off. */
	test	$FLAG_SPEC_CTRL, %bl
	jz	.Lspec_guest
	mov	ENTER_SPEC_GUEST(%rsi), %eax
	cmp	ENTER_SPEC_HOST(%rsi), %eax
	je	.Lspec_guest
	mov	$MSR_SPEC_CTRL, %ecx
	xor	%edx, %edx
	wrmsr
.Lspec_guest:
	test	$FLAG_VERW, %bl
	jz	.Lno_verw
	verw	ENTER_VERW_SEL(%rsi)
.Lno_verw:
	mov	%rdi, %rax
	bt	$FLAG_RESUME_BIT, %ebx	/* CF stays to the branch below: MOV keeps flags */
	mov	1*8(%rax), %rcx
	mov	2*8(%rax), %rdx
	mov	3*8(%rax), %rbx
	mov	5*8(%rax), %rbp
	mov	6*8(%rax), %rsi
	mov	7*8(%rax), %rdi
	mov	8*8(%rax), %r8
	mov	9*8(%rax), %r9
	mov	10*8(%rax), %r10
	mov	11*8(%rax), %r11
	mov	12*8(%rax), %r12
	mov	13*8(%rax), %r13
	mov	14*8(%rax), %r14
	mov	15*8(%rax), %r15
	mov	0*8(%rax), %rax
	jnc	.Lvmlaunch

	/* The CPU comes back at vmx_vmexit, with RSP as HOST_RSP says: as if after a call. */
	UNWIND_HINT_SAVE
.Lvmresume:
	vmresume
	jmp	.Lfailed
.Lvmlaunch:
	vmlaunch
	jmp	.Lfailed

	_ASM_EXTABLE(.Lvmresume, .Lfaulted)
	_ASM_EXTABLE(.Lvmlaunch, .Lfaulted)
	_ASM_EXTABLE(.Lwrite_rsp, .Lfaulted)

SYM_INNER_LABEL(vmx_vmexit, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ENDBR
	push	%rax
	mov	8(%rsp), %rax
	pop	0*8(%rax)
	mov	%rcx, 1*8(%rax)
	mov	%rdx, 2*8(%rax)
	mov	%rbx, 3*8(%rax)
	mov	%rbp, 5*8(%rax)
	mov	%rsi, 6*8(%rax)
	mov	%rdi, 7*8(%rax)
	mov	%r8,  8*8(%rax)
	mov	%r9,  9*8(%rax)
	mov	%r10, 10*8(%rax)
	mov	%r11, 11*8(%rax)
	mov	%r12, 12*8(%rax)
	mov	%r13, 13*8(%rax)
	mov	%r14, 14*8(%rax)
	mov	%r15, 15*8(%rax)
	xor	%ebx, %ebx

.Lclear:
	pop	%rax			/* regs */
	pop	%rsi			/* e; not a guest value */

	/* No guest value may be left for speculation to use. */
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%ebp, %ebp
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d

	/*
	 * Before the first unbalanced RET: the guest may have filled or emptied the return stack
	 * buffer.
	 */
	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, \
			   X86_FEATURE_RSB_VMEXIT_LITE

	testl	$FLAG_SPEC_CTRL, ENTER_FLAGS(%rsi)
	jz	.Lspec_host
	mov	$MSR_SPEC_CTRL, %ecx
	mov	ENTER_SPEC_GUEST(%rsi), %eax
	testl	$FLAG_SPEC_SAVE, ENTER_FLAGS(%rsi)
	jz	.Lspec_known
	rdmsr
	mov	%eax, ENTER_SPEC_GUEST(%rsi)
.Lspec_known:
	cmp	ENTER_SPEC_HOST(%rsi), %eax
	/* Legacy IBRS protects what comes after a write of it, even of the same value. */
	ALTERNATIVE "je .Lspec_host", "", X86_FEATURE_KERNEL_IBRS
	mov	ENTER_SPEC_HOST(%rsi), %eax
	xor	%edx, %edx
	wrmsr
.Lspec_host:
	/* A branch mispredicted over the write must not run ahead with the guest's setting. */
	ALTERNATIVE "", "lfence", X86_FEATURE_MSR_SPEC_CTRL

#ifdef X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT
	CLEAR_BRANCH_HISTORY_VMEXIT
#endif
	mov	%ebx, %eax
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET

.Lfaulted:
	mov	$2, %ebx
	jmp	.Lclear
.Lfailed:
	mov	$1, %ebx
	jmp	.Lclear
SYM_FUNC_END(__vmx_enter)
