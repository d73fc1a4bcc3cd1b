/* Real processes under shares: who may use more uses more, by processor time and never by the
 * clock, so that a busy machine cannot fail it. And the files that cgroups are set by, in a made-up
 * folder, for both generations. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "share/cgroup.h"
#include "share/limiter.h"
#include "share/mps.h"
#include "share/throttle.h"

static struct error err;

/* ---- a process that does nothing but work, in small steps ---- */

static void work(void)
{
    struct throttle t;
    if (throttle_open(&t, NULL) != ST_OK)
        _exit(1);
    for (;;) {
        uint64_t until_us = clock_process_cpu_us(0) + 3000;
        while (clock_process_cpu_us(0) < until_us)
            ;
        throttle_step(&t);
    }
}

struct process {
    int id;
    pid_t pid;
};

static struct process start(struct limiter *l, const char *name, double share)
{
    struct process p;
    char text[LIMITER_ENVIRONMENT_BYTES];
    assert_int_equal(limiter_add(l, name, share, &p.id, &err), ST_OK);
    limiter_environment(l, p.id, limiter_descriptor(l, p.id), text);
    p.pid = fork();
    assert_true(p.pid >= 0);
    if (p.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        putenv(text);
        work();
    }
    assert_int_equal(limiter_join(l, p.id, p.pid, &err), ST_OK);
    return p;
}

static void stop(struct limiter *l, struct process *p)
{
    kill(p->pid, SIGKILL);
    waitpid(p->pid, NULL, 0);
    limiter_remove(l, p->id);
}

/* How often *a used what *b did, from now until both together have used `total_us`. */
static double ratio(struct limiter *l, const struct process *a, const struct process *b,
                    uint64_t total_us)
{
    uint64_t a0 = limiter_used_us(l, a->id), b0 = limiter_used_us(l, b->id), da = 0, db = 0;
    while (da + db < total_us) {
        clock_sleep_until_us(clock_mono_us() + 20000);
        da = limiter_used_us(l, a->id) - a0;
        db = limiter_used_us(l, b->id) - b0;
    }
    return (double)da / (double)(db ? db : 1);
}

static struct limiter *open_or_skip(enum share_means means)
{
    struct limiter *l;
    enum status st = limiter_open(means, 2, &l, &err);
    if (st == ST_DENIED || st == ST_UNSUPPORTED) {
        print_message("left out: %s\n", err.message);
        skip();
    }
    assert_int_equal(st, ST_OK);
    assert_int_equal(limiter_means(l), means);
    assert_true(limiter_capacity(l) == 2);
    return l;
}

static void split_and_change(enum share_means means)
{
    struct limiter *l = open_or_skip(means);
    struct process a = start(l, "a", 0.05), b = start(l, "b", 0.4);
    assert_true(ratio(l, &b, &a, 400000) > 1.5);
    assert_int_equal(limiter_set(l, a.id, 0.4, &err), ST_OK);
    assert_int_equal(limiter_set(l, b.id, 0.05, &err), ST_OK);
    assert_true(limiter_share(l, a.id) == 0.4);
    ratio(l, &a, &b, 100000); /* the period or step at hand */
    assert_true(ratio(l, &a, &b, 400000) > 1.5);
    /* What a process used stays in its account when another takes its place. */
    uint64_t before_us = limiter_used_us(l, a.id);
    kill(a.pid, SIGKILL);
    waitpid(a.pid, NULL, 0);
    assert_true(limiter_used_us(l, a.id) >= before_us);
    stop(l, &a);
    assert_int_equal(limiter_used_us(l, a.id), 0);
    stop(l, &b);
    limiter_close(&l);
    assert_null(l);
}

static void cgroups_hold_a_split_and_a_change(void **state)
{
    (void)state;
    split_and_change(SHARE_CGROUP);
}

static void pacing_holds_a_split_and_a_change(void **state)
{
    (void)state;
    split_and_change(SHARE_PACING);
}

