/* The spool: numbers, order, bounds, restarts and damage. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "uplink/spool.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/attune-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static struct spool *open_spool(uint64_t bytes_max, int count_max)
{
    struct spool_options o;
    spool_options_init(&o);
    o.bytes_max = bytes_max;
    o.count_max = count_max;
    struct spool *s = NULL;
    struct error err;
    assert_int_equal(spool_open(folder, &o, &s, &err), ST_OK);
    return s;
}

static uint64_t append(struct spool *s, const char *text)
{
    struct error err;
    uint64_t seq = spool_reserve(s);
    assert_int_equal(spool_append(s, seq, text, strlen(text), &err), ST_OK);
    return seq;
}

/* Seq of the oldest chunk, whose payload must be text; 0 when nothing waits. */
static uint64_t oldest(struct spool *s, const char *text)
{
    struct buf b;
    buf_init(&b);
    struct error err;
    uint64_t seq = 0;
    enum status st = spool_peek(s, &seq, &b, &err);
    if (st == ST_OK) {
        assert_int_equal(b.size_bytes, strlen(text));
        assert_memory_equal(b.data, text, b.size_bytes);
    } else {
        assert_int_equal(st, ST_AGAIN);
    }
    buf_clear(&b);
    return seq;
}

static struct spool_stats stats(struct spool *s)
{
    struct spool_stats st;
    spool_stats_get(s, &st);
    return st;
}

static void keeps_order_and_acknowledges(void **state)
{
    (void)state;
    struct error err;
    struct spool *s = open_spool(1000, 10);
    assert_int_equal(oldest(s, ""), 0);
    assert_int_equal(append(s, "one"), 1);
    assert_int_equal(append(s, "two"), 2);
    assert_int_equal(append(s, "three"), 3);
    assert_int_equal(oldest(s, "one"), 1);
    assert_int_equal(spool_acknowledge(s, 2, &err), ST_OK);
    assert_int_equal(spool_acknowledge(s, 2, &err), ST_OK); /* twice is nothing */
    assert_int_equal(spool_acknowledge(s, 1, &err), ST_OK);
    assert_int_equal(oldest(s, "three"), 3);
    assert_int_equal(stats(s).acknowledged, 2);
    assert_int_equal(stats(s).waiting_bytes, 5);
    assert_int_equal(spool_drop(s, 3, &err), ST_OK);
    assert_int_equal(stats(s).dropped_given, 1);
    assert_int_equal(oldest(s, ""), 0);
    spool_close(&s);
    assert_null(s);
}

static void numbers_survive_restarts(void **state)
{
    (void)state;
    struct error err;
    struct spool *s = open_spool(1000, 10);
    append(s, "one");
    append(s, "two");
    spool_close(&s);

    s = open_spool(1000, 10); /* with files */
    assert_int_equal(oldest(s, "one"), 1);
    assert_int_equal(append(s, "three"), 3);
    for (uint64_t i = 1; i <= 3; i++)
        assert_int_equal(spool_acknowledge(s, i, &err), ST_OK);
    spool_close(&s);

    s = open_spool(1000, 10); /* without */
    assert_int_equal(oldest(s, ""), 0);
    assert_int_equal(append(s, "four"), 4);
    assert_int_equal(spool_skip_to(s, 100, &err), ST_OK);
    assert_int_equal(spool_skip_to(s, 50, &err), ST_OK);
    spool_close(&s);

    s = open_spool(1000, 10); /* the server knew better */
    assert_int_equal(append(s, "hundred"), 100);
    spool_close(&s);
}

static void bounds_drop_the_oldest(void **state)
{
    (void)state;
    struct error err;
    struct spool *s = open_spool(10, 3);
    for (int i = 0; i < 5; i++)
        append(s, "ab");
    assert_int_equal(stats(s).waiting_count, 3);
    assert_int_equal(stats(s).dropped_full, 2);
    assert_int_equal(oldest(s, "ab"), 3);
    append(s, "12345678"); /* 8 of 10 bytes: one of the two-byte ones may stay */
    assert_int_equal(stats(s).waiting_count, 2);
    assert_int_equal(oldest(s, "ab"), 5);
    assert_int_equal(spool_append(s, spool_reserve(s), "12345678901", 11, &err), ST_LIMIT);
    assert_int_equal(spool_append(s, spool_reserve(s), "", 0, &err), ST_LIMIT);
    assert_int_equal(stats(s).waiting_count, 2);
    spool_close(&s);
    s = open_spool(10, 1); /* tighter bounds hold at once */
    assert_int_equal(stats(s).waiting_count, 1);
    assert_int_equal(oldest(s, "12345678"), 6);
    spool_close(&s);
}

