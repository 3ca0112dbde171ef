/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The instruction forms that mmio.c runs, each with the accesses a device must see.
 * Must not hold expected results: those come from the CPU itself, on plain memory.
 *
 * FORM(group, identifier, instructions, accesses). RSI points to the operand, RDI to plain
 * memory, FS begins at the operand. An access is its direction and its size in bytes.
 */
#ifndef SELFTESTS_KVM_MMIO_FORMS_H
#define SELFTESTS_KVM_MMIO_FORMS_H

#include "tvm.h"

/**
 * struct form - one instruction form, as FORM() lays it down
 * @name: its identifier
 * @code: the guest code
 * @accesses: what a device must see, or "?" where the architecture leaves a choice
 */
struct form {
	const char *name;
	struct guest_code code;
	const char *accesses;
};

/* The linker gathers a group's forms in a section, so that each is written down once. */
#define FORM(group, id, text, expected) \
	asm(".pushsection .rodata.guest, \"a\", @progbits\n" \
	    "1: " text "; hlt\n" \
	    "2: .asciz \"" #id "\"\n" \
	    "3: .asciz \"" expected "\"\n" \
	    ".popsection\n" \
	    ".pushsection forms_" #group ", \"a\", @progbits\n" \
	    ".balign 8\n" \
	    ".quad 2b, 1b, 2b, 3b\n" \
	    ".popsection\n")

#define FORM_GROUP(group) extern const struct form __start_forms_##group[], __stop_forms_##group[]

/* EDX:EAX and RDX:RAX as the operand is at the start. */
#define OPERAND8 "mov $0x13121110, %eax; lea 0x4040404(%rax), %edx;"
#define OPERAND16 \
	"mov $0x1716151413121110, %rax; mov $0x0808080808080808, %rdx; add %rax, %rdx;"

FORM_GROUP(move);
FORM(move, mov_load8, "mov (%rsi), %al", "r1");
FORM(move, mov_load16, "mov (%rsi), %ax", "r2");
FORM(move, mov_load32, "mov (%rsi), %eax", "r4");
FORM(move, mov_load64, "mov (%rsi), %rax", "r8");
FORM(move, mov_load_ah, "mov (%rsi), %ah", "r1");
FORM(move, mov_load_bh, "mov (%rsi), %bh", "r1");
FORM(move, mov_load_sil, "mov (%rsi), %r13b", "r1");
FORM(move, mov_load_r9d, "mov (%rsi), %r9d", "r4");
FORM(move, mov_load_rsi, "mov (%rsi), %rsi", "r8");
FORM(move, mov_store8, "mov %cl, (%rsi)", "w1");
FORM(move, mov_store16, "mov %cx, (%rsi)", "w2");
FORM(move, mov_store32, "mov %ecx, (%rsi)", "w4");
FORM(move, mov_store64, "mov %rcx, (%rsi)", "w8");
FORM(move, mov_store_ch, "mov %ch, (%rsi)", "w1");
FORM(move, mov_store_dil, "mov %dil, (%rsi)", "w1");
FORM(move, mov_store_r15, "mov %r15, 8(%rsi)", "w8");
FORM(move, mov_imm8, "movb $0x91, (%rsi)", "w1");
FORM(move, mov_imm16, "movw $0x9234, 2(%rsi)", "w2");
FORM(move, mov_imm32, "movl $0x93456789, 4(%rsi)", "w4");
FORM(move, mov_imm64, "movq $-0x12345678, 8(%rsi)", "w8");
FORM(move, mov_sib, "mov (%rsi,%r14,4), %edx", "r4");
FORM(move, mov_sib_disp, "mov %edx, -0x70(%rsi,%rbp,8)", "w4");
FORM(move, mov_addr32, "mov 3(%esi), %edx", "r4");
FORM(move, mov_fs, "mov %fs:0x10, %ebx", "r4");
FORM(move, mov_unaligned, "mov 1(%rsi), %rbx", "r8");
FORM(move, movabs_load8, "movabs %fs:0x18, %al", "r1");
FORM(move, movabs_load16, "movabs %fs:0x18, %ax", "r2");
FORM(move, movabs_load32, "movabs %fs:0x18, %eax", "r4");
FORM(move, movabs_load64, "movabs %fs:0x18, %rax", "r8");
FORM(move, movabs_store8, "movabs %al, %fs:0x18", "w1");
FORM(move, movabs_store16, "movabs %ax, %fs:0x18", "w2");
FORM(move, movabs_store32, "movabs %eax, %fs:0x18", "w4");
FORM(move, movabs_store64, "movabs %rax, %fs:0x18", "w8");
FORM(move, mov_segment, "mov %ds, (%rsi)", "w2");
FORM(move, movzx_8_16, "movzbw 6(%rsi), %ax", "r1");
FORM(move, movzx_8_32, "movzbl 6(%rsi), %eax", "r1");
FORM(move, movzx_8_64, "movzbq 6(%rsi), %r8", "r1");
FORM(move, movzx_16_32, "movzwl 6(%rsi), %eax", "r2");
FORM(move, movzx_16_64, "movzwq 6(%rsi), %rax", "r2");
FORM(move, movsx_8_16, "movsbw 6(%rsi), %ax", "r1");
FORM(move, movsx_8_32, "movsbl 6(%rsi), %eax", "r1");
FORM(move, movsx_8_64, "movsbq 6(%rsi), %rax", "r1");
FORM(move, movsx_16_32, "movswl 6(%rsi), %eax", "r2");
FORM(move, movsx_16_64, "movswq 6(%rsi), %rax", "r2");
FORM(move, movsx_32_64, "movslq 4(%rsi), %rax", "r4");
FORM(move, movnti32, "movnti %ecx, (%rsi)", "w4");
FORM(move, movnti64, "movnti %rcx, (%rsi)", "w8");
FORM(move, push_mem, "push (%rsi)", "r8");
FORM(move, push_mem16, "pushw (%rsi)", "r2");
FORM(move, pop_mem, "push %rcx; pop (%rsi)", "w8");
FORM(move, pop_mem16, "pushw %cx; popw (%rsi)", "w2");

