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
