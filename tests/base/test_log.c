/* Log lines: whatever a value holds, a line stays one line and its fields stay what they are. JSON
 * is read back with jansson. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/log.h"
#include "base/log_journal.h"
#include "base/log_repeats.h"
#include "base/rng.h"

static char line[LOG_LINE_BYTES_MAX + 1];

__attribute__((format(printf, 3, 4))) static const char *
make(enum log_format format, const char *event, const char *fields, ...)
{
    const struct log_head head = {.format = format,
                                  .level = LOG_WARN,
                                  .wall_us = 1795299806123456,
                                  .event = event,
                                  .repeated = 0};
    va_list args;
    va_start(args, fields);
    size_t n = log_line_write(line, &head, fields, args);
    va_end(args);
    assert_true(n > 1 && n <= LOG_LINE_BYTES_MAX && line[n - 1] == '\n');
    assert_null(memchr(line, '\n', n - 1));
    line[n] = '\0';
    return line;
}

static void the_three_forms(void **state)
{
    (void)state;
    assert_string_equal(
        make(LOG_LOGFMT, "chunk refused", "camera=%s seq=%llu why=\"%s\"", "gate", 7ull, "full"),
        "ts=2026-11-21T22:23:26.123Z level=warn event=\"chunk refused\" camera=gate seq=7 "
        "why=\"full\"\n");
    assert_string_equal(
        make(LOG_JSON, "x", "a=%d b=%.2f c=%s d=\"%d of %d\" e=%08x", -3, 0.5, "12", 1, 2, 10u),
        "{\"ts\":\"2026-11-21T22:23:26.123Z\",\"level\":\"warn\",\"event\":\"x\","
        "\"a\":-3,\"b\":0.50,\"c\":\"12\",\"d\":\"1 of 2\",\"e\":\"0000000a\"}\n");
    assert_string_equal(make(LOG_JOURNALD, "x", "rate=1/%d", 4), "<4>event=\"x\" rate=1/4\n");
    assert_string_equal(make(LOG_LOGFMT, "x", NULL),
                        "ts=2026-11-21T22:23:26.123Z level=warn event=\"x\"\n");
}

static void every_conversion(void **state)
{
    (void)state;
    make(LOG_JSON, "x", "a=%5.1f b=%lu c=%zu d=%lld e=%c f=%.*s g=%-4d h=%%x i=%u j=%g k=%ld l=%s",
         1.25, 18446744073709551615ul, (size_t)3, -9223372036854775807ll, 'z', 2, "abc", 7, 4u, NAN,
         -1l, getenv("ATTUNE_THERE_IS_NO_SUCH"));
    json_t *o = json_loads(line, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
    assert_non_null(o);
    assert_string_equal(json_string_value(json_object_get(o, "a")), "  1.2");
    assert_true(json_number_value(json_object_get(o, "b")) == 18446744073709551615.0);
    assert_true(json_number_value(json_object_get(o, "c")) == 3);
    assert_true(json_number_value(json_object_get(o, "d")) == -9223372036854775807.0);
    assert_string_equal(json_string_value(json_object_get(o, "e")), "z");
    assert_string_equal(json_string_value(json_object_get(o, "f")), "ab");
    assert_string_equal(json_string_value(json_object_get(o, "h")), "%x");
    assert_string_equal(json_string_value(json_object_get(o, "j")), "nan");
    assert_true(json_number_value(json_object_get(o, "k")) == -1);
    assert_string_equal(json_string_value(json_object_get(o, "l")), "(null)");
    json_decref(o);
}

/* What jansson takes for a string is what is said of this one. */
static void hostile_values(void **state)
{
    (void)state;
    static const struct {
        const char *value, *read;
    } cases[] = {
        {"a\" level=error event=\"fake", "a\" level=error event=\"fake"},
        {"two\nlines\r\n{\"ts\":1}", "two\nlines\r\n{\"ts\":1}"},
        {"back\\slash \\u0041 \x1b[31mred\x7f", "back\\slash \\u0041 \x1b[31mred\x7f"},
        {"%s%n%d", "%s%n%d"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x88", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x88"},
        {"\xff\xc0\xaf\xed\xa0\x80.", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                                      "\xef\xbf\xbd."},
        {"csi \xc2\x9b"
         "31m\xc2\xa0",
         "csi \xc2\x9b"
         "31m\xc2\xa0"},
        {"cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        make(LOG_JSON, cases[i].value, "camera=%s why=\"%s\" last=%d", cases[i].value,
             cases[i].value, 1);
        json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(o);
        assert_int_equal(json_object_size(o), 6);
        assert_string_equal(json_string_value(json_object_get(o, "event")), cases[i].read);
        assert_string_equal(json_string_value(json_object_get(o, "camera")), cases[i].read);
        assert_string_equal(json_string_value(json_object_get(o, "why")), cases[i].read);
        assert_int_equal(json_integer_value(json_object_get(o, "last")), 1);
        json_decref(o);
        /* The same escapes in logfmt: no bare quote, no control character. */
        make(LOG_LOGFMT, "x", "camera=%s", cases[i].value);
        for (const char *c = line; c[1]; c++) {
            assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
            assert_false(c[0] == '\xc2' && (unsigned char)c[1] < 0xa0); /* C1 */
        }
    }
    assert_non_null(strstr(make(LOG_LOGFMT, "x", "camera=%s", "a b=c"), " camera=\"a b=c\"\n"));
}

