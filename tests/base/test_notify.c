/* The service manager's protocol against a socket of ours, and the pulse that decides what is said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/notify.h"
#include "server/pulse.h"

/* A datagram socket at this address, which goes into NOTIFY_SOCKET. */
static int listen_at(const char *address)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = strlen(address);
    memcpy(to.sun_path, address, n);
    if (address[0] == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, length), 0);
    setenv("NOTIFY_SOCKET", address, 1);
    return fd;
}

static void expect(int fd, const char *text)
{
    char got[2048] = "";
    ssize_t n = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);
    assert_true(n >= 0);
    got[n] = '\0';
    assert_string_equal(got, text);
}

static void talk(const char *address)
{
    struct notify n;
    char long_text[2000];
    int fd = listen_at(address);
    setenv("WATCHDOG_USEC", "3000000", 1);
    unsetenv("WATCHDOG_PID");
    notify_open(&n);
    assert_true(n.fd >= 0);
    assert_int_equal(n.watchdog_us, 3000000);
    assert_int_equal(notify_period_us(&n), 1000000);
    assert_null(getenv("NOTIFY_SOCKET")); /* children do not speak for it */
    assert_null(getenv("WATCHDOG_USEC"));
    notify_send(&n, "READY=1\nSTATUS=%d cameras", 3);
    expect(fd, "READY=1\nSTATUS=3 cameras");
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    notify_send(&n, "STATUS=%s", long_text); /* not sent in parts */
    notify_send(&n, "STOPPING=1");
    expect(fd, "STOPPING=1");
    close(fd);
    notify_send(&n, "WATCHDOG=1"); /* nobody is there any more */
    notify_close(&n);
    notify_close(&n);
}

static void messages_arrive(void **state)
{
    (void)state;
    char path[64], abstract[64];
    snprintf(path, sizeof path, "/tmp/attune-notify-%d", (int)getpid());
    snprintf(abstract, sizeof abstract, "@attune-notify-%d", (int)getpid());
    talk(path);
    unlink(path);
    talk(abstract);
}

static void nobody_listens(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "x", "/", "relative/path", "/nonexistent/socket"};
    struct notify n;
    unsetenv("NOTIFY_SOCKET");
    setenv("WATCHDOG_USEC", "1000", 1);
    notify_open(&n);
    assert_int_equal(n.fd, -1);
    assert_int_equal(n.watchdog_us, 0);
    notify_send(&n, "READY=1");
    notify_close(&n);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv("NOTIFY_SOCKET", bad[i], 1);
        notify_open(&n);
        assert_int_equal(n.fd, -1);
    }
}

static void the_watchdog_may_be_anothers(void **state)
{
    (void)state;
    struct notify n;
    char address[64];
    snprintf(address, sizeof address, "@attune-notify-other-%d", (int)getpid());
    int fd = listen_at(address);
    setenv("WATCHDOG_USEC", "5000000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    notify_open(&n);
    assert_int_equal(n.watchdog_us, 0);
    assert_int_equal(notify_period_us(&n), 10000000);
    notify_close(&n);
    close(fd);
}

static void a_loop_that_stands_still_is_named(void **state)
{
    (void)state;
    struct pulse p = {0};
    assert_null(pulse_still(&p, 1000000000, 10)); /* none has begun */
    pulse_beat(&p, PULSE_CONTROL, 1000);
    pulse_beat(&p, PULSE_LABELLING, 1000);
    assert_null(pulse_still(&p, 1500, 500));
    pulse_beat(&p, PULSE_CONTROL, 1400);
    assert_string_equal(pulse_still(&p, 1501, 500), "labelling");
    pulse_end(&p, PULSE_LABELLING);
    assert_null(pulse_still(&p, 1501, 500));
    assert_string_equal(pulse_still(&p, 2000, 500), "control");
    pulse_beat(&p, PULSE_CONTROL, 3000);
    assert_null(pulse_still(&p, 2000, 500)); /* read before the beat */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(the_watchdog_may_be_anothers),
        cmocka_unit_test(a_loop_that_stands_still_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
