/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests and kicks that only leave marks for the tests. */
#ifndef SHIM_REQUESTS_H
#define SHIM_REQUESTS_H

#include "vm.h"

enum vcpu_request { REQ_EVENT, REQ_TPR, REQ_IOAPIC_EOI };

static inline void vcpu_request(struct vcpu *vcpu, enum vcpu_request req)
{
	set_bit(req, &vcpu->requests);
}

static inline void vcpu_kick(struct vcpu *vcpu)
{
	vcpu->nr_kicks++;
}

#endif
