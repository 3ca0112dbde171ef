// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reasons of refused ioctls: a general text where the refuser gave none, and KVMLET_GET_REASON.
 * This file must not decide whether anything is refused.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "ioctl.h"
#include "uapi/kvmlet.h"

static const struct {
	int err;
	const char *text;
} general_reasons[] = {
	{ -EFAULT,	"a user pointer of the argument cannot be accessed" },
	{ -EINVAL,	"an argument is out of range, or the ioctl is unknown here" },
	{ -ENOTTY,	"no such ioctl on this kind of fd" },
	{ -ENXIO,	"the in-kernel device it is about was not created" },
	{ -EEXIST,	"it exists already" },
	{ -ENOENT,	"there is no such object" },
	{ -E2BIG,	"the array does not fit" },
	{ -ENOMEM,	"out of memory" },
	{ -EBUSY,	"too late or in use" },
	{ -EIO,		"wrong process, or the VM has met an internal error" },
	{ -EMFILE,	"no free file descriptor" },
};

/* Not refusals but the ordinary way back to user space. */
static bool is_interruption(long ret)
{
	return ret == -EINTR || ret == -EAGAIN || ret == -ERESTARTNOHAND;
}

/**
 * reason_end() - after a handler: record a general reason when it failed without giving one
 * @r: reason of the fd
 * @cmd: ioctl number
 * @ret: what the handler returned
 *
 * Return: @ret
 */
long reason_end(struct reason *r, unsigned int cmd, long ret)
{
	const char *text = "refused";
	unsigned int i;

	if (likely(ret >= 0) || READ_ONCE(r->fresh) || is_interruption(ret))
		return ret;
	for (i = 0; i < ARRAY_SIZE(general_reasons); i++)
		if (general_reasons[i].err == ret)
			text = general_reasons[i].text;
	return reason_set(r, ret, text, cmd);
}

/**
 * reason_copy_out() - KVMLET_GET_REASON
 * @r: reason of the fd
 * @arg: user pointer to struct kvmlet_reason
 *
 * Return: 0 or -EFAULT.
 */
long reason_copy_out(const struct reason *r, unsigned long arg)
{
	struct kvmlet_reason out = { .error = -READ_ONCE(r->err), .value = READ_ONCE(r->value) };
	const char *text = READ_ONCE(r->text);

	BUILD_BUG_ON(sizeof(out) != 256);
	if (text)
		strscpy(out.text, text, sizeof(out.text));
	return copy_to_user((void __user *)arg, &out, sizeof(out)) ? -EFAULT : 0;
}
