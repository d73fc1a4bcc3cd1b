/* doctor.h - what could keep a server from working here, looked at one by one, each with what to
 * do.
 *
 * The findings are lines for a person; `attune doctor` prints them and adds what it sees of the
 * cameras' sources.
 *
 * Owns:    a struct doctor its lines.
 * Threads: one.
 * Time:    now_us on the wall clock where it is asked for; looks at the network wait DOCTOR_WAIT_MS
 *          at most.
 */
#ifndef ATTUNE_SERVER_DOCTOR_H
#define ATTUNE_SERVER_DOCTOR_H

#include "server/settings.h"

#define DOCTOR_LINES_MAX (CAMERA_LIST_MAX + 64)
#define DOCTOR_WAIT_MS 3000

enum doctor_level { DOCTOR_OK = 1, DOCTOR_WARN, DOCTOR_FAIL };

/* "ok", "warn", "fail". */
const char *doctor_level_name(enum doctor_level l);

struct doctor_line {
    enum doctor_level level;
    char about[80]; /* "models", "port 8443", "camera gate-1" */
    char text[400]; /* what was found; and what to do */
};

struct doctor {
    struct doctor_line *lines;
    int count, capacity; /* ..DOCTOR_LINES_MAX, more are counted only */
    int warnings, failures;
};

/* What the models need of this machine, for the questions behind them. */
struct doctor_cost {
    double student_s, teacher_s;         /* a frame on one thread; 0: not known */
    double student_bytes, teacher_bytes; /* of a session */
    uint64_t param_bytes;
    int width, height; /* the student's input */
};

void doctor_init(struct doctor *d);
void doctor_clear(struct doctor *d);
void doctor_add(struct doctor *d, enum doctor_level level, const char *about, const char *format,
                ...) __attribute__((format(printf, 4, 5)));

/* What loading said. */
void doctor_config(struct doctor *d, const char *path, const struct problems *problems);

/* Both open, fit each other, and run: how long a frame takes. */
void doctor_models(struct doctor *d, const struct settings *s, struct doctor_cost *ret);

/* State folder, disk against what may come to be stored, certificate, clock. */
void doctor_state(struct doctor *d, const struct settings *s, const struct camera_list *cameras,
                  const struct doctor_cost *cost);
void doctor_certificate(struct doctor *d, const struct settings *s, uint64_t now_us);
void doctor_clock(struct doctor *d, uint64_t now_us);

/* Processors and memory against the cameras that are inferred here, shares, a GPU. */
void doctor_machine(struct doctor *d, const struct settings *s, const struct camera_list *cameras,
                    const struct doctor_cost *cost);

/* Ports (or who has them), pacing of sockets, the MQTT broker. */
void doctor_network(struct doctor *d, const struct settings *s);

#endif
