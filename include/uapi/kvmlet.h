/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * What kvmlet offers beside KVM's own API: the reason why an ioctl was refused.
 * This header must not repeat or change anything of <linux/kvm.h>.
 */
#ifndef _UAPI_KVMLET_H
#define _UAPI_KVMLET_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * Not KVM's 0xAE: a number of KVM's API can then never come to mean one of ours. All kvmlet
 * ioctls work on the device fd, the VM fd and the vCPU fd, from any process that holds the fd.
 */
#define KVMLETIO	0xBE

/**
 * struct kvmlet_reason - why the last refused ioctl on this fd was refused
 * @error:	the errno value it failed with (positive), 0 when none was refused yet
 * @pad:	0
 * @value:	the argument, field or number that was not accepted; 0 when there is none
 * @text:	what was wrong with it, NUL-terminated English
 */
struct kvmlet_reason {
	__s32 error;
	__u32 pad;
	__u64 value;
	char text[240];
};

#define KVMLET_GET_REASON	_IOR(KVMLETIO, 0x00, struct kvmlet_reason)

#endif
