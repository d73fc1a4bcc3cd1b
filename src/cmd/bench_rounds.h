/* bench_rounds.h - runs the rows of a benchmark: every run in a process of its own (so that its
 * peak of memory is its own and nothing is warm), all rows in turn, round by round (so that a
 * disturbance of the machine meets all alike).
 *
 * Threads: one.
 * Errors:  ST_IO, ST_NOMEM; ST_INTERNAL when a measurement fails (it has said why on standard
 *          error).
 */
#ifndef ATTUNE_CMD_BENCH_ROUNDS_H
#define ATTUNE_CMD_BENCH_ROUNDS_H

#include "cmd/bench_report.h"

/* Fills runs, or unsupported, of every row: r->rounds of r->seconds. */
enum status bench_rounds_run(struct bench_rows *r, bool quiet, struct error *err);

#endif
