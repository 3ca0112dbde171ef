/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The instruction forms that mmio.c runs, each with the accesses a device must see.
 * Must not hold expected results: those come from the CPU itself, on plain memory.
 *
 * X(identifier, instructions, accesses). RSI points to the operand, RDI to plain memory,
 * FS begins at the operand. An access is its direction and its size in bytes.
 */
#ifndef SELFTESTS_KVM_MMIO_FORMS_H
#define SELFTESTS_KVM_MMIO_FORMS_H

#define MOVE_FORMS(X) \
	X(mov_load8, "mov (%rsi), %al", "r1") \
	X(mov_load16, "mov (%rsi), %ax", "r2") \
	X(mov_load32, "mov (%rsi), %eax", "r4") \
	X(mov_load64, "mov (%rsi), %rax", "r8") \
	X(mov_load_ah, "mov (%rsi), %ah", "r1") \
	X(mov_load_bh, "mov (%rsi), %bh", "r1") \
	X(mov_load_sil, "mov (%rsi), %r13b", "r1") \
	X(mov_load_r9d, "mov (%rsi), %r9d", "r4") \
	X(mov_load_rsi, "mov (%rsi), %rsi", "r8") \
	X(mov_store8, "mov %cl, (%rsi)", "w1") \
	X(mov_store16, "mov %cx, (%rsi)", "w2") \
	X(mov_store32, "mov %ecx, (%rsi)", "w4") \
	X(mov_store64, "mov %rcx, (%rsi)", "w8") \
	X(mov_store_ch, "mov %ch, (%rsi)", "w1") \
	X(mov_store_dil, "mov %dil, (%rsi)", "w1") \
	X(mov_store_r15, "mov %r15, 8(%rsi)", "w8") \
	X(mov_imm8, "movb $0x91, (%rsi)", "w1") \
	X(mov_imm16, "movw $0x9234, 2(%rsi)", "w2") \
	X(mov_imm32, "movl $0x93456789, 4(%rsi)", "w4") \
	X(mov_imm64, "movq $-0x12345678, 8(%rsi)", "w8") \
	X(mov_sib, "mov (%rsi,%r14,4), %edx", "r4") \
	X(mov_sib_disp, "mov %edx, -0x70(%rsi,%rbp,8)", "w4") \
	X(mov_addr32, "mov 3(%esi), %edx", "r4") \
	X(mov_fs, "mov %fs:0x10, %ebx", "r4") \
	X(mov_unaligned, "mov 1(%rsi), %rbx", "r8") \
	X(movabs_load8, "movabs %fs:0x18, %al", "r1") \
	X(movabs_load16, "movabs %fs:0x18, %ax", "r2") \
	X(movabs_load32, "movabs %fs:0x18, %eax", "r4") \
	X(movabs_load64, "movabs %fs:0x18, %rax", "r8") \
	X(movabs_store8, "movabs %al, %fs:0x18", "w1") \
	X(movabs_store16, "movabs %ax, %fs:0x18", "w2") \
	X(movabs_store32, "movabs %eax, %fs:0x18", "w4") \
	X(movabs_store64, "movabs %rax, %fs:0x18", "w8") \
	X(mov_segment, "mov %ds, (%rsi)", "w2") \
	X(movzx_8_16, "movzbw 6(%rsi), %ax", "r1") \
	X(movzx_8_32, "movzbl 6(%rsi), %eax", "r1") \
	X(movzx_8_64, "movzbq 6(%rsi), %r8", "r1") \
	X(movzx_16_32, "movzwl 6(%rsi), %eax", "r2") \
	X(movzx_16_64, "movzwq 6(%rsi), %rax", "r2") \
	X(movsx_8_16, "movsbw 6(%rsi), %ax", "r1") \
	X(movsx_8_32, "movsbl 6(%rsi), %eax", "r1") \
	X(movsx_8_64, "movsbq 6(%rsi), %rax", "r1") \
	X(movsx_16_32, "movswl 6(%rsi), %eax", "r2") \
	X(movsx_16_64, "movswq 6(%rsi), %rax", "r2") \
	X(movsx_32_64, "movslq 4(%rsi), %rax", "r4") \
	X(movnti32, "movnti %ecx, (%rsi)", "w4") \
	X(movnti64, "movnti %rcx, (%rsi)", "w8") \
	X(push_mem, "push (%rsi)", "r8") \
	X(push_mem16, "pushw (%rsi)", "r2") \
	X(pop_mem, "push %rcx; pop (%rsi)", "w8") \
	X(pop_mem16, "pushw %cx; popw (%rsi)", "w2")

