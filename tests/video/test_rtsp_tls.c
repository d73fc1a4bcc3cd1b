/* Cameras that speak TLS: whose certificate is taken, whose is not, and what is said then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/file.h"
#include "rtsp_kit.h"
#include "video/source.h"

#define DAY_S 86400

static char folder[] = "/tmp/attune-tls-XXXXXX";

/* ---- certificates ---- */

struct paper {
    char cert[64], key[64];
    gnutls_x509_crt_t crt;
    gnutls_x509_privkey_t own;
};

static void keep(const char *path, const gnutls_datum_t *pem)
{
    struct error err;
    if (file_write(path, pem->data, pem->size, &err) != ST_OK)
        fail_msg("%s", err.message);
    gnutls_free(pem->data);
}

/* A certificate of host "127.0.0.1" or of a name, valid until then, signed by its issuer or (NULL)
 * itself. */
static void issue(struct paper *p, const char *file, const char *host, time_t until,
                  const struct paper *issuer)
{
    struct in_addr address;
    unsigned char serial = 7;
    gnutls_datum_t pem;
    snprintf(p->cert, sizeof p->cert, "%s/%s.pem", folder, file);
    snprintf(p->key, sizeof p->key, "%s/%s.key", folder, file);
    gnutls_x509_privkey_init(&p->own);
    gnutls_x509_crt_init(&p->crt);
    gnutls_x509_privkey_generate(p->own, GNUTLS_PK_ECDSA,
                                 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    gnutls_x509_crt_set_version(p->crt, 3);
    gnutls_x509_crt_set_serial(p->crt, &serial, 1);
    gnutls_x509_crt_set_dn_by_oid(p->crt, GNUTLS_OID_X520_COMMON_NAME, 0, file,
                                  (unsigned)strlen(file));
    gnutls_x509_crt_set_activation_time(p->crt, until - 20 * DAY_S);
    gnutls_x509_crt_set_expiration_time(p->crt, until);
    gnutls_x509_crt_set_basic_constraints(p->crt, !issuer, -1);
    if (inet_pton(AF_INET, host, &address) == 1)
        gnutls_x509_crt_set_subject_alt_name(p->crt, GNUTLS_SAN_IPADDRESS, &address, 4,
                                             GNUTLS_FSAN_SET);
    else
        gnutls_x509_crt_set_subject_alt_name(p->crt, GNUTLS_SAN_DNSNAME, host,
                                             (unsigned)strlen(host), GNUTLS_FSAN_SET);
    gnutls_x509_crt_set_key(p->crt, p->own);
    assert_int_equal(gnutls_x509_crt_sign2(p->crt, issuer ? issuer->crt : p->crt,
                                           issuer ? issuer->own : p->own, GNUTLS_DIG_SHA256, 0),
                     0);
    assert_int_equal(gnutls_x509_crt_export2(p->crt, GNUTLS_X509_FMT_PEM, &pem), 0);
    keep(p->cert, &pem);
    assert_int_equal(gnutls_x509_privkey_export2(p->own, GNUTLS_X509_FMT_PEM, &pem), 0);
    keep(p->key, &pem);
}

static struct paper maker, camera, stranger, other_name, expired;

static int make_papers(void **state)
{
    (void)state;
    time_t now = time(NULL);
    assert_non_null(mkdtemp(folder));
    issue(&maker, "maker", "maker.example", now + DAY_S, NULL);
    issue(&camera, "camera", "127.0.0.1", now + DAY_S, &maker);
    issue(&stranger, "stranger", "127.0.0.1", now + DAY_S, NULL);
    issue(&other_name, "other", "cam-0815.example", now + DAY_S, &maker);
    issue(&expired, "expired", "127.0.0.1", now - DAY_S, NULL);
    return 0;
}

static int forget_papers(void **state)
{
    (void)state;
    struct paper *const all[] = {&maker, &camera, &stranger, &other_name, &expired};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        gnutls_x509_crt_deinit(all[i]->crt);
        gnutls_x509_privkey_deinit(all[i]->own);
        unlink(all[i]->cert);
        unlink(all[i]->key);
    }
    rmdir(folder);
    return 0;
}

/* ---- cameras ---- */

static enum status open_trusting(const char *url, const char *tls_ca, struct video_source **ret,
                                 struct error *err)
{
    struct video_source_options o;
    video_source_options_init(&o);
    o.timeout_ms = 15000;
    o.tls_ca = tls_ca;
    return video_source_open(url, &o, ret, err);
}

static void expect_frames(const char *url, const char *tls_ca, int red, int green, int blue)
{
    struct video_source *s = NULL;
    struct error err;
    struct frame f;
    if (open_trusting(url, tls_ca, &s, &err) != ST_OK)
        fail_msg("%s", err.message);
    for (int i = 0; i < 5; i++) {
        if (video_source_next(s, &f, &err) != ST_OK)
            fail_msg("%s", err.message);
        assert_true(frame_is_near(&f, red, green, blue));
    }
    video_source_close(&s);
}

