/* What the doctor says of things that are wrong on purpose, and of the same things when they are
 * well. */
#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
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

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "kit.h"
#include "server/doctor.h"
#include "server/tls.h"

static struct kit *kit;
static struct settings *set;
static struct doctor d;
static const struct camera_list nobody;
static const struct doctor_cost unknown;

static int setup(void **state)
{
    (void)state;
    log_level_set((enum log_level)0);
    kit = kit_open();
    set = &kit->options.settings;
    doctor_init(&d);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    doctor_clear(&d);
    kit_close(&kit);
    return 0;
}

/* There is such a line. Starts over afterwards. */
static void expect(enum doctor_level level, const char *about, const char *words)
{
    bool found = false;
    for (int i = 0; i < d.count; i++) {
        const struct doctor_line *l = &d.lines[i];
        found |= l->level == level && strcmp(l->about, about) == 0 && strstr(l->text, words);
        assert_true(l->level != DOCTOR_FAIL || strchr(l->text, ';')); /* and what to do */
    }
    if (!found)
        fail_msg("no line '%s %s %s' among %d, the first: %s", doctor_level_name(level), about,
                 words, d.count, d.count ? d.lines[0].text : "");
    doctor_clear(&d);
}

/* A socket that listens on a free loopback port. */
static int listen_somewhere(char address[64])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, n), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    snprintf(address, 64, "127.0.0.1:%d", ntohs(at.sin_port));
    return fd;
}

static void ports_say_who_has_them(void **state)
{
    (void)state;
    char address[64], about[80];
    int fd = listen_somewhere(address);
    snprintf(about, sizeof about, "port %s", strrchr(address, ':') + 1);
    snprintf(set->http, sizeof set->http, "%s", address);
    doctor_network(&d, set);
    expect(DOCTOR_FAIL, about, "in use by test_doctor");
    close(fd);
    doctor_network(&d, set);
    expect(DOCTOR_OK, about, "free");
    snprintf(set->http, sizeof set->http, "192.0.2.1:%s", strrchr(address, ':') + 1);
    doctor_network(&d, set);
    expect(DOCTOR_FAIL, about, "an address of this machine");
}

static void a_broker_is_called(void **state)
{
    (void)state;
    int fd = listen_somewhere(set->mqtt);
    doctor_network(&d, set);
    expect(DOCTOR_OK, "MQTT broker", "takes connections");
    close(fd);
    doctor_network(&d, set);
    expect(DOCTOR_FAIL, "MQTT broker", "Connection refused");
}

static void models_must_fit(void **state)
{
    (void)state;
    struct doctor_cost cost;
    doctor_models(&d, set, &cost);
    assert_true(cost.student_s > 0 && cost.teacher_bytes > 0 && cost.width == KIT_SIDE);
    expect(DOCTOR_OK, "models", "3 classes");
    struct error err;
    assert_int_equal(file_write(set->teacher, "no network", 10, &err), ST_OK);
    doctor_models(&d, set, &cost);
    expect(DOCTOR_FAIL, "teacher", "attune model check");
}

static void the_state_folder_must_be_writable(void **state)
{
    (void)state;
    doctor_state(&d, set, &nobody, &unknown);
    expect(DOCTOR_OK, "state folder", "can be made");
    snprintf(set->state, sizeof set->state, "%s/student.onnx/state", kit->dir);
    doctor_state(&d, set, &nobody, &unknown);
    expect(DOCTOR_FAIL, "state folder", "student.onnx");
}

static void a_running_server_is_known(void **state)
{
    (void)state;
    kit->options.no_worker = true;
    kit_start(kit);
    doctor_state(&d, set, &nobody, &unknown);
    expect(DOCTOR_OK, "state folder", "in use by a server that runs");
}

/* MB that one camera may come to, with what is to stay free. */
static void expect_need(double least, double most)
{
    double need = -1;
    doctor_clear(&d);
    doctor_init(&d);
    doctor_state(&d, set, &nobody, &unknown);
    for (int i = 0; i < d.count; i++) {
        const char *at = strstr(d.lines[i].text, "may come to ");
        if (at)
            need = strtod(at + strlen("may come to "), NULL);
    }
    if (!(need >= least && need <= most))
        fail_msg("%.0f MB are not from %.0f to %.0f", need, least, most);
}