#define ARITHMETIC_FORMS(X) \
	X(add_load8, "add (%rsi), %cl", "r1") \
	X(add_load16, "add (%rsi), %cx", "r2") \
	X(add_load32, "add (%rsi), %ecx", "r4") \
	X(add_load64, "add (%rsi), %rcx", "r8") \
	X(add_store8, "add %cl, (%rsi)", "r1w1") \
	X(add_store16, "add %cx, (%rsi)", "r2w2") \
	X(add_store32, "add %ecx, (%rsi)", "r4w4") \
	X(add_store64, "add %rcx, (%rsi)", "r8w8") \
	X(add_imm8, "addb $0x7f, (%rsi)", "r1w1") \
	X(add_imm16, "addw $0x7fff, (%rsi)", "r2w2") \
	X(add_imm32, "addl $0x7fffffff, (%rsi)", "r4w4") \
	X(add_imm32_sx, "addq $-2, (%rsi)", "r8w8") \
	X(or_store32, "or %ecx, (%rsi)", "r4w4") \
	X(or_load64, "or (%rsi), %rcx", "r8") \
	X(adc_carry, "stc; adc %ecx, (%rsi)", "r4w4") \
	X(adc_no_carry, "clc; adc %rcx, (%rsi)", "r8w8") \
	X(sbb_borrow, "stc; sbb %cx, (%rsi)", "r2w2") \
	X(sbb_load, "stc; sbb (%rsi), %ecx", "r4") \
	X(and_imm, "andl $0xff00ff, (%rsi)", "r4w4") \
	X(and_load8, "and (%rsi), %dl", "r1") \
	X(sub_store64, "sub %rcx, (%rsi)", "r8w8") \
	X(sub_load16, "sub (%rsi), %cx", "r2") \
	X(xor_store8, "xor %cl, (%rsi)", "r1w1") \
	X(xor_imm64, "xorq $0x5a5a5a5a, (%rsi)", "r8w8") \
	X(cmp_store32, "cmp %ecx, (%rsi)", "r4") \
	X(cmp_load64, "cmp (%rsi), %rcx", "r8") \
	X(cmp_imm8, "cmpb $0x11, (%rsi)", "r1") \
	X(test_reg32, "test %ecx, (%rsi)", "r4") \
	X(test_reg8, "test %cl, (%rsi)", "r1") \
	X(test_imm16, "testw $0x8001, (%rsi)", "r2") \
	X(test_imm64, "testq $0x7fffffff, (%rsi)", "r8") \
	X(inc32, "incl (%rsi)", "r4w4") \
	X(inc8, "stc; incb (%rsi)", "r1w1") \
	X(dec64, "decq (%rsi)", "r8w8") \
	X(not32, "notl (%rsi)", "r4w4") \
	X(neg16, "negw (%rsi)", "r2w2") \
	X(lock_add32, "lock addl $5, (%rsi)", "r4w4") \
	X(lock_or64, "lock or %rcx, (%rsi)", "r8w8") \
	X(lock_inc16, "lock incw (%rsi)", "r2w2") \
	X(lock_dec8, "lock decb (%rsi)", "r1w1") \
	X(xchg8, "xchg %cl, (%rsi)", "r1w1") \
	X(xchg16, "xchg %cx, (%rsi)", "r2w2") \
	X(xchg32, "xchg %ecx, (%rsi)", "r4w4") \
	X(xchg64, "xchg %rcx, (%rsi)", "r8w8") \
	X(xadd8, "xadd %cl, (%rsi)", "r1w1") \
	X(xadd32, "lock xadd %ecx, (%rsi)", "r4w4") \
	X(xadd64, "xadd %rcx, (%rsi)", "r8w8") \
	X(cmpxchg_same, "mov $0x13121110, %eax; cmpxchg %ecx, (%rsi)", "r4w4") \
	X(cmpxchg_other, "mov $0x11111111, %eax; cmpxchg %ecx, (%rsi)", NULL) \
	X(cmpxchg64, "mov $0x1716151413121110, %rax; lock cmpxchg %rcx, (%rsi)", "r8w8") \
	X(cmpxchg8, "mov $0x10, %al; cmpxchg %cl, (%rsi)", "r1w1") \
	X(cmpxchg8b_same, \
	  "mov $0x13121110, %eax; mov $0x17161514, %edx; lock cmpxchg8b (%rsi)", "r8w8") \
	X(cmpxchg8b_other, "lock cmpxchg8b (%rsi)", NULL)

#define BIT_FORMS(X) \
	X(bt_imm, "btl $5, (%rsi)", "r4") \
	X(bt_reg, "mov $70, %ecx; bt %rcx, (%rsi)", "r8") \
	X(bt_reg16, "mov $0x23, %cx; bt %cx, (%rsi)", "r2") \
	X(bt_negative, "add $16, %rsi; mov $-20, %ecx; bt %ecx, (%rsi)", "r4") \
	X(bts_imm, "btsl $1, (%rsi)", "r4w4") \
	X(bts_reg, "mov $33, %ecx; lock bts %ecx, (%rsi)", "r4w4") \
	X(btr_imm, "btrq $36, (%rsi)", "r8w8") \
	X(btr_reg, "mov $4, %ecx; btr %ecx, (%rsi)", "r4w4") \
	X(btc_imm, "btcw $12, (%rsi)", "r2w2") \
	X(btc_reg, "mov $12, %ecx; lock btc %ecx, (%rsi)", "r4w4")

