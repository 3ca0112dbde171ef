/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine without a CPU: RAM of exactly known bounds, devices behind registers, and a driver.
 * It must not share code with the device's side of a queue.
 */
#ifndef UNIT_VIRTIO_HARNESS_H
#define UNIT_VIRTIO_HARNESS_H

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#include "ktap.h"
#include "virtio.h"

#define RAM_SIZE	(1024 * 1024u)
#define QUEUE_NUM	8u

/* Where the driver puts things. */
#define DESC_GPA	0x1000u
#define AVAIL_GPA	0x2000u
#define USED_GPA	0x3000u
#define TABLE_GPA	0x4000u
#define DATA_GPA	0x10000u

/** machine() - the one machine; its RAM is an allocation whose end the sanitizer knows */
struct vm *machine(void);

/** ram() - host address of guest-physical @gpa */
void *ram(u64 gpa);

/** interrupts() - how many times the guest was interrupted since the last call */
unsigned int interrupts(void);

/** complaints() - how many messages the runner gave since the last call */
unsigned int complaints(void);

/** reg_read(), reg_write() - access a register of @dev as a vCPU would */
u32 reg_read(struct virtio_dev *dev, u32 off);
void reg_write(struct virtio_dev *dev, u32 off, u32 val);

/** driver_init() - reset @dev, accept @features and VERSION_1, set queue 0 up, say DRIVER_OK */
void driver_init(struct virtio_dev *dev, u64 features);

/** driver_set_queue() - tell @dev where queue 0 is, and enable it */
void driver_set_queue(struct virtio_dev *dev, u32 num, u64 desc, u64 avail, u64 used);

/** desc_set() - fill entry @i of the descriptor table, or of an indirect one at TABLE_GPA */
void desc_set(unsigned int i, u64 addr, u32 len, u16 flags, u16 next);
void table_set(unsigned int i, u64 addr, u32 len, u16 flags, u16 next);

/** offer() - make descriptor @head available and kick; serve() lets the device work */
void offer(struct virtio_dev *dev, u16 head);
void serve(struct virtio_dev *dev);

/** used_count() - value of the device's index; used_len() - bytes it reports for entry @i */
u16 used_count(void);
u32 used_len(unsigned int i);

/** random_u32() - the same sequence in every run */
u32 random_u32(void);

void test_queue(void);
void test_registers(void);
void test_disk(void);
void test_hostile(void);

#endif
