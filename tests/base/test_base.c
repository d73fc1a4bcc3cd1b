/* The foundations: errors, generator, buffers, files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/durations.h"
#include "base/error.h"
#include "base/file.h"
#include "base/names.h"
#include "base/process.h"
#include "base/rng.h"

static void error_messages(void **state)
{
    (void)state;
    struct error err;
    assert_int_equal(error_set(&err, ST_FORMAT, "bad %d", 7), ST_FORMAT);
    assert_string_equal(err.message, "bad 7");
    assert_int_equal(error_prefix(&err, "file %s", "x"), ST_FORMAT);
    assert_string_equal(err.message, "file x: bad 7");
    assert_int_equal(error_set(NULL, ST_IO, "ignored"), ST_IO);
}

static void rng_is_portable(void **state)
{
    (void)state;
    struct rng a, b;
    rng_init(&a, 1, 0);
    rng_init(&b, 1, 1);
    assert_true(rng_u64(&a) != rng_u64(&b));
    unsigned seen = 0;
    for (int i = 0; i < 1000; i++) {
        uint32_t v = rng_below(&a, 5);
        assert_true(v < 5);
        seen |= 1u << v;
        float f = rng_float(&a);
        assert_true(f >= 0 && f < 1);
    }
    assert_int_equal(seen, 31);
}

static void buffers_round_trip(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    buf_put_u8(&b, 1);
    buf_put_u16(&b, 0x0203);
    buf_put_u32(&b, 0x04050607);
    buf_put_u64(&b, 0x08090a0b0c0d0e0fu);
    buf_put_f32(&b, 1.5f);
    buf_put_f64(&b, -0.1);
    assert_false(b.failed);
    assert_int_equal(b.data[1], 3); /* little-endian */
    struct cursor c;
    cursor_init(&c, b.data, b.size_bytes);
    assert_int_equal(cursor_u8(&c), 1);
    assert_int_equal(cursor_u16(&c), 0x0203);
    assert_int_equal(cursor_u32(&c), 0x04050607);
    assert_true(cursor_u64(&c) == 0x08090a0b0c0d0e0fu);
    assert_true(cursor_f32(&c) == 1.5f);
    assert_true(cursor_f64(&c) == -0.1);
    assert_false(c.failed);
    assert_int_equal(cursor_u32(&c), 0);
    assert_true(c.failed);
    buf_clear(&b);
}

static void files_are_whole(void **state)
{
    (void)state;
    char folder[] = "/tmp/attune-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[256];
    snprintf(path, sizeof path, "%s/a/b", folder);
    struct error err;
    assert_int_equal(file_mkdirs(path, &err), ST_OK);
    snprintf(path, sizeof path, "%s/a/b/f", folder);
    assert_int_equal(file_write(path, "hello", 5, &err), ST_OK);
    struct buf b;
    buf_init(&b);
    assert_int_equal(file_read(path, 4, &b, &err), ST_LIMIT);
    buf_clear(&b);
    assert_int_equal(file_read(path, 5, &b, &err), ST_OK);
    assert_memory_equal(b.data, "hello", 5);
    buf_clear(&b);
    assert_int_equal(file_read("/nonexistent/x", 5, &b, &err), ST_NOT_FOUND);
    assert_int_equal(file_write("/nonexistent/x", "", 0, &err), ST_NOT_FOUND);
    char hex[65];
    file_sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(file_crc32("123456789", 9), 0xcbf43926);
}

/* In a process of its own: a hard limit cannot be had back. */
static void room_for_open_files(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit few = {32, 64};
        bool good = setrlimit(RLIMIT_NOFILE, &few) == 0 && process_files_allow(20) == 32 &&
                    process_files_allow(48) == 48 && process_files_allow(1000) == 64;
        _exit(good ? 0 : 1);
    }
    int how = -1;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
}

/* A command of root's in the folder of a service that runs as another user. */
static void files_for_the_owner_of_a_folder(void **state)
{
    (void)state;
    char folder[] = "/tmp/attune-test-XXXXXX", path[64];
    struct stat at;
    if (geteuid() != 0)
        skip();
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/f", folder);
    assert_int_equal(chown(folder, 1234, 4321), 0);
    assert_int_equal(file_write(path, "a", 1, NULL), ST_OK);
    assert_int_equal(stat(path, &at), 0);
    assert_int_equal(at.st_uid, 0);
    assert_int_equal(file_write_for_owner(path, "b", 1, NULL), ST_OK);
    assert_int_equal(stat(path, &at), 0);
    assert_int_equal(at.st_uid, 1234);
    assert_int_equal(at.st_gid, 4321);
    assert_int_equal(at.st_mode & 0777, 0600);
    assert_int_equal(unlink(path) + rmdir(folder), 0); /* nothing else was left in it */
}

static void names_both_ways(void **state)
{
    (void)state;
    static const char *const names[] = {NULL, "one", "two", [4] = "four"};
    size_t n = NAMES_COUNT(names);
    assert_int_equal(n, 5);
    assert_int_equal(names_find(names, n, "one", -1), 1);
    assert_int_equal(names_find(names, n, "four", -1), 4);
    assert_int_equal(names_find(names, 4, "four", -1), -1);
    assert_int_equal(names_find(names, n, "on", 7), 7);
    assert_int_equal(names_find(names, n, "ones", 7), 7);
    assert_int_equal(names_find(names, n, "", 7), 7);
    assert_int_equal(names_find(names, n, NULL, 7), 7);
    assert_string_equal(names_text(names, n, 2, "none"), "two");
    assert_string_equal(names_text(names, n, 3, "none"), "none");
    assert_string_equal(names_text(names, n, 5, "none"), "none");
    assert_null(names_text(names, n, (size_t)-1, NULL));
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The bucket that a duration is in. */
static int bucket_of(double duration_s)
{
    struct durations d = {0};
    int i = 0;
    durations_add(&d, duration_s);
    while (d.counts[i] == 0)
        i++;
    return i;
}

/* Beside the sorted durations themselves: a quantile is in the bucket of the one that it stands
 * for, and what came later is what came later. */
static void durations_are_those_of_the_samples(void **state)
{
    (void)state;
    enum { N = 500 };
    static double all[N];
    struct rng rng;
    struct durations d = {0}, half = {0}, later;
    rng_init(&rng, 3, 0);
    assert_true(isnan(durations_quantile(&d, 0.5)));
    for (int i = 0; i < N; i++) {
        if (i == N / 2)
            half = d;
        all[i] = pow(10, -4 + 5 * (double)rng_below(&rng, 1000000) / 1e6); /* 0.1 ms to 10 s */
        durations_add(&d, all[i]);
    }
    assert_true(durations_since(&d, &half, &later));
    assert_int_equal(durations_count(&later), N - N / 2);
    durations_join(&later, &half);
    assert_memory_equal(later.counts, d.counts, sizeof d.counts);
    assert_false(durations_since(&half, &d, &later));
    qsort(all, N, sizeof all[0], by_size);
    for (int percent = 1; percent <= 100; percent++) {
        double got = durations_quantile(&d, percent / 100.0), exact = all[percent * N / 100 - 1];
        int at = bucket_of(exact);
        assert_true(bucket_of(got) == (at < DURATIONS_BOUNDS ? at : at - 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_messages),
        cmocka_unit_test(durations_are_those_of_the_samples),
        cmocka_unit_test(rng_is_portable),
        cmocka_unit_test(names_both_ways),
        cmocka_unit_test(buffers_round_trip),
        cmocka_unit_test(files_are_whole),
        cmocka_unit_test(files_for_the_owner_of_a_folder),
        cmocka_unit_test(room_for_open_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