#define STRING_FORMS(X) \
	X(stosb, "xchg %rsi, %rdi; stosb", "w1") \
	X(stosq, "xchg %rsi, %rdi; stosq", "w8") \
	X(rep_stosb, "xchg %rsi, %rdi; mov $3, %ecx; rep stosb", "w1w1w1") \
	X(rep_stosw, "xchg %rsi, %rdi; mov $2, %ecx; rep stosw", "w2w2") \
	X(rep_stosl, "xchg %rsi, %rdi; mov $3, %ecx; rep stosl", "w4w4w4") \
	X(stos_backward, "std; lea 8(%rsi), %rdi; mov $2, %ecx; rep stosl; cld", "w4w4") \
	X(lodsb, "lodsb", "r1") \
	X(lodsw, "lodsw", "r2") \
	X(lodsl, "lodsl", "r4") \
	X(lodsq, "lodsq", "r8") \
	X(rep_lodsl, "mov $3, %ecx; rep lodsl", "r4r4r4") \
	X(movsb_from, "movsb", "r1") \
	X(movsl_to, "xchg %rsi, %rdi; movsl", "w4") \
	X(rep_movsb_from, "mov $3, %ecx; rep movsb", "r1r1r1") \
	X(rep_movsw_to, "xchg %rsi, %rdi; mov $3, %ecx; rep movsw", "w2w2w2") \
	X(rep_movsq_from, "mov $2, %ecx; rep movsq", "r8r8") \
	X(rep_movsl_within, "lea 8(%rsi), %rdi; mov $2, %ecx; rep movsl", "r4w4r4w4") \
	X(rep_none, "xor %ecx, %ecx; rep movsb", "") \
	X(cmpsb, "cmpsb", "r1") \
	X(cmpsl_second, "xchg %rsi, %rdi; cmpsl", "r4") \
	X(repe_cmpsb, "mov $8, %ecx; repe cmpsb", NULL) \
	X(scasb, "xchg %rsi, %rdi; scasb", "r1") \
	X(scasq, "xchg %rsi, %rdi; scasq", "r8") \
	X(repne_scasb, "xchg %rsi, %rdi; mov $8, %ecx; mov $0x12, %al; repne scasb", "r1r1r1") \
	X(repe_scasw, "xchg %rsi, %rdi; mov $8, %ecx; mov $0x1110, %ax; repe scasw", "r2r2")

#define SSE_FORMS(X) \
	X(movups_load, "movups (%rsi), %xmm1", "r8r8") \
	X(movups_store, "movups %xmm2, (%rsi)", "w8w8") \
	X(movupd_load, "movupd (%rsi), %xmm1", "r8r8") \
	X(movaps_load, "movaps (%rsi), %xmm1", "r8r8") \
	X(movaps_store, "movaps %xmm2, (%rsi)", "w8w8") \
	X(movdqa_load, "movdqa (%rsi), %xmm9", "r8r8") \
	X(movdqa_store, "movdqa %xmm2, (%rsi)", "w8w8") \
	X(movdqu_load, "movdqu 3(%rsi), %xmm1", "r8r8") \
	X(movdqu_store, "movdqu %xmm12, 3(%rsi)", "w8w8") \
	X(movntps, "movntps %xmm2, (%rsi)", "w8w8") \
	X(movntdq, "movntdq %xmm2, (%rsi)", "w8w8") \
	X(movq_mm_load, "movq (%rsi), %mm1; emms", "r8") \
	X(movq_mm_store, "movq %mm2, (%rsi); emms", "w8")

/* KVM has no code for these and reports an emulation failure. */
#define BEYOND_FORMS(X) \
	X(cmpxchg16b_same, \
	  "mov (%rdi), %rax; mov 8(%rdi), %rdx; lock cmpxchg16b (%rsi)", NULL) \
	X(movss_load, "movss (%rsi), %xmm1", "r4") \
	X(movss_store, "movss %xmm2, (%rsi)", "w4") \
	X(movsd_load, "movsd (%rsi), %xmm1", "r8") \
	X(movsd_store, "movsd %xmm2, (%rsi)", "w8") \
	X(movd_load, "movd (%rsi), %xmm1", "r4") \
	X(movd_store, "movd %xmm2, (%rsi)", "w4") \
	X(movq_load, "movq (%rsi), %xmm1", "r8") \
	X(movq_store, "movq %xmm2, (%rsi)", "w8")

#define AVX_FORMS(X) \
	X(vmovups_load, "vmovups (%rsi), %ymm1", "r8r8r8r8") \
	X(vmovups_store, "vmovups %ymm2, (%rsi)", "w8w8w8w8") \
	X(vmovdqa_load, "vmovdqa (%rsi), %ymm1", "r8r8r8r8") \
	X(vmovdqa_store, "vmovdqa %ymm2, (%rsi)", "w8w8w8w8") \
	X(vmovdqu_load128, "vmovdqu (%rsi), %xmm2", "r8r8") \
	X(vmovdqu_store128, "vmovdqu %xmm2, (%rsi)", "w8w8") \
	X(vmovss_load, "vmovss (%rsi), %xmm2", "r4") \
	X(vmovq_store, "vmovq %xmm2, (%rsi)", "w8")

#endif
