/* rtsp_kit.h - a real RTSP server (rtsp_server.c) beside a test, and a small MJPEG one in it. */
#ifndef ATTUNE_TESTS_VIDEO_RTSP_KIT_H
#define ATTUNE_TESTS_VIDEO_RTSP_KIT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/child.h"
#include "flow/records.h"

#define RTSP_KIT_SKIPPED 77

struct rtsp_kit {
    struct child child;
    int port, control;
};

/* Ends the program with RTSP_KIT_SKIPPED where the server or its plugins are not installed. For
 * main, before the tests. */
void rtsp_kit_require(void);

/* args: as of rtsp_server.c, a NULL at the end. */
void rtsp_kit_start(struct rtsp_kit *k, const char *const *args);
void rtsp_kit_stop(struct rtsp_kit *k);
void rtsp_kit_tell(struct rtsp_kit *k, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "rtsp://" with credentials ("" or "user:password@") and path ("/main"). Static: valid until the
 * next call but three. */
const char *rtsp_kit_url(const struct rtsp_kit *k, const char *credentials, const char *path);

/* multipart/x-mixed-replace over HTTP, one picture of one grey each period_us, the first `pictures`
 * of a connection; then it is silent, or closes. */
struct mjpeg_kit {
    int fd, port, pictures, grey;
    uint64_t period_us;
    bool closes;
    const char *authorization;        /* "Basic ..." that is asked for; NULL: none */
    const char *cert_path, *key_path; /* over TLS, with these; NULL: plainly */
    char host[80]; /* that was asked for last, before `stop` only by tests that wait */
    pthread_t thread;
    atomic_bool stop;
    atomic_int connections; /* so far */
};

void mjpeg_kit_start(struct mjpeg_kit *m);
void mjpeg_kit_stop(struct mjpeg_kit *m);

/* Whether a frame is of one colour, but for what a codec makes of it. */
bool frame_is_near(const struct frame *f, int red, int green, int blue);

#endif