static void random_bytes_stay_one_object(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 3, 0);
    for (int i = 0; i < 3000; i++) {
        char text[64];
        int n = (int)(rng_u64(&rng) % sizeof text);
        for (int k = 0; k < n; k++)
            text[k] = (char)(rng_u64(&rng) % 255 + 1);
        text[n] = '\0';
        make(LOG_JSON, text, "a=%s b=\"%s\"", text, text);
        json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(o);
        assert_int_equal(json_object_size(o), 5);
        json_decref(o);
    }
}

static void long_lines_are_cut_between_fields(void **state)
{
    (void)state;
    static char much[8000];
    memset(much, '"', sizeof much - 1);
    make(LOG_JSON, "x", "a=\"%s\" b=\"%s\" c=\"%s\" d=1", much, much, much);
    json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    assert_true(json_is_true(json_object_get(o, "cut")));
    assert_int_equal(strlen(json_string_value(json_object_get(o, "a"))), LOG_VALUE_BYTES_MAX - 1);
    assert_null(json_object_get(o, "c"));
    json_decref(o);
    assert_non_null(strstr(make(LOG_LOGFMT, "x", "a=\"%s\" b=\"%s\" c=\"%s\"", much, much, much),
                           " cut=true\n"));
}

static void repeated_lines_are_counted(void **state)
{
    (void)state;
    static struct log_repeats r;
    unsigned hidden, written = 0;
    uint64_t now_us = 5;
    for (int i = 0; i < 1000; i++) {
        written += log_repeats_pass(&r, 77, now_us + (uint64_t)i, &hidden);
        assert_int_equal(hidden, 0);
    }
    assert_int_equal(written, LOG_REPEATS_FREE);
    assert_true(log_repeats_pass(&r, 78, now_us, &hidden)); /* another line */
    assert_true(log_repeats_pass(&r, 77, now_us + LOG_REPEAT_WINDOW_US, &hidden));
    assert_int_equal(hidden, 1000 - LOG_REPEATS_FREE);
    assert_true(log_repeats_pass(&r, 77, now_us + LOG_REPEAT_WINDOW_US + 1, &hidden));
    assert_int_equal(hidden, 0);
    assert_true(log_repeats_hash("a", 1) != log_repeats_hash("b", 1));
}

/* What log_write puts on standard error, through a pipe. */
static void writing(void **state)
{
    (void)state;
    char text[8192];
    int ends[2], before = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    fflush(stderr);
    dup2(ends[1], STDERR_FILENO);
    log_format_set(LOG_JSON);
    for (int i = 0; i < 20; i++)
        log_write(LOG_WARN, "same", "why=\"%s\"", "again");
    log_write(LOG_DEBUG, "not asked for", NULL);
    log_format_set(LOG_LOGFMT);
    dup2(before, STDERR_FILENO);
    close(before);
    close(ends[1]);
    ssize_t n = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    assert_true(n > 0);
    text[n] = '\0';
    int lines = 0;
    char *save;
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save), lines++) {
        json_t *o = json_loads(l, 0, NULL);
        assert_string_equal(json_string_value(json_object_get(o, "why")), "again");
        json_decref(o);
    }
    assert_int_equal(lines, LOG_REPEATS_FREE);
    assert_int_equal(log_format_parse("journald"), LOG_JOURNALD);
    assert_int_equal(log_format_parse("xml"), LOG_FORMAT_NONE);
}

