#include "cmd/bench_report.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "bench/times.h"
#include "cmd/cmd.h"
#include "nn/dnnl_matmul.h"

#define CPUINFO_BYTES_MAX ((size_t)4 << 20)

void bench_rows_clear(struct bench_rows *r)
{
    for (int i = 0; i < r->count; i++)
        json_decref(r->row[i].runs);
    r->count = 0;
}

const char *bench_row_mode(const struct bench_row *row)
{
    return !row->network ? "peak" : row->frozen ? "frozen" : bench_mode_name(row->mode);
}

/* --- numbers over the rounds --- */

enum over { OVER_MEDIAN, OVER_LEAST, OVER_MOST };

static double number(const struct bench_row *row, const char *key, enum over over)
{
    static struct bench_times values; /* large for a stack */
    values.count = 0;
    size_t i;
    json_t *run;
    double most = 0;
    json_array_foreach(row->runs, i, run)
    {
        double v = json_number_value(json_object_get(run, key));
        bench_times_add(&values, v);
        most = v > most ? v : most;
    }
    return over == OVER_MOST    ? most
           : over == OVER_LEAST ? bench_times_best(&values)
                                : bench_times_median(&values);
}

/* The best matrix product in this precision with as many threads, as a limit is not a median; 0:
 * not measured. */
static double peak_gflops(const struct bench_rows *r, const struct bench_row *of)
{
    char key[32];
    snprintf(key, sizeof key, "%s_gflops_best", bench_precision_name(of->precision));
    for (int i = 0; i < r->count; i++)
        if (!r->row[i].network && r->row[i].threads == of->threads)
            return number(&r->row[i], key, OVER_MOST);
    return 0;
}

/* 10^9 operations a second; 0 for a mode that is no arithmetic. */
static double speed_gflops(const struct bench_row *row)
{
    double ms = number(row, "ms", OVER_MEDIAN);
    return ms > 0 ? number(row, "gflop", OVER_MEDIAN) / ms * 1e3 : 0;
}

static double fraction_of_peak(const struct bench_rows *r, const struct bench_row *row)
{
    double peak = peak_gflops(r, row);
    return peak > 0 ? speed_gflops(row) / peak : 0;
}

static bool measured(const struct bench_row *row)
{
    return json_array_size(row->runs) > 0;
}

static const struct bench_row *find(const struct bench_rows *r, const struct bench_row *like,
                                    bool frozen)
{
    for (int i = 0; i < r->count; i++) {
        const struct bench_row *row = &r->row[i];
        if (row->network == like->network && row->mode == like->mode && row->frozen == frozen &&
            row->precision == like->precision && row->threads == like->threads && measured(row))
            return row;
    }
    return NULL;
}

/* "model name" of the first processor, "unknown" where /proc is silent. */
static const char *processor(char text[128])
{
    struct buf b;
    buf_init(&b);
    snprintf(text, 128, "unknown");
    if (file_read("/proc/cpuinfo", CPUINFO_BYTES_MAX, &b, NULL) == ST_OK) {
        buf_put_u8(&b, 0);
        const char *line = b.failed ? NULL : strstr((const char *)b.data, "model name");
        if (line)
            sscanf(line, "model name : %127[^\n]", text);
    }
    buf_clear(&b);
    return text;
}

/* --- text --- */

static void print_peaks(const struct bench_rows *r)
{
    printf("%-8s %14s %14s %12s %12s   the machine, median (best)\n", "threads", "f32 GFLOP/s",
           "bf16 GFLOP/s", "copy GB/s", "read GB/s");
    for (int i = 0; i < r->count; i++) {
        const struct bench_row *row = &r->row[i];
        if (row->network || !measured(row))
            continue;
        printf("%-8d %6.0f (%5.0f) %6.0f (%5.0f) %5.1f (%4.1f) %5.1f (%4.1f)\n", row->threads,
               number(row, "f32_gflops", OVER_MEDIAN), number(row, "f32_gflops_best", OVER_MOST),
               number(row, "bf16_gflops", OVER_MEDIAN), number(row, "bf16_gflops_best", OVER_MOST),
               number(row, "copy_gbps", OVER_MEDIAN), number(row, "copy_gbps_best", OVER_MOST),
               number(row, "read_gbps", OVER_MEDIAN), number(row, "read_gbps_best", OVER_MOST));
    }
}

/* What the row shows beside its own time. */
static void print_note(const struct bench_rows *r, const struct bench_row *row)
{
    double ms = number(row, "ms", OVER_MEDIAN);
    const struct bench_row *full = row->frozen ? find(r, row, false) : NULL;
    double whole = full ? number(full, "ms", OVER_MEDIAN) : 0;
    double frame = row->mode == BENCH_DELTA ? number(row, "frame_ms", OVER_MEDIAN) : 0;
    if (whole > 0)
        printf("  %.0f %% of the full step", 100 * ms / whole);
    if (frame > 0)
        printf("  %.0f %% of a frame of %.2f ms; decoded beside it in %.1f ms", 100 * ms / frame,
               frame, number(row, "decode_ms", OVER_MEDIAN));
}

