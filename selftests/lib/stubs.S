/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's default exception and interrupt handlers, one set for each code size.
 * Must not change a register: a test looks at them when a handler reports.
 *
 * Each pushes a zero where the CPU pushes no error code, then its vector, reports by
 * an OUT to PORT_FAULT, and returns when the guest is run again.
 */
#include "guest.h"

	.section .rodata.guest, "a", @progbits

	.macro fake_error vector
	.if (\vector == 8) || ((\vector >= 10) && (\vector <= 14)) || (\vector == 17) || \
	    (\vector == 21) || (\vector == 29) || (\vector == 30)
	.else
	push	$0
	.endif
	.endm

	.balign	16
	.globl	stubs64
stubs64:
	.code64
	.set	vector, 0
	.rept	256
	.balign	STUB_SIZE, 0x90
	fake_error vector
	.byte	0x68
	.long	vector
	out	%al, $PORT_FAULT
	add	$16, %rsp
	iretq
	.set	vector, vector + 1
	.endr

	/* 64-bit ones that acknowledge an interrupt after the report, at its controller. */
	.macro eoi_stubs name
	.balign	16
	.globl	\name
\name:
	.code64
	.set	vector, 0
	.rept	256
	.balign	STUB_SIZE, 0x90
	fake_error vector
	.byte	0x68
	.long	vector
	out	%al, $PORT_FAULT
	jmp	.Leoi_\name
	.set	vector, vector + 1
	.endr
.Leoi_\name:
	add	$16, %rsp
	push	%rax
	push	%rcx
	push	%rdx
	.endm

	.macro eoi_end name
	pop	%rdx
	pop	%rcx
	pop	%rax
	iretq
	.globl	\name\()_end
\name\()_end:
	.endm

	eoi_stubs stubs64_lapic
	mov	$(GUEST_LAPIC + 0xb0), %eax
	movl	$0, (%rax)
	eoi_end stubs64_lapic

	eoi_stubs stubs64_x2apic
	mov	$0x80b, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	eoi_end stubs64_x2apic

	eoi_stubs stubs64_pic
	mov	$0x20, %al
	out	%al, $0xa0
	out	%al, $0x20
	eoi_end stubs64_pic

	.balign	16
	.globl	stubs32
stubs32:
	.code32
	.set	vector, 0
	.rept	256
	.balign	STUB_SIZE, 0x90
	fake_error vector
	.byte	0x68
	.long	vector
	out	%al, $PORT_FAULT
	add	$8, %esp
	iretl
	.set	vector, vector + 1
	.endr

	.balign	16
	.globl	stubs16
stubs16:
	.code16
	.set	vector, 0
	.rept	256
	.balign	STUB_SIZE, 0x90
	.byte	0x68
	.word	vector
	out	%al, $PORT_FAULT
	add	$2, %sp
	iretw
	.set	vector, vector + 1
	.endr
	.globl	stubs_end
stubs_end:
	.code64

	.section .note.GNU-stack, "", @progbits
