/* bench_report.h - what `attune bench engine` measured: rows of runs, and how they are told.
 *
 * A row is one case; each of its runs is the line of JSON that `attune bench case` (or, for the
 * machine's own limits, `attune bench peak`) printed in one round.
 *
 * Owns:    a row its runs, until bench_rows_clear.
 * Threads: one.
 */
#ifndef ATTUNE_CMD_BENCH_REPORT_H
#define ATTUNE_CMD_BENCH_REPORT_H

#include <jansson.h>
#include <stdbool.h>

#include "bench/case.h"
#include "bench/networks.h"

#define BENCH_ROWS_MAX 512

struct bench_row {
    const struct bench_network *network; /* NULL: the machine's limits */
    enum bench_mode mode;
    enum nn_precision precision;
    bool frozen; /* BENCH_TRAIN with only the network's head_tensors */
    int batch, threads;
    json_t *runs; /* array */
    char unsupported[256];
};

struct bench_rows {
    struct bench_row row[BENCH_ROWS_MAX];
    int count;
    int rounds;
    double seconds;
};

void bench_rows_clear(struct bench_rows *r);

/* "train", "frozen", "infer", "delta", or "peak". */
const char *bench_row_mode(const struct bench_row *row);

/* The tables on standard output. */
void bench_report_print(const struct bench_rows *r);

/* {"machine": {"processor", "onednn", "attune"}, "rounds", "seconds",
 *  "peak": [{"threads", "f32_gflops", "bf16_gflops", "copy_gbps", "read_gbps", the same with
 *  "_best"}],
 *  "cases": [{"network", "mode", "threads", "precision", "batch", "ms", "best_ms", "rounds_ms",
 *  "gflop", "gflops", "peak_fraction", "open_ms", "session_mib", "rss_mib", "peak_rss_mib"; of
 *  delta also "frame_ms", "decode_ms"}],
 *  "unsupported": [{"network", "mode", "threads", "precision", "why"}]}
 * Times are medians over the rounds of the rounds' medians; "best" is the best run of all. NULL
 * without memory. */
json_t *bench_report_json(const struct bench_rows *r);

#endif