static void print_case(const struct bench_rows *r, const struct bench_row *row)
{
    printf("%-9s %-6s %-7d %-5s %8.2f %8.2f", row->network->name, bench_row_mode(row), row->threads,
           bench_precision_name(row->precision), number(row, "ms", OVER_MEDIAN),
           number(row, "best_ms", OVER_LEAST));
    if (row->mode == BENCH_DELTA)
        printf(" %8s %7s", "", "");
    else
        printf(" %8.1f", speed_gflops(row));
    if (row->mode != BENCH_DELTA && peak_gflops(r, row) > 0)
        printf(" %5.0f %%", 100 * fraction_of_peak(r, row));
    else if (row->mode != BENCH_DELTA)
        printf(" %7s", "-");
    printf(" %8.0f %8.0f", number(row, "session_mib", OVER_MOST),
           number(row, "peak_rss_mib", OVER_MOST));
    print_note(r, row);
    putchar('\n');
}

void bench_report_print(const struct bench_rows *r)
{
    char cpu[128], version[32];
    printf("%s, oneDNN %s, %d rounds of %g s, each in a process of its own\n\n", processor(cpu),
           nn_dnnl_version(version), r->rounds, r->seconds);
    print_peaks(r);
    printf("\n%-9s %-6s %-7s %-5s %8s %8s %8s %7s %8s %8s\n", "network", "mode", "threads", "type",
           "ms", "best", "GFLOP/s", "of peak", "session", "peak RSS");
    for (int i = 0; i < r->count; i++)
        if (r->row[i].network && measured(&r->row[i]))
            print_case(r, &r->row[i]);
    for (int i = 0; i < r->count; i++)
        if (r->row[i].unsupported[0])
            printf("%-9s %-6s %-7d %-5s not measured: %s\n", r->row[i].network->name,
                   bench_row_mode(&r->row[i]), r->row[i].threads,
                   bench_precision_name(r->row[i].precision), r->row[i].unsupported);
    printf(
        "\nMemory in MiB. Peak: the best matrix product of 1024^3 in the same type and threads.\n");
}

/* --- JSON --- */

static json_t *peak_json(const struct bench_row *row)
{
    static const char *const keys[] = {"f32_gflops", "bf16_gflops", "copy_gbps", "read_gbps"};
    json_t *o = json_pack("{s:i}", "threads", row->threads);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char best[32];
        snprintf(best, sizeof best, "%s_best", keys[i]);
        json_object_set_new(o, keys[i], json_real(number(row, keys[i], OVER_MEDIAN)));
        json_object_set_new(o, best, json_real(number(row, best, OVER_MOST)));
    }
    return o;
}

static json_t *row_json(const struct bench_row *row)
{
    return json_pack("{s:s, s:s, s:i, s:s}", "network", row->network->name, "mode",
                     bench_row_mode(row), "threads", row->threads, "precision",
                     bench_precision_name(row->precision));
}

static void set_real(json_t *o, const char *key, double value)
{
    json_object_set_new(o, key, json_real(value));
}

static json_t *case_json(const struct bench_rows *r, const struct bench_row *row)
{
    json_t *rounds = json_array(), *run, *o = row_json(row);
    size_t i;
    json_array_foreach(row->runs, i, run) json_array_append(rounds, json_object_get(run, "ms"));
    json_object_set_new(o, "batch", json_integer(row->batch));
    json_object_set_new(o, "rounds_ms", rounds);
    set_real(o, "ms", number(row, "ms", OVER_MEDIAN));
    set_real(o, "best_ms", number(row, "best_ms", OVER_LEAST));
    set_real(o, "gflop", number(row, "gflop", OVER_MEDIAN));
    set_real(o, "gflops", speed_gflops(row));
    set_real(o, "peak_fraction", fraction_of_peak(r, row));
    set_real(o, "open_ms", number(row, "open_ms", OVER_MEDIAN));
    set_real(o, "session_mib", number(row, "session_mib", OVER_MOST));
    set_real(o, "rss_mib", number(row, "rss_mib", OVER_MOST));
    set_real(o, "peak_rss_mib", number(row, "peak_rss_mib", OVER_MOST));
    if (row->mode == BENCH_DELTA) {
        set_real(o, "apply_ms", number(row, "apply_ms", OVER_MEDIAN));
        set_real(o, "decode_ms", number(row, "decode_ms", OVER_MEDIAN));
        set_real(o, "frame_ms", number(row, "frame_ms", OVER_MEDIAN));
    }
    return o;
}

json_t *bench_report_json(const struct bench_rows *r)
{
    char cpu[128], version[32];
    json_t *peaks = json_array(), *cases = json_array(), *unsupported = json_array();
    for (int i = 0; i < r->count; i++) {
        const struct bench_row *row = &r->row[i];
        if (row->unsupported[0]) {
            json_t *o = row_json(row);
            json_object_set_new(o, "why", json_string(row->unsupported));
            json_array_append_new(unsupported, o);
        } else if (measured(row)) {
            json_array_append_new(row->network ? cases : peaks,
                                  row->network ? case_json(r, row) : peak_json(row));
        }
    }
    return json_pack("{s:{s:s, s:s, s:s}, s:i, s:f, s:o, s:o, s:o}", "machine", "processor",
                     processor(cpu), "onednn", nn_dnnl_version(version), "attune", cmd_commit(),
                     "rounds", r->rounds, "seconds", r->seconds, "peak", peaks, "cases", cases,
                     "unsupported", unsupported);
}