/* ---- journald's own protocol: a socket in the place of journald's ---- */

/* A field of an entry as journald reads it; NULL: it is not there. */
static const char *field_of(const unsigned char *entry, size_t n, const char *key)
{
    static char value[LOG_LINE_BYTES_MAX + 1];
    for (size_t at = 0; at < n;) {
        const char *name = (const char *)entry + at;
        size_t name_n = strcspn(name, "=\n");
        uint64_t size = 0;
        assert_true(name_n > 0 && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == name_n);
        at += name_n + 1;
        if (name[name_n] == '=')
            size = (uint64_t)((const unsigned char *)memchr(entry + at, '\n', n - at) - entry) - at;
        else
            for (int i = 0; i < 8; i++)
                size |= (uint64_t)entry[at++] << (8 * i);
        assert_true(at + size < n && entry[at + size] == '\n');
        if (strlen(key) == name_n && memcmp(key, name, name_n) == 0) {
            memcpy(value, entry + at, size);
            value[size] = '\0';
            return value;
        }
        at += size + 1;
    }
    return NULL;
}

__attribute__((format(printf, 4, 5))) static size_t tell(int fd, int heard, unsigned char *entry,
                                                         const char *fields, ...)
{
    const struct log_head head = {.format = LOG_JOURNALD, .level = LOG_WARN, .event = "a\nb"};
    va_list args;
    va_start(args, fields);
    assert_true(log_journal_send(fd, "as people read it", 17, &head, fields, args));
    va_end(args);
    ssize_t n = recv(heard, entry, 3 * LOG_LINE_BYTES_MAX, MSG_TRUNC);
    assert_true(n > 0 && n < 3 * LOG_LINE_BYTES_MAX);
    return (size_t)n;
}

static void the_journals_protocol(void **state)
{
    (void)state;
    static unsigned char entry[3 * LOG_LINE_BYTES_MAX];
    static char much[LOG_VALUE_BYTES_MAX + 1];
    int ends[2];
    memset(much, 'm', sizeof much - 1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
    size_t n = tell(ends[0], ends[1], entry, "camera=%s why=\"%s\" rate-kbps=%d", "gate",
                    "two\nlines\nPRIORITY=0", 7);
    assert_string_equal(field_of(entry, n, "MESSAGE"), "as people read it");
    assert_string_equal(field_of(entry, n, "PRIORITY"), "4");
    assert_string_equal(field_of(entry, n, "SYSLOG_IDENTIFIER"), "attune");
    assert_string_equal(field_of(entry, n, "ATTUNE_EVENT"), "a\nb");
    assert_string_equal(field_of(entry, n, "ATTUNE_CAMERA"), "gate");
    assert_string_equal(field_of(entry, n, "ATTUNE_WHY"), "two\nlines\nPRIORITY=0");
    assert_string_equal(field_of(entry, n, "ATTUNE_RATE_KBPS"), "7");
    assert_null(field_of(entry, n, "ATTUNE_CUT"));
    n = tell(ends[0], ends[1], entry, "a=%s b=%s c=%s d=%s e=%s", much, much, much, much, "e");
    assert_non_null(field_of(entry, n, "ATTUNE_C"));
    assert_string_equal(field_of(entry, n, "ATTUNE_CUT"), "true");
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(log_journal_open("/nonexistent/socket"), -1);
}

/* Only where systemd says so of this very descriptor. */
static void whose_standard_error_is(void **state)
{
    (void)state;
    char stream[64];
    struct stat at;
    unsetenv("JOURNAL_STREAM");
    assert_false(log_journal_is_stderr());
    assert_int_equal(fstat(STDERR_FILENO, &at), 0);
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)at.st_dev,
             (unsigned long long)at.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    assert_true(log_journal_is_stderr());
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)at.st_dev,
             (unsigned long long)at.st_ino + 1);
    setenv("JOURNAL_STREAM", stream, 1);
    assert_false(log_journal_is_stderr());
    unsetenv("JOURNAL_STREAM");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_forms),
        cmocka_unit_test(every_conversion),
        cmocka_unit_test(hostile_values),
        cmocka_unit_test(random_bytes_stay_one_object),
        cmocka_unit_test(long_lines_are_cut_between_fields),
        cmocka_unit_test(repeated_lines_are_counted),
        cmocka_unit_test(writing),
        cmocka_unit_test(the_journals_protocol),
        cmocka_unit_test(whose_standard_error_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
