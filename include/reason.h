/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Why the last refused ioctl was refused: a constant text and a value, kept per fd object.
 * This header must not print anything; user space reads the reason with KVMLET_GET_REASON.
 */
#ifndef KVMLET_REASON_H
#define KVMLET_REASON_H

#include <linux/compiler.h>
#include <linux/types.h>

/**
 * struct reason - last refusal on one fd object
 * @err:	the errno returned, negative
 * @text:	constant string, never freed
 * @value:	the offending value, 0 when there is none
 * @fresh:	set since the ioctl in progress began; else ioctl/reason.c gives a general text
 *
 * Written without a lock: two racing refusals may mix @text and @value, both of which are safe to
 * read.
 */
struct reason {
	int err;
	const char *text;
	u64 value;
	bool fresh;
};

/**
 * reason_set() - note why an ioctl is being refused
 * @r: of the fd's object
 * @err: negative errno
 * @text: constant string, never freed
 * @value: the offending value, 0 when there is none
 *
 * Any context. Return: @err.
 */
static inline int reason_set(struct reason *r, int err, const char *text, u64 value)
{
	WRITE_ONCE(r->err, err);
	WRITE_ONCE(r->value, value);
	WRITE_ONCE(r->text, text);
	WRITE_ONCE(r->fresh, true);
	return err;
}

/* return vm_refuse(vm, -EINVAL, "guest_phys_addr is not page aligned", mem->guest_phys_addr); */
#define vm_refuse(vm, err, text, value)		reason_set(&(vm)->reason, (err), (text), (value))
#define vcpu_refuse(vcpu, err, text, value)	reason_set(&(vcpu)->reason, (err), (text), (value))

#endif
