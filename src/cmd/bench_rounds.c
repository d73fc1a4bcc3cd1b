#include "cmd/bench_rounds.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/clock.h"
#include "base/progress.h"
#include "cmd/cmd.h"

#define WAIT_MS 200

/* The networks as files in memory that the children inherit: nothing is left behind. */
struct files {
    const struct bench_network *network[BENCH_NETWORKS_MAX];
    int fd[BENCH_NETWORKS_MAX];
    int count;
};

struct run {
    struct bench_row *row;
    json_t *answer; /* its last line, NULL: none yet, or no JSON */
};

/* --- networks --- */

static enum status write_all(int fd, const struct buf *b, struct error *err)
{
    for (size_t at = 0; at < b->size_bytes;) {
        ssize_t n = write(fd, b->data + at, b->size_bytes - at);
        if (n <= 0 && errno != EINTR)
            return error_set(err, ST_IO, "cannot write a network: %s", strerror(errno));
        at += n > 0 ? (size_t)n : 0;
    }
    return ST_OK;
}

static int fd_of(const struct files *f, const struct bench_network *n)
{
    for (int i = 0; i < f->count; i++)
        if (f->network[i] == n)
            return f->fd[i];
    return -1;
}

static enum status add_file(struct files *f, const struct bench_network *n, struct error *err)
{
    if (!n || fd_of(f, n) >= 0)
        return ST_OK;
    struct buf b;
    buf_init(&b);
    int fd = memfd_create(n->name, 0);
    enum status st = fd < 0 ? error_set(err, ST_IO, "cannot make a file: %s", strerror(errno))
                            : bench_network_build(n, &b, err);
    if (!st)
        st = write_all(fd, &b, err);
    buf_clear(&b);
    if (st && fd >= 0)
        close(fd);
    if (st)
        return st;
    f->network[f->count] = n;
    f->fd[f->count++] = fd;
    return ST_OK;
}

static void close_files(struct files *f)
{
    for (int i = 0; i < f->count; i++)
        close(f->fd[i]);
}

/* --- one run --- */

static void take_line(void *context, const char *line)
{
    struct run *run = context;
    json_decref(run->answer);
    run->answer = json_loads(line, 0, NULL);
}

static void wait_for(struct child *c, struct run *run, struct progress *bar, uint64_t done)
{
    char note[64];
    const struct bench_row *row = run->row;
    snprintf(note, sizeof note, "%s %s, %d threads", row->network ? row->network->name : "machine",
             bench_row_mode(row), row->threads);
    while (child_runs(c)) {
        struct pollfd p = {.fd = c->out_fd, .events = POLLIN};
        progress_update(bar, done, note, clock_mono_us());
        poll(&p, 1, WAIT_MS);
        child_read_lines(c, take_line, run);
    }
    child_read_lines(c, take_line, run);
}

static enum status start(struct child *c, const struct bench_row *row, const struct files *f,
                         double seconds, struct error *err)
{
    char path[32], batch[16], threads[16], duration[32], trainable[16];
    char mode[16] = "", precision[16] = "";
    const struct bench_network *n = row->network;
    snprintf(path, sizeof path, "/dev/fd/%d", fd_of(f, n));
    snprintf(batch, sizeof batch, "%d", row->batch);
    snprintf(threads, sizeof threads, "%d", row->threads);
    snprintf(duration, sizeof duration, "%g", seconds);
    if (n) {
        snprintf(mode, sizeof mode, "%s", bench_mode_name(row->mode));
        snprintf(precision, sizeof precision, "%s", bench_precision_name(row->precision));
    }
    snprintf(trainable, sizeof trainable, "%d", row->frozen ? n->head_tensors : 0);
    char *const peak[] = {(char[]){"attune-bench"},
                          (char[]){"peak"},
                          (char[]){"--threads"},
                          threads,
                          (char[]){"--seconds"},
                          duration,
                          NULL};
    char *const measure[] = {(char[]){"attune-bench"},
                             (char[]){"case"},
                             path,
                             (char[]){"--mode"},
                             mode,
                             (char[]){"--batch"},
                             batch,
                             (char[]){"--threads"},
                             threads,
                             (char[]){"--seconds"},
                             duration,
                             (char[]){"--trainable"},
                             trainable,
                             (char[]){"--precision"},
                             precision,
                             NULL};
    return child_start(c, n ? measure : peak, NULL, err);
}

/* Into the row: a run's numbers, or why there are none. */
static enum status keep(struct run *run, int wait_status, struct error *err)
{
    const char *why = json_string_value(json_object_get(run->answer, "unsupported"));
    bool well = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == CMD_OK;
    bool refused = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == CMD_NO && why;
    if (refused)
        snprintf(run->row->unsupported, sizeof run->row->unsupported, "%s", why);
    else if (!well || !run->answer)
        return error_set(err, ST_INTERNAL, "the measurement '%s %s' with %d threads failed",
                         run->row->network ? run->row->network->name : "machine",
                         bench_row_mode(run->row), run->row->threads);
    else
        json_array_append(run->row->runs, run->answer);
    return ST_OK;
}

static enum status run_row(struct bench_row *row, const struct files *f, double seconds,
                           struct progress *bar, uint64_t done, struct error *err)
{
    struct run run = {.row = row};
    struct child c;
    child_init(&c);
    enum status st = start(&c, row, f, seconds, err);
    if (st)
        return st;
    wait_for(&c, &run, bar, done);
    st = keep(&run, c.wait_status, err);
    child_clear(&c);
    json_decref(run.answer);
    return st;
}

/* --- all --- */

static enum status prepare(struct bench_rows *r, struct files *f, struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; i < r->count && !st; i++) {
        r->row[i].runs = json_array();
        st = r->row[i].runs ? add_file(f, r->row[i].network, err)
                            : error_set(err, ST_NOMEM, "no memory for the runs");
    }
    return st;
}

enum status bench_rounds_run(struct bench_rows *r, bool quiet, struct error *err)
{
    struct files f = {0};
    struct progress bar;
    uint64_t done = 0;
    enum status st = prepare(r, &f, err);
    progress_init(&bar, "bench", (uint64_t)r->rounds * (uint64_t)r->count, quiet, clock_mono_us());
    for (int round = 0; round < r->rounds && !st; round++)
        for (int i = 0; i < r->count && !st; i++, done++)
            if (!r->row[i].unsupported[0])
                st = run_row(&r->row[i], &f, r->seconds, &bar, done, err);
    progress_clear(&bar);
    close_files(&f);
    return st;
}
