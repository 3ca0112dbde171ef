/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints, in the trace system "kvmlet": entries, exits, faults, emulation, injection.
 * This header must not be included for anything else; without a listener each costs a no-op.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvmlet

#if !defined(KVMLET_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define KVMLET_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(kvmlet_entry,
	    TP_PROTO(u32 vcpu, unsigned long rip),
	    TP_ARGS(vcpu, rip),
	    TP_STRUCT__entry(__field(u32, vcpu)
			     __field(unsigned long, rip)),
	    TP_fast_assign(__entry->vcpu = vcpu;
			   __entry->rip = rip;),
	    TP_printk("vcpu %u rip 0x%lx", __entry->vcpu, __entry->rip));

TRACE_EVENT(kvmlet_exit,
	    TP_PROTO(u32 vcpu, u32 reason, unsigned long rip, unsigned long qual, u32 vectoring),
	    TP_ARGS(vcpu, reason, rip, qual, vectoring),
	    TP_STRUCT__entry(__field(u32, vcpu)
			     __field(u32, reason)
			     __field(unsigned long, rip)
			     __field(unsigned long, qual)
			     __field(u32, vectoring)),
	    TP_fast_assign(__entry->vcpu = vcpu;
			   __entry->reason = reason;
			   __entry->rip = rip;
			   __entry->qual = qual;
			   __entry->vectoring = vectoring;),
	    TP_printk("vcpu %u reason 0x%x rip 0x%lx qualification 0x%lx vectoring 0x%x",
		      __entry->vcpu, __entry->reason, __entry->rip, __entry->qual,
		      __entry->vectoring));

TRACE_EVENT(kvmlet_fault,
	    TP_PROTO(u32 vcpu, u64 gpa, unsigned long qual, int result),
	    TP_ARGS(vcpu, gpa, qual, result),
	    TP_STRUCT__entry(__field(u32, vcpu)
			     __field(u64, gpa)
			     __field(unsigned long, qual)
			     __field(int, result)),
	    TP_fast_assign(__entry->vcpu = vcpu;
			   __entry->gpa = gpa;
			   __entry->qual = qual;
			   __entry->result = result;),
	    TP_printk("vcpu %u gpa 0x%llx qualification 0x%lx result %d", __entry->vcpu,
		      __entry->gpa, __entry->qual, __entry->result));

TRACE_EVENT(kvmlet_emulate,
	    TP_PROTO(u32 vcpu, unsigned long rip, const u8 *insn, u8 length, int result),
	    TP_ARGS(vcpu, rip, insn, length, result),
	    TP_STRUCT__entry(__field(u32, vcpu)
			     __field(unsigned long, rip)
			     __field(u8, length)
			     __array(u8, insn, 15)
			     __field(int, result)),
	    TP_fast_assign(__entry->vcpu = vcpu;
			   __entry->rip = rip;
			   __entry->length = min_t(u8, length, 15);
			   memcpy(__entry->insn, insn, 15);
			   __entry->result = result;),
	    TP_printk("vcpu %u rip 0x%lx insn %s result %d", __entry->vcpu, __entry->rip,
		      __print_hex(__entry->insn, __entry->length), __entry->result));

/* @info: the VM-entry interruption information */
TRACE_EVENT(kvmlet_inject,
	    TP_PROTO(u32 vcpu, u32 info, u32 error),
	    TP_ARGS(vcpu, info, error),
	    TP_STRUCT__entry(__field(u32, vcpu)
			     __field(u32, info)
			     __field(u32, error)),
	    TP_fast_assign(__entry->vcpu = vcpu;
			   __entry->info = info;
			   __entry->error = error;),
	    TP_printk("vcpu %u vector 0x%x type %u error 0x%x", __entry->vcpu,
		      __entry->info & 0xff, __entry->info >> 8 & 7, __entry->error));

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH include
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
