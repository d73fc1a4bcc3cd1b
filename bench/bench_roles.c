/* Two roles on two processors: inference of a segmentation network in two processes at the same
 * time (as a camera and a worker are, and as libgomp cannot know), in teams of two that share both
 * processors, and as one thread each on a processor of its own (base/cores.h). In turn, each for
 * some seconds; the times of frames.
 *
 * bench_roles [SECONDS]     of each part, default 3 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cores.h"
#include "bench/networks.h"
#include "nn/session.h"

#define ROLES 2
#define ROUNDS 3
#define FRAMES_MAX 100000

struct frames {
    double ms[FRAMES_MAX];
    int count;
};

struct role {
    const struct nn_model *model;
    int threads;
    struct cores own;
    double seconds;
    struct frames *frames; /* shared with the process that runs it */
};

static void fail(const char *what)
{
    fprintf(stderr, "bench_roles: %s\n", what);
    exit(1);
}

static struct nn_model *network(void)
{
    struct buf file;
    struct nn_model *m = NULL;
    struct error err;
    buf_init(&file);
    if (bench_network_build(bench_network_find("seg"), &file, &err) != ST_OK ||
        nn_model_read(file.data, file.size_bytes, NULL, &m, &err) != ST_OK)
        fail(err.message);
    buf_clear(&file);
    return m;
}

static void run_role(const struct role *r)
{
    struct nn_session_options o;
    struct nn_session *s;
    struct error err;
    struct frames *f = r->frames;
    nn_session_options_init(&o);
    o.threads = r->threads;
    if (cores_pin(&r->own, &err) != ST_OK || nn_session_open(r->model, &o, &s, &err) != ST_OK ||
        nn_session_forward(s, &err) != ST_OK)
        fail(err.message);
    uint64_t now_us = clock_mono_us(), end_us = now_us + (uint64_t)(r->seconds * 1e6);
    for (; now_us < end_us && f->count < FRAMES_MAX; f->count++) {
        uint64_t start_us = now_us;
        if (nn_session_forward(s, &err) != ST_OK)
            fail(err.message);
        now_us = clock_mono_us();
        f->ms[f->count] = (double)(now_us - start_us) / 1e3;
    }
    nn_session_close(&s);
}

/* Both roles for one round, each in a process; their frames are added to what they have. */
static void run_round(const struct role *roles)
{
    pid_t child[ROLES];
    for (int i = 0; i < ROLES; i++) {
        child[i] = fork();
        if (child[i] < 0)
            fail("cannot start a process");
        if (child[i] == 0) {
            run_role(&roles[i]);
            _exit(0);
        }
    }
    for (int i = 0; i < ROLES; i++)
        waitpid(child[i], NULL, 0);
}

static struct frames *frames_new(void)
{
    void *f = mmap(NULL, sizeof(struct frames), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                   -1, 0);
    if (f == MAP_FAILED)
        fail("no memory");
    return f;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const char *what, const struct role *roles, double seconds)
{
    for (int i = 0; i < ROLES; i++) {
        struct frames *f = roles[i].frames;
        if (f->count == 0)
            fail("a role did not run");
        qsort(f->ms, (size_t)f->count, sizeof *f->ms, by_value);
        printf("%-44s %8.2f %8.2f %8.2f %8.1f\n", what, f->ms[f->count / 2],
               f->ms[(int)(0.95 * f->count)], f->ms[f->count - 1], f->count / seconds);
    }
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 3;
    struct cores_machine machine;
    struct error err;
    if (cores_machine_read(&machine, &err) != ST_OK)
        fail(err.message);
    if (cores_count(&machine.usable) < ROLES) {
        printf("bench_roles: left out, it needs %d processors\n", ROLES);
        return 0;
    }
    struct cores left = machine.usable, two;
    if (cores_take(&machine, &left, ROLES, &two, &err) != ST_OK)
        fail(err.message);
    struct nn_model *m = network();
    struct role shared[ROLES], owning[ROLES];
    left = two;
    for (int i = 0; i < ROLES; i++) {
        shared[i] = owning[i] = (struct role){.model = m, .threads = 1, .seconds = seconds};
        shared[i].threads = ROLES;
        shared[i].own = two;
        shared[i].frames = frames_new();
        owning[i].frames = frames_new();
        if (cores_take(&machine, &left, 1, &owning[i].own, &err) != ST_OK)
            fail(err.message);
    }
    for (int round = 0; round < ROUNDS; round++) {
        run_round(shared);
        run_round(owning);
    }
    printf("%-44s %8s %8s %8s %8s\n", "frames of each role, ms", "median", "95 %", "longest",
           "frames/s");
    report("teams of two on the same two processors", shared, ROUNDS * seconds);
    report("one thread each on a processor of its own", owning, ROUNDS * seconds);
    nn_model_close(&m);
    return 0;
}