static void chunk_path(char path[128], int seq)
{
    snprintf(path, 128, "%s/%020d.chunk", folder, seq);
}

static void damaged_files_are_left_out(void **state)
{
    (void)state;
    struct spool *s = open_spool(1000, 10);
    append(s, "first");
    append(s, "second");
    append(s, "third");
    append(s, "fourth");
    spool_close(&s);
    char path[128];
    chunk_path(path, 1);
    assert_int_equal(truncate(path, 18), 0); /* torn in the payload */
    chunk_path(path, 4);
    assert_int_equal(truncate(path, 7), 0); /* torn in the header, the newest */
    chunk_path(path, 3);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, -1, SEEK_END);
    fputc('!', f); /* a flipped byte */
    fclose(f);
    snprintf(path, sizeof path, "%s/%020d.chunk.tmp.77", folder, 9);
    f = fopen(path, "wb"); /* never renamed: the process died */
    assert_non_null(f);
    fclose(f);
    snprintf(path, sizeof path, "%s/next", folder);

    s = open_spool(1000, 10);
    assert_int_equal(stats(s).dropped_torn, 3);
    assert_int_equal(oldest(s, "second"), 2);
    assert_int_equal(stats(s).waiting_count, 1);
    assert_int_equal(append(s, "fifth"), 5); /* 4 stays used */
    snprintf(path, sizeof path, "%s/%020d.chunk.tmp.77", folder, 9);
    assert_int_not_equal(access(path, F_OK), 0);

    chunk_path(path, 2);
    assert_int_equal(truncate(path, 3), 0); /* goes bad while open */
    assert_int_equal(oldest(s, "fifth"), 5);
    assert_int_equal(stats(s).dropped_torn, 4);
    spool_close(&s);
}

static void a_damaged_number_file_is_survived(void **state)
{
    (void)state;
    struct error err;
    struct spool *s = open_spool(1000, 10);
    append(s, "one");
    append(s, "two");
    assert_int_equal(spool_acknowledge(s, 2, &err), ST_OK); /* makes `next` hold 3 */
    spool_close(&s);
    char path[128];
    snprintf(path, sizeof path, "%s/next", folder);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(truncate(path, 5), 0);
    s = open_spool(1000, 10);
    assert_int_equal(append(s, "again"),
                     2); /* names only; the server's hello is the second guard */
    spool_close(&s);
}

static void one_process_a_folder(void **state)
{
    (void)state;
    struct error err;
    struct spool *s = open_spool(1000, 10), *second = NULL;
    assert_int_equal(spool_open(folder, NULL, &second, &err), ST_CONFLICT);
    assert_null(second);
    spool_close(&s);
    assert_int_equal(spool_open(folder, NULL, &second, &err), ST_OK);
    spool_close(&second);
}

/* A child appends and acknowledges until it is killed at a random place; whatever it printed
 * before must hold afterwards: numbers never come twice. */
static void killed_anywhere(void **state)
{
    (void)state;
    uint64_t highest = 0;
    for (int round = 0; round < 6; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        if (child == 0) {
            struct spool *s = NULL;
            struct error err;
            if (spool_open(folder, NULL, &s, &err) != ST_OK)
                _exit(1);
            for (;;) {
                uint64_t seq = spool_reserve(s);
                if (spool_append(s, seq, "payload", 7, &err) != ST_OK)
                    _exit(1);
                if (write(fds[1], &seq, sizeof seq) != sizeof seq)
                    _exit(1);
                (void)spool_acknowledge(s, seq, &err);
            }
        }
        close(fds[1]);
        uint64_t seq;
        for (int i = 0; i < 3 + 4 * round; i++) {
            assert_int_equal(read(fds[0], &seq, sizeof seq), sizeof seq);
            assert_true(seq > highest);
            highest = seq;
        }
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        while (read(fds[0], &seq, sizeof seq) == sizeof seq)
            highest = seq;
        close(fds[0]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(keeps_order_and_acknowledges),
        TEST(numbers_survive_restarts),
        TEST(bounds_drop_the_oldest),
        TEST(damaged_files_are_left_out),
        TEST(a_damaged_number_file_is_survived),
        TEST(one_process_a_folder),
        TEST(killed_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
