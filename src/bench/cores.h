/* cores.h - which processors a measurement runs on.
 *
 * Threads: the calling thread, and those that it starts afterwards.
 * Errors:  ST_LIMIT (fewer processors than asked for), ST_IO.
 */
#ifndef ATTUNE_BENCH_CORES_H
#define ATTUNE_BENCH_CORES_H

#include "base/error.h"

/* Processors that this process may use. */
int bench_cores_count(void);

/* Restricts the calling thread to `count` of the processors that it may use: different cores
 * first, hyperthreads of the same core only when there are no others. */
enum status bench_cores_pin(int count, struct error *err);

#endif