static void shares_stay_within_bounds(void **state)
{
    (void)state;
    struct limiter *l = open_or_skip(SHARE_PACING);
    int id, other;
    assert_int_equal(limiter_add(l, "a", 99, &id, &err), ST_OK);
    assert_true(limiter_share(l, id) == 2);
    assert_int_equal(limiter_set(l, id, 0, &err), ST_OK);
    assert_true(limiter_share(l, id) == LIMITER_SHARE_MIN);
    assert_false(limiter_restart_due(l, id));
    assert_int_equal(limiter_set_background(l, id, true, &err), ST_OK);
    assert_true(limiter_share(l, id) == LIMITER_SHARE_MIN);
    assert_int_equal(limiter_set_background(l, id + 1, true, &err), ST_NOT_FOUND);
    assert_int_equal(limiter_add(l, "a", 1, &other, &err), ST_CONFLICT);
    assert_int_equal(limiter_set(l, id + 1, 1, &err), ST_NOT_FOUND);
    assert_int_equal(limiter_set(l, -1, 1, &err), ST_NOT_FOUND);
    limiter_remove(l, id);
    limiter_remove(l, id);
    assert_int_equal(limiter_add(l, "a", 1, &other, &err), ST_OK);
    assert_int_equal(other, id);
    limiter_close(&l);
    assert_int_equal(limiter_open(SHARE_AUTO, 0, &l, &err), ST_OK);
    assert_true(limiter_means(l) == SHARE_CGROUP || limiter_means(l) == SHARE_PACING);
    assert_true(limiter_capacity(l) > 0 && limiter_capacity(l) == limiter_processors());
    assert_true(strlen(limiter_reason(l)) > 0);
    limiter_close(&l);
    for (int m = SHARE_AUTO; m <= SHARE_MPS; m++)
        assert_int_equal(share_means_parse(share_means_name((enum share_means)m)), m);
    assert_int_equal(share_means_parse("quota"), -1);
}

/* ---- the files, in folders that look like a hierarchy ---- */

struct tree {
    char base[64], own[192];
};

static void put(const char *folder, const char *file, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    assert_int_equal(file_write(path, text, strlen(text), &err), ST_OK);
}

static void expect(const char *folder, const char *file, const char *text)
{
    char path[512];
    struct buf got;
    buf_init(&got);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    assert_int_equal(file_read(path, 4096, &got, &err), ST_OK);
    buf_put_u8(&got, 0);
    assert_string_equal((const char *)got.data, text);
    buf_clear(&got);
}

static void make_group(const char *path, const char *const *files)
{
    assert_int_equal(file_mkdirs(path, &err), ST_OK);
    for (; *files; files++)
        put(path, *files, "");
}

static void tree_init(struct tree *t, const char *const *files)
{
    char name[CGROUP_NAME_CHARS_MAX + 1], member[256];
    snprintf(t->base, sizeof t->base, "/tmp/attune-test-XXXXXX");
    assert_non_null(mkdtemp(t->base));
    cgroup_own_name(name);
    snprintf(t->own, sizeof t->own, "%s/%s", t->base, name);
    snprintf(member, sizeof member, "%s/m", t->own);
    make_group(t->base, files);
    make_group(t->own, files);
    make_group(member, files);
}

static void tree_clear(struct tree *t)
{
    char command[160];
    snprintf(command, sizeof command, "rm -r %s", t->base);
    assert_int_equal(system(command), 0);
}

static void the_files_of_version_1(void **state)
{
    (void)state;
    static const char *const files[] = {"cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.shares",
                                        "cgroup.procs", NULL};
    struct tree t;
    struct cgroup g;
    char member[256];
    tree_init(&t, files);
    snprintf(member, sizeof member, "%s/m", t.own);
    assert_int_equal(cgroup_open(1, t.base, &g, &err), ST_OK);
    assert_string_equal(g.path, t.own);
    assert_int_equal(cgroup_add(&g, "m", 0.3, 0.3, &err), ST_OK);
    expect(member, "cpu.cfs_period_us", "50000");
    expect(member, "cpu.cfs_quota_us", "15000");
    expect(member, "cpu.shares", "307");
    assert_int_equal(cgroup_set(&g, "m", 2.5, 0.25, &err), ST_OK);
    expect(member, "cpu.cfs_quota_us", "125000");
    expect(member, "cpu.shares", "256");
    assert_int_equal(cgroup_weigh(&g, 1.5, &err), ST_OK);
    expect(t.own, "cpu.shares", "1536");
    assert_int_equal(cgroup_join(&g, "m", 4711, &err), ST_OK);
    expect(member, "cgroup.procs", "4711");
    assert_int_equal(cgroup_add(&g, "server", 1, 1, &err), ST_INVALID);
    assert_int_equal(cgroup_add(&g, "../x", 1, 1, &err), ST_INVALID);
    assert_int_equal(cgroup_add(&g, "", 1, 1, &err), ST_INVALID);
    assert_int_equal(cgroup_set(&g, "none", 1, 1, &err), ST_IO);
    put(t.base, "cpu.cfs_quota_us", "150000\n");
    put(t.base, "cpu.cfs_period_us", "100000\n");
    assert_true(cgroup_quota_of(1, t.base) == 1.5);
    put(t.base, "cpu.cfs_quota_us", "-1\n");
    assert_true(isinf(cgroup_quota_of(1, t.base)));
    assert_true(isinf(cgroup_quota_of(1, "/nowhere")));
    tree_clear(&t);
}