FORM_GROUP(arithmetic);
FORM(arithmetic, add_load8, "add (%rsi), %cl", "r1");
FORM(arithmetic, add_load16, "add (%rsi), %cx", "r2");
FORM(arithmetic, add_load32, "add (%rsi), %ecx", "r4");
FORM(arithmetic, add_load64, "add (%rsi), %rcx", "r8");
FORM(arithmetic, add_store8, "add %cl, (%rsi)", "r1w1");
FORM(arithmetic, add_store16, "add %cx, (%rsi)", "r2w2");
FORM(arithmetic, add_store32, "add %ecx, (%rsi)", "r4w4");
FORM(arithmetic, add_store64, "add %rcx, (%rsi)", "r8w8");
FORM(arithmetic, add_imm8, "addb $0x7f, (%rsi)", "r1w1");
FORM(arithmetic, add_imm16, "addw $0x7fff, (%rsi)", "r2w2");
FORM(arithmetic, add_imm32, "addl $0x7fffffff, (%rsi)", "r4w4");
FORM(arithmetic, add_imm32_sx, "addq $-2, (%rsi)", "r8w8");
FORM(arithmetic, or_store32, "or %ecx, (%rsi)", "r4w4");
FORM(arithmetic, or_load64, "or (%rsi), %rcx", "r8");
FORM(arithmetic, adc_carry, "stc; adc %ecx, (%rsi)", "r4w4");
FORM(arithmetic, adc_no_carry, "clc; adc %rcx, (%rsi)", "r8w8");
FORM(arithmetic, sbb_borrow, "stc; sbb %cx, (%rsi)", "r2w2");
FORM(arithmetic, sbb_load, "stc; sbb (%rsi), %ecx", "r4");
FORM(arithmetic, and_imm, "andl $0xff00ff, (%rsi)", "r4w4");
FORM(arithmetic, and_load8, "and (%rsi), %dl", "r1");
FORM(arithmetic, sub_store64, "sub %rcx, (%rsi)", "r8w8");
FORM(arithmetic, sub_load16, "sub (%rsi), %cx", "r2");
FORM(arithmetic, xor_store8, "xor %cl, (%rsi)", "r1w1");
FORM(arithmetic, xor_imm64, "xorq $0x5a5a5a5a, (%rsi)", "r8w8");
FORM(arithmetic, cmp_store32, "cmp %ecx, (%rsi)", "r4");
FORM(arithmetic, cmp_load64, "cmp (%rsi), %rcx", "r8");
FORM(arithmetic, cmp_imm8, "cmpb $0x11, (%rsi)", "r1");
FORM(arithmetic, test_reg32, "test %ecx, (%rsi)", "r4");
FORM(arithmetic, test_reg8, "test %cl, (%rsi)", "r1");
FORM(arithmetic, test_imm16, "testw $0x8001, (%rsi)", "r2");
FORM(arithmetic, test_imm64, "testq $0x7fffffff, (%rsi)", "r8");
FORM(arithmetic, inc32, "incl (%rsi)", "r4w4");
FORM(arithmetic, inc8, "stc; incb (%rsi)", "r1w1");
FORM(arithmetic, dec64, "decq (%rsi)", "r8w8");
FORM(arithmetic, not32, "notl (%rsi)", "r4w4");
FORM(arithmetic, neg16, "negw (%rsi)", "r2w2");
FORM(arithmetic, lock_add32, "lock addl $5, (%rsi)", "r4w4");
FORM(arithmetic, lock_or64, "lock or %rcx, (%rsi)", "r8w8");
FORM(arithmetic, lock_inc16, "lock incw (%rsi)", "r2w2");
FORM(arithmetic, lock_dec8, "lock decb (%rsi)", "r1w1");
FORM(arithmetic, xchg8, "xchg %cl, (%rsi)", "r1w1");
FORM(arithmetic, xchg16, "xchg %cx, (%rsi)", "r2w2");
FORM(arithmetic, xchg32, "xchg %ecx, (%rsi)", "r4w4");
FORM(arithmetic, xchg64, "xchg %rcx, (%rsi)", "r8w8");
FORM(arithmetic, xadd8, "xadd %cl, (%rsi)", "r1w1");
FORM(arithmetic, xadd32, "lock xadd %ecx, (%rsi)", "r4w4");
FORM(arithmetic, xadd64, "xadd %rcx, (%rsi)", "r8w8");
FORM(arithmetic, cmpxchg_same, "mov $0x13121110, %eax; cmpxchg %ecx, (%rsi)", "r4w4");
FORM(arithmetic, cmpxchg_other, "mov $0x11111111, %eax; cmpxchg %ecx, (%rsi)", "?");
FORM(arithmetic, cmpxchg64, "mov $0x1716151413121110, %rax; lock cmpxchg %rcx, (%rsi)", "r8w8");
FORM(arithmetic, cmpxchg8, "mov $0x10, %al; cmpxchg %cl, (%rsi)", "r1w1");
FORM(arithmetic, cmpxchg8b_same, OPERAND8 "lock cmpxchg8b (%rsi)", "r8w8");
FORM(arithmetic, cmpxchg8b_other, "lock cmpxchg8b (%rsi)", "?");

