/* process.h - what this process uses of the machine, as Linux tells it. */
#ifndef ATTUNE_BASE_PROCESS_H
#define ATTUNE_BASE_PROCESS_H

#include <stdint.h>

#include "base/error.h"

/* NaN: not known. */
struct process_usage {
    double cpu_s;   /* user and system, all threads */
    double start_s; /* seconds since 1970 */
    double virtual_bytes, resident_bytes;
    double open_fds, max_fds;
    double threads;
};

void process_usage_read(struct process_usage *ret);

/* Makes room for so many open files, as far as the hard limit lets it; returns the limit then. */
uint64_t process_files_allow(uint64_t wanted);

#endif
