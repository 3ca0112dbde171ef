/* SPDX-License-Identifier: GPL-2.0-only */
/* Nothing differs between kernels in user space: kernel.h has what include/compat.h offers. */
#include "kernel.h"