static void the_files_of_version_2(void **state)
{
    (void)state;
    static const char *const files[] = {"cpu.max", "cpu.weight", "cgroup.procs",
                                        "cgroup.subtree_control", NULL};
    struct tree t;
    struct cgroup g;
    char member[256];
    tree_init(&t, files);
    snprintf(member, sizeof member, "%s/m", t.own);
    assert_int_equal(cgroup_open(2, t.base, &g, &err), ST_OK);
    expect(t.base, "cgroup.subtree_control", "+cpu");
    expect(t.own, "cgroup.subtree_control", "+cpu");
    assert_int_equal(cgroup_add(&g, "m", 0.7, 0.7, &err), ST_OK);
    expect(member, "cpu.max", "35000 50000");
    expect(member, "cpu.weight", "70");
    assert_int_equal(cgroup_set(&g, "m", 0.02, 0.001, &err), ST_OK);
    expect(member, "cpu.weight", "1");
    put(t.base, "cpu.max", "50000 100000\n");
    assert_true(cgroup_quota_of(2, t.base) == 0.5);
    put(t.base, "cpu.max", "max 100000\n");
    assert_true(isinf(cgroup_quota_of(2, t.base)));
    tree_clear(&t);
}

static bool exists(const char *folder, const char *name)
{
    char path[512];
    struct stat s;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return stat(path, &s) == 0;
}

static void groups_of_a_crashed_server_go(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    struct tree t;
    struct cgroup g;
    char path[512], mine[64];
    pid_t ended = fork();
    if (ended == 0)
        _exit(0);
    waitpid(ended, NULL, 0);
    tree_init(&t, none);
    /* Of a process that is gone; of this process's number at another time; not ours to judge. */
    snprintf(path, sizeof path, "%s/attune-%d-12345/worker-0", t.base, (int)ended);
    make_group(path, none);
    snprintf(mine, sizeof mine, "attune-%d-1", (int)getpid());
    snprintf(path, sizeof path, "%s/%s", t.base, mine);
    make_group(path, none);
    snprintf(path, sizeof path, "%s/attune-garden", t.base);
    make_group(path, none);
    assert_int_equal(cgroup_open(1, t.base, &g, &err), ST_OK);
    assert_false(exists(t.base, mine));
    assert_true(exists(t.base, "attune-garden"));
    snprintf(mine, sizeof mine, "attune-%d-12345", (int)ended);
    assert_false(exists(t.base, mine));
    assert_true(exists(t.own, "m"));
    cgroup_close(&g);
    assert_int_equal(g.version, 0);
    assert_false(exists(t.own, "."));
    tree_clear(&t);
}

/* ---- MPS ---- */

static void percentages_of_a_gpu(void **state)
{
    (void)state;
    char text[MPS_SETTING_BYTES];
    mps_setting(0.304, text);
    assert_string_equal(text, "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=30");
    assert_int_equal(mps_percentage(0), 1);
    assert_int_equal(mps_percentage(7), 100);
    assert_int_equal(mps_percentage(0.125), 13);
    assert_int_equal(mps_reachable("/nowhere", &err), ST_NOT_FOUND);
    char dir[] = "/tmp/attune-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/control", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(mps_reachable(dir, &err), ST_NOT_FOUND); /* a pipe that nobody reads */
    FILE *reader = fopen(path, "r+");
    assert_non_null(reader);
    assert_int_equal(mps_reachable(dir, &err), ST_OK);
    fclose(reader);
    unlink(path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cgroups_hold_a_split_and_a_change),
        cmocka_unit_test(pacing_holds_a_split_and_a_change),
        cmocka_unit_test(shares_stay_within_bounds),
        cmocka_unit_test(the_files_of_version_1),
        cmocka_unit_test(the_files_of_version_2),
        cmocka_unit_test(groups_of_a_crashed_server_go),
        cmocka_unit_test(percentages_of_a_gpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