static void expect_refusal(const char *url, const char *tls_ca, enum status status,
                           const char *sentence)
{
    struct video_source *s = NULL;
    struct error err;
    enum status st = open_trusting(url, tls_ca, &s, &err);
    if (st != status || !strstr(err.message, sentence))
        fail_msg("%s: '%s' is not in: %s", status_text(st), sentence,
                 st == ST_OK ? "" : err.message);
    assert_null(strstr(err.message, "s3cret"));
}

/* GStreamer's server over TLS, with a password for digest. */
static void rtsp_cameras(void **state)
{
    (void)state;
    const char *const args[] = {"--tls",  camera.cert, camera.key,
                                "--auth", "digest",    "ann",
                                "s3cret", "/main",     "codec=jpeg,fps=60,size=320x192",
                                NULL};
    struct rtsp_kit k;
    char url[160], plain[160], unknown[160];
    rtsp_kit_start(&k, args);
    snprintf(url, sizeof url, "rtsps://ann:s3cret@127.0.0.1:%d/main", k.port);
    snprintf(unknown, sizeof unknown, "rtsps://ann:wrong@127.0.0.1:%d/main", k.port);
    snprintf(plain, sizeof plain, "rtsp://ann:s3cret@127.0.0.1:%d/main", k.port);
    expect_frames(url, maker.cert, 255, 0, 0);
    expect_frames(url, NULL, 255, 0, 0); /* encrypted, and nobody asked who it is */
    expect_refusal(url, stranger.cert, ST_DENIED, "nobody whom tls_ca names has signed");
    expect_refusal(unknown, maker.cert, ST_DENIED, "user or password refused");
    expect_refusal(plain, maker.cert, ST_INVALID, "this stream is not encrypted");
    rtsp_kit_stop(&k);
    expect_refusal(url, maker.cert, ST_NETWORK, "connection refused");
}

static void start_mjpeg(struct mjpeg_kit *m, const struct paper *p, const char *authorization,
                        char url[160])
{
    *m = (struct mjpeg_kit){
        .pictures = 1000, .grey = 90, .period_us = 5000, .authorization = authorization};
    m->cert_path = p->cert;
    m->key_path = p->key;
    mjpeg_kit_start(m);
    snprintf(url, 160, "https://127.0.0.1:%d/video?key=s3cret", m->port);
}

static void http_cameras(void **state)
{
    (void)state;
    struct mjpeg_kit m;
    char url[160], host[80];
    start_mjpeg(&m, &camera, NULL, url);
    expect_frames(url, maker.cert, 90, 90, 90);
    expect_frames(url, camera.cert, 90, 90, 90);
    expect_frames(url, NULL, 90, 90, 90);
    expect_refusal(url, stranger.cert, ST_DENIED, "nobody whom tls_ca names has signed");
    expect_refusal(url, "system", ST_DENIED, "nobody whom tls_ca names has signed");
    mjpeg_kit_stop(&m);
    snprintf(host, sizeof host, "127.0.0.1:%d", m.port);
    assert_string_equal(m.host, host); /* not that of the relay */
}

/* HTTP asks for the password on one connection and is given it on another. */
static void http_cameras_with_a_password(void **state)
{
    (void)state;
    struct mjpeg_kit m;
    char url[160];
    start_mjpeg(&m, &camera, "Basic YW5uOnMzY3JldA==", url);
    snprintf(url, sizeof url, "https://ann:s3cret@127.0.0.1:%d/video", m.port);
    expect_frames(url, maker.cert, 90, 90, 90);
    snprintf(url, sizeof url, "https://ann:s3cret-no@127.0.0.1:%d/video", m.port);
    expect_refusal(url, maker.cert, ST_DENIED, "user or password refused");
    mjpeg_kit_stop(&m);
}

/* Cameras rarely know the name that they are called by. */
static void the_very_certificate_may_have_any_name(void **state)
{
    (void)state;
    struct mjpeg_kit m;
    char url[160];
    start_mjpeg(&m, &other_name, NULL, url);
    expect_frames(url, other_name.cert, 90, 90, 90);
    expect_refusal(url, maker.cert, ST_DENIED, "its certificate is not that of '127.0.0.1'");
    mjpeg_kit_stop(&m);
}

static void what_cannot_be_trusted_is_said(void **state)
{
    (void)state;
    struct mjpeg_kit m;
    char url[160];
    start_mjpeg(&m, &expired, NULL, url);
    expect_refusal(url, expired.cert, ST_DENIED, "not valid at this time");
    expect_refusal(url, "/no/such/file.pem", ST_NOT_FOUND, "cannot read /no/such/file.pem");
    expect_refusal(url, expired.key, ST_FORMAT, "holds no certificate");
    mjpeg_kit_stop(&m);
    expect_refusal("https://no-such-host.invalid/x", maker.cert, ST_NETWORK, "is not known");
}

int main(void)
{
    rtsp_kit_require();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rtsp_cameras),
        cmocka_unit_test(http_cameras),
        cmocka_unit_test(http_cameras_with_a_password),
        cmocka_unit_test(the_very_certificate_may_have_any_name),
        cmocka_unit_test(what_cannot_be_trusted_is_said),
    };
    return cmocka_run_group_tests(tests, make_papers, forget_papers);
}