static void a_full_disk_is_noticed(void **state)
{
    (void)state;
    doctor_state(&d, set, &nobody, &unknown);
    expect(DOCTOR_OK, "disk", "are free");
    /* A year of two kbit/s and labels beside them: 15.8 GB; what retention allows bounds it. */
    struct settings kept = *set;
    set->uplink_kbps = 2;
    set->retention_days = 365;
    expect_need(15000, 17000);
    set->state_mb_max = 2000;
    expect_need(2000, 2700);
    set->horizon_s = 86400 * 30; /* training needs 45 days of it, whatever the bound is */
    set->state_mb_max = 1;
    expect_need(1900, 2500);
    *set = kept;
    set->disk_free_min_mb = INT_MAX;
    doctor_state(&d, set, &nobody, &unknown);
    expect(DOCTOR_FAIL, "disk", "make room");
}

#define YEAR_US ((uint64_t)366 * 86400 * 1000000)

static void certificates_expire(void **state)
{
    (void)state;
    struct buf cert, key;
    struct error err;
    char hex[65], path[PATH_MAX];
    uint8_t pin[32];
    uint64_t now_us = clock_wall_us();
    snprintf(set->listen, sizeof set->listen, "127.0.0.1:0");
    doctor_certificate(&d, set, now_us);
    expect(DOCTOR_OK, "certificate", "first start");
    buf_init(&cert);
    buf_init(&key);
    assert_int_equal(tls_load(set->state, now_us, &cert, &key, hex, pin, &err), ST_OK);
    buf_clear(&cert);
    buf_clear(&key);
    doctor_certificate(&d, set, now_us);
    expect(DOCTOR_OK, "certificate", "more days");
    doctor_certificate(&d, set, now_us + 21 * YEAR_US);
    expect(DOCTOR_FAIL, "certificate", "expired");
    snprintf(path, sizeof path, "%.200s/tls/key.pem", set->state);
    assert_int_equal(chmod(path, 0644), 0);
    doctor_certificate(&d, set, now_us);
    expect(DOCTOR_FAIL, "certificate", "chmod 600");
    assert_int_equal(chmod(path, 0600), 0);
    snprintf(path, sizeof path, "%.200s/tls/cert.pem", set->state);
    assert_int_equal(file_write(path, "nonsense", 8, &err), ST_OK);
    doctor_certificate(&d, set, now_us);
    expect(DOCTOR_FAIL, "certificate", "cannot be read");
}

static void a_clock_that_was_never_set_is_noticed(void **state)
{
    (void)state;
    doctor_clock(&d, 86400 * (uint64_t)1000000);
    expect(DOCTOR_FAIL, "clock", "set it");
    doctor_clock(&d, clock_wall_us());
    assert_int_equal(d.failures, 0);
}

static void streams_want_processors(void **state)
{
    (void)state;
    const struct doctor_cost slow = {.student_s = 10, .student_bytes = 1e6, .teacher_bytes = 1e6};
    struct camera_settings one;
    camera_settings_init(&one);
    snprintf(one.source, sizeof one.source, "a.mp4");
    const struct camera_list cameras = {&one, 1};
    doctor_machine(&d, set, &cameras, &slow);
    expect(DOCTOR_WARN, "processors", "to infer every frame of 1 stream takes 250");
    const struct doctor_cost large = {.student_s = 1e-6, .student_bytes = 1e15};
    doctor_machine(&d, set, &cameras, &large);
    expect(DOCTOR_WARN, "memory", "fewer workers");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(ports_say_who_has_them),    TEST(a_broker_is_called),
        TEST(models_must_fit),           TEST(the_state_folder_must_be_writable),
        TEST(a_running_server_is_known), TEST(a_full_disk_is_noticed),
        TEST(certificates_expire),       TEST(a_clock_that_was_never_set_is_noticed),
        TEST(streams_want_processors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