FORM_GROUP(bit);
FORM(bit, bt_imm, "btl $5, (%rsi)", "r4");
FORM(bit, bt_reg, "mov $70, %ecx; bt %rcx, (%rsi)", "r8");
FORM(bit, bt_reg16, "mov $0x23, %cx; bt %cx, (%rsi)", "r2");
FORM(bit, bt_negative, "add $16, %rsi; mov $-20, %ecx; bt %ecx, (%rsi)", "r4");
FORM(bit, bts_imm, "btsl $1, (%rsi)", "r4w4");
FORM(bit, bts_reg, "mov $33, %ecx; lock bts %ecx, (%rsi)", "r4w4");
FORM(bit, btr_imm, "btrq $36, (%rsi)", "r8w8");
FORM(bit, btr_reg, "mov $4, %ecx; btr %ecx, (%rsi)", "r4w4");
FORM(bit, btc_imm, "btcw $12, (%rsi)", "r2w2");
FORM(bit, btc_reg, "mov $12, %ecx; lock btc %ecx, (%rsi)", "r4w4");

FORM_GROUP(string);
FORM(string, stosb, "xchg %rsi, %rdi; stosb", "w1");
FORM(string, stosq, "xchg %rsi, %rdi; stosq", "w8");
FORM(string, rep_stosb, "xchg %rsi, %rdi; mov $3, %ecx; rep stosb", "w1w1w1");
FORM(string, rep_stosw, "xchg %rsi, %rdi; mov $2, %ecx; rep stosw", "w2w2");
FORM(string, rep_stosl, "xchg %rsi, %rdi; mov $3, %ecx; rep stosl", "w4w4w4");
FORM(string, stos_backward, "std; lea 8(%rsi), %rdi; mov $2, %ecx; rep stosl; cld", "w4w4");
FORM(string, lodsb, "lodsb", "r1");
FORM(string, lodsw, "lodsw", "r2");
FORM(string, lodsl, "lodsl", "r4");
FORM(string, lodsq, "lodsq", "r8");
FORM(string, rep_lodsl, "mov $3, %ecx; rep lodsl", "r4r4r4");
FORM(string, movsb_from, "movsb", "r1");
FORM(string, movsl_to, "xchg %rsi, %rdi; movsl", "w4");
FORM(string, rep_movsb_from, "mov $3, %ecx; rep movsb", "r1r1r1");
FORM(string, rep_movsw_to, "xchg %rsi, %rdi; mov $3, %ecx; rep movsw", "w2w2w2");
FORM(string, rep_movsq_from, "mov $2, %ecx; rep movsq", "r8r8");
FORM(string, rep_movsl_within, "lea 8(%rsi), %rdi; mov $2, %ecx; rep movsl", "r4w4r4w4");
FORM(string, rep_none, "xor %ecx, %ecx; rep movsb", "");
FORM(string, cmpsb, "cmpsb", "r1");
FORM(string, cmpsl_second, "xchg %rsi, %rdi; cmpsl", "r4");
FORM(string, repe_cmpsb, "mov $8, %ecx; repe cmpsb", "?");
FORM(string, scasb, "xchg %rsi, %rdi; scasb", "r1");
FORM(string, scasq, "xchg %rsi, %rdi; scasq", "r8");
FORM(string, repne_scasb, "xchg %rsi, %rdi; mov $8, %ecx; mov $0x12, %al; repne scasb", "r1r1r1");
FORM(string, repe_scasw, "xchg %rsi, %rdi; mov $8, %ecx; mov $0x1110, %ax; repe scasw", "r2r2");

