/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bytecode in the ACPI tables.
 *
 * Must not know the tables around it.
 */
#ifndef AML_H
#define AML_H

#include "runner.h"

/**
 * aml_dsdt() - write the body of the DSDT
 * @vm: has its virtio devices, and the number of its vCPUs
 * @soft_off_type: sleep type that switches the machine off
 * @out: where to
 * @max: room there
 *
 * Returns its length; ends the program when it does not fit.
 */
size_t aml_dsdt(struct vm *vm, u8 soft_off_type, u8 *out, size_t max);

#endif
