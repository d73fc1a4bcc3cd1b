/* What may be shown of a URL: a table worked out by hand, and properties for texts made at random.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/url.h"

static void secrets_are_taken_out(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"rtsp://10.0.0.7/main", "rtsp://10.0.0.7/main"},
        {"rtsp://ann:s3cret@10.0.0.7:554/main", "rtsp://10.0.0.7:554/main"},
        {"rtsps://ann@cam/x", "rtsps://cam/x"},
        {"rtsp://ann:p@ss@cam/x", "rtsp://cam/x"},
        {"rtsp://ann:p/a?s#s@cam:554/x", "rtsp://cam:554/x"},
        {"rtsp://ann:p%40ss@[fe80::1]:554/x", "rtsp://[fe80::1]:554/x"},
        {"http://[fe80::1]:8080/x@y", "http://[fe80::1]:8080/x@y"},
        {"rtsp://cam:554/a@b", "rtsp://cam:554/a@b"},
        {"http://cam/video.cgi?user=ann&pwd=s3cret&fps=5",
         "http://cam/video.cgi?user=***&pwd=***&fps=5"},
        {"http://cam/v?fps=5;Password=a;b&x=1", "http://cam/v?fps=5;Password=***&x=1"},
        {"http://cam/v?access_token=ab/c+d?e==&x=1", "http://cam/v?access_token=***&x=1"},
        {"http://cam/v?API-Key=s3cret", "http://cam/v?API-Key=***"},
        {"http://cam/v?%70assword=s3cret", "http://cam/v?%70assword=***"},
        {"http://cam/v#auth=s3cret", "http://cam/v#auth=***"},
        {"rtsp://cam/user=ann_password=x_channel=1_stream=0.sdp?real_stream",
         "rtsp://cam/user=***?real_stream"},
        {"rtsp://cam/user=ann&password=x&channel=1", "rtsp://cam/user=***&password=***&channel=1"},
        {"http://cam/go?to=rtsp://ann:s3cret@other/x", "http://cam/go?to=rtsp://other/x"},
        {"http://cam/go?to=rtsp%3A%2F%2Fann%3As3cret%40other", "http://cam/go?to=***"},
        {"rtsp:/ann:s3cret@cam/x", "rtsp:/cam/x"},
        {"ann:s3cret@cam/x", "ann:cam/x"},
        {"/data/password=1/a:b@c.mp4", "/data/password=1/a:b@c.mp4"},
        {"town:width=64,key=1", "town:width=64,key=1"},
        {"/dev/video0", "/dev/video0"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char shown[URL_SHOWN_BYTES];
        url_redact(rows[i][0], shown, sizeof shown);
        assert_string_equal(shown, rows[i][1]);
    }
}

static void a_cut_text_has_an_end_and_no_secret(void **state)
{
    (void)state;
    static const char url[] = "rtsp://ann:s3cret@cam/main?token=s3cret";
    static const char whole[] = "rtsp://cam/main?token=***";
    for (size_t size = 1; size < 2 * sizeof url; size++) {
        char shown[2 * sizeof url];
        memset(shown, '#', sizeof shown);
        url_redact(url, shown, size);
        size_t n = strlen(shown);
        assert_true(n == (size - 1 < sizeof whole - 1 ? size - 1 : sizeof whole - 1));
        assert_memory_equal(shown, whole, n);
    }
}

/* Texts of the characters that mean something in a URL. */
static void redacting_again_changes_nothing(void **state)
{
    (void)state;
    static const char *const parts[] = {"://", ":",  "/",   "@", "?",     "&",    "=",     ";",
                                        ",",   "#",  "[",   "]", "%40",   "user", "token", "rtsp",
                                        "a",   "80", "***", ".", "pass=", "b"};
    struct rng r;
    rng_init(&r, 7, 1);
    for (int i = 0; i < 20000; i++) {
        char url[128] = "", once[128], twice[128];
        size_t filled = 0;
        for (uint32_t n = 1 + rng_below(&r, 14); n > 0; n--)
            filled += (size_t)snprintf(url + filled, sizeof url - filled, "%s",
                                       parts[rng_below(&r, sizeof parts / sizeof parts[0])]);
        size_t size = 1 + rng_below(&r, sizeof once);
        url_redact(url, once, size);
        url_redact(once, twice, size);
        assert_string_equal(once, twice);
    }
}

static void credentials_go_in_escaped(void **state)
{
    (void)state;
    char url[64], shown[64];
    struct error err;
    assert_int_equal(
        url_add_credentials("rtsp://cam:554/x?a=1", "ann:p@s/s:%\r\nmore", url, sizeof url, &err),
        ST_OK);
    assert_string_equal(url, "rtsp://ann:p%40s%2Fs%3A%25@cam:554/x?a=1");
    url_redact(url, shown, sizeof shown);
    assert_string_equal(shown, "rtsp://cam:554/x?a=1");
    static const char *const bad[][2] = {
        {"rtsp://bob@cam/x", "ann:s3cret"}, {"/dev/video0", "ann:s3cret"},
        {"rtsp://cam/x", "s3cret"},         {"rtsp://cam/x", ":s3cret"},
        {"rtsp://cam/x", "s3cret\nann:x"},  {"rtsp://cam/x", ""}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(url_add_credentials(bad[i][0], bad[i][1], url, sizeof url, &err),
                         ST_INVALID);
        assert_null(strstr(err.message, "s3cret"));
    }
    for (size_t size = 1; size < 28; size++)
        assert_int_equal(url_add_credentials("rtsp://cam/x", "ann:s3cret", url, size, &err),
                         size <= strlen("rtsp://ann:s3cret@cam/x") + 1 ? ST_LIMIT : ST_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_taken_out),
        cmocka_unit_test(a_cut_text_has_an_end_and_no_secret),
        cmocka_unit_test(redacting_again_changes_nothing),
        cmocka_unit_test(credentials_go_in_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