FORM_GROUP(sse);
FORM(sse, movups_load, "movups (%rsi), %xmm1", "r8r8");
FORM(sse, movups_store, "movups %xmm2, (%rsi)", "w8w8");
FORM(sse, movupd_load, "movupd (%rsi), %xmm1", "r8r8");
FORM(sse, movaps_load, "movaps (%rsi), %xmm1", "r8r8");
FORM(sse, movaps_store, "movaps %xmm2, (%rsi)", "w8w8");
FORM(sse, movdqa_load, "movdqa (%rsi), %xmm9", "r8r8");
FORM(sse, movdqa_store, "movdqa %xmm2, (%rsi)", "w8w8");
FORM(sse, movdqu_load, "movdqu 3(%rsi), %xmm1", "r8r8");
FORM(sse, movdqu_store, "movdqu %xmm12, 3(%rsi)", "w8w8");
FORM(sse, movntps, "movntps %xmm2, (%rsi)", "w8w8");
FORM(sse, movntdq, "movntdq %xmm2, (%rsi)", "w8w8");
FORM(sse, movq_mm_load, "movq (%rsi), %mm1; emms", "r8");
FORM(sse, movq_mm_store, "movq %mm2, (%rsi); emms", "w8");

/* KVM has no code for these and reports an emulation failure. */
FORM_GROUP(beyond);
FORM(beyond, cmpxchg16b_same, OPERAND16 "lock cmpxchg16b (%rsi)", "?");
FORM(beyond, cmpxchg16b_other, "lock cmpxchg16b (%rsi)", "?");
FORM(beyond, movss_load, "movss (%rsi), %xmm1", "r4");
FORM(beyond, movss_store, "movss %xmm2, (%rsi)", "w4");
FORM(beyond, movsd_load, "movsd (%rsi), %xmm1", "r8");
FORM(beyond, movsd_store, "movsd %xmm2, (%rsi)", "w8");
FORM(beyond, movd_load, "movd (%rsi), %xmm1", "r4");
FORM(beyond, movd_store, "movd %xmm2, (%rsi)", "w4");
FORM(beyond, movq_load, "movq (%rsi), %xmm1", "r8");
FORM(beyond, movq_store, "movq %xmm2, (%rsi)", "w8");

FORM_GROUP(avx);
FORM(avx, vmovups_load, "vmovups (%rsi), %ymm1", "r8r8r8r8");
FORM(avx, vmovups_store, "vmovups %ymm2, (%rsi)", "w8w8w8w8");
FORM(avx, vmovdqa_load, "vmovdqa (%rsi), %ymm1", "r8r8r8r8");
FORM(avx, vmovdqa_store, "vmovdqa %ymm2, (%rsi)", "w8w8w8w8");
FORM(avx, vmovdqu_load128, "vmovdqu (%rsi), %xmm2", "r8r8");
FORM(avx, vmovdqu_store128, "vmovdqu %xmm2, (%rsi)", "w8w8");
FORM(avx, vmovss_load, "vmovss (%rsi), %xmm2", "r4");
FORM(avx, vmovq_store, "vmovq %xmm2, (%rsi)", "w8");

#endif
