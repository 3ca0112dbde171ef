// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one place where the tracepoints of include/trace.h are defined.
 * It must not do anything else.
 */
#define CREATE_TRACE_POINTS
#include "trace.h"
